//! What a run needs next, before anybody looks at its pod.

use std::time::Duration;

use crds::tekton::{RunStatus, TaskRun, is_ours};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// What to do about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it is over, goes away, or is not ours.
    Leave,
    /// Keep it from beginning.
    Hold,
    /// End it, as somebody asked for.
    Cancel,
    /// End this attempt.
    TimeOut(Duration),
    /// Have its pod, and show how that is. With a limit: look again at that time.
    Run(Option<Timestamp>),
}

/// Decides about `run` at `now`; `default_timeout` is for runs that do not say.
pub fn decide(run: &TaskRun, default_timeout: Duration, now: Timestamp) -> Decision {
    let status = run.status.as_ref();
    if !is_ours(run.spec.managed_by.as_deref())
        || run.metadata.deletion_timestamp.is_some()
        || status.is_some_and(RunStatus::is_done)
    {
        return Decision::Leave;
    }
    if run.spec.is_cancelled() {
        return Decision::Cancel;
    }
    let started = status
        .and_then(|status| status.start_time.as_ref())
        .map(|time| time.0);
    let Some(started) = started else {
        // What has begun cannot be held any more.
        return match run.spec.is_pending() {
            true => Decision::Hold,
            false => Decision::Run(None),
        };
    };
    let Some(limit) = timeout(run, default_timeout) else {
        return Decision::Run(None);
    };
    // A limit beyond the end of time is none.
    let deadline = SignedDuration::try_from(limit)
        .ok()
        .and_then(|limit| started.checked_add(limit).ok());
    match deadline {
        Some(deadline) if deadline <= now => Decision::TimeOut(limit),
        deadline => Decision::Run(deadline),
    }
}

/// How long an attempt may take; `None` is as long as it likes.
pub fn timeout(run: &TaskRun, default_timeout: Duration) -> Option<Duration> {
    match run.spec.timeout {
        Some(timeout) => timeout.timeout(),
        None => Some(default_timeout).filter(|timeout| !timeout.is_zero()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    #[test]
    fn each_situation_has_its_decision() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-01-01T01:00:00Z");
        let succeeded = |status: &str| json!([{"type": "Succeeded", "status": status, "reason": "r"}]);
        let started = |text: &str| json!({"startTime": text, "conditions": succeeded("Unknown")});
        let midnight = || started("2026-01-01T00:00:00Z");
        for (name, spec, status, expected) in [
            ("new", json!({}), json!(null), Decision::Run(None)),
            (
                "pending",
                json!({"status": "TaskRunPending"}),
                json!(null),
                Decision::Hold,
            ),
            (
                "pending after the start",
                json!({"status": "TaskRunPending", "timeout": "0s"}),
                midnight(),
                Decision::Run(None),
            ),
            (
                "cancelled before the start",
                json!({"status": "TaskRunCancelled"}),
                json!(null),
                Decision::Cancel,
            ),
            (
                "cancelled when time is up",
                json!({"status": "TaskRunCancelled", "timeout": "1s"}),
                midnight(),
                Decision::Cancel,
            ),
            (
                "running",
                json!({"timeout": "2h"}),
                midnight(),
                Decision::Run(Some(at("2026-01-01T02:00:00Z"))),
            ),
            (
                "time is up to the moment",
                json!({"timeout": "1h"}),
                midnight(),
                Decision::TimeOut(HOUR),
            ),
            ("default timeout", json!({}), midnight(), Decision::TimeOut(HOUR)),
            (
                "no timeout",
                json!({"timeout": "0s"}),
                started("2020-01-01T00:00:00Z"),
                Decision::Run(None),
            ),
            (
                "succeeded",
                json!({"status": "TaskRunCancelled"}),
                json!({"conditions": succeeded("True")}),
                Decision::Leave,
            ),
            (
                "failed",
                json!({}),
                json!({"conditions": succeeded("False")}),
                Decision::Leave,
            ),
            (
                "to be retried",
                json!({}),
                json!({"conditions": succeeded("Unknown")}),
                Decision::Run(None),
            ),
            (
                "of others",
                json!({"managedBy": "example.com/x"}),
                json!(null),
                Decision::Leave,
            ),
            (
                "said to be ours",
                json!({"managedBy": "tekton.dev/pipeline"}),
                json!(null),
                Decision::Run(None),
            ),
        ] {
            let run = object(&spec, &status, &json!({"name": "r"}));
            assert_eq!(decide(&run, HOUR, now), expected, "{name}");
        }
        let meta = json!({"name": "r", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        let run = object(&json!({}), &json!(null), &meta);
        assert_eq!(decide(&run, HOUR, now), Decision::Leave);
    }

    fn object(spec: &Value, status: &Value, metadata: &Value) -> TaskRun {
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
    }
}
