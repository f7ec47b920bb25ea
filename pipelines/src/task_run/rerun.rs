//! Runs that take over what an earlier run of the same has done.

use std::collections::BTreeMap;

use crds::conditions::{Condition, ConditionStatus};
use crds::tekton::reasons::task_run as reasons;
use crds::tekton::{RunStatus, TaskRun, TaskRunSpec, TaskRunStatus, TaskSpec, annotations};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The earlier run that `run` may take over from: what its annotation says, as long as it has not made an attempt.
pub(super) fn earlier<'a>(run: &'a TaskRun, status: &TaskRunStatus) -> Option<&'a str> {
    let named = run.metadata.annotations.as_ref()?.get(annotations::RERUN_OF)?;
    let itself = run.metadata.name.as_ref() == Some(named);
    let begun = status.start_time.is_some() || !status.retries_status.is_empty();
    (!named.is_empty() && !itself && !begun).then_some(named.as_str())
}

/// Has `earlier` succeeded, and was it asked for the same? How long it was given, and how often it was tried, makes
/// no difference to what came out. Whether the task is still the same is another question.
pub(super) fn did_the_same(earlier: &TaskRun, run: &TaskRun) -> bool {
    let succeeded = earlier.status.as_ref().and_then(RunStatus::succeeded);
    succeeded.is_some_and(Condition::is_true) && asked(&earlier.spec) == asked(&run.spec)
}

fn asked(spec: &TaskRunSpec) -> TaskRunSpec {
    TaskRunSpec {
        timeout: None,
        retries: 0,
        status: None,
        status_message: String::new(),
        debug: None,
        ..spec.clone()
    }
}

/// The status of a run that has the results of `earlier`. Its steps, and the pod that has their logs, are those of
/// that run; `spec` is the task as it is for this one.
pub(super) fn taken_over(
    earlier: &TaskRun,
    status: &TaskRunStatus,
    spec: TaskSpec,
    now: &Time,
) -> TaskRunStatus {
    let name = earlier.metadata.name.clone().unwrap_or_default();
    let before = earlier.status.clone().unwrap_or_default();
    let message = format!("{}, in TaskRun {name:?}", reasons::MESSAGE_SUCCEEDED);
    let mut shown = TaskRunStatus {
        observed_generation: status.observed_generation,
        annotations: Some(BTreeMap::from([(annotations::TAKEN_OVER_FROM.to_owned(), name)])),
        conditions: status.conditions.clone(),
        task_spec: Some(spec),
        start_time: Some(now.clone()),
        completion_time: Some(now.clone()),
        retries_status: Vec::new(),
        ..before
    };
    shown.set_succeeded(ConditionStatus::True, reasons::SUCCEEDED, &message, now);
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run(name: &str, spec: Value, status: Value) -> TaskRun {
        let notes = json!({annotations::RERUN_OF: "before"});
        let metadata = json!({"name": name, "annotations": notes});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    fn told(status: &str) -> Value {
        json!({
            "podName": "before-pod", "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:09Z",
            "conditions": [{"type": "Succeeded", "status": status, "reason": "r"}],
            "results": [{"name": "r", "type": "string", "value": "v"}], "retriesStatus": [{"podName": "before-pod"}],
            "steps": [{"name": "s", "container": "step-s", "terminated": {"exitCode": 0}}],
        })
    }

    #[test]
    fn only_a_new_run_looks_back() {
        for (name, status, expected) in [
            ("new", json!({}), Some("before")),
            ("before", json!({}), None),
            ("new", json!({"startTime": "2026-01-01T00:00:00Z"}), None),
            ("new", json!({"retriesStatus": [{}]}), None),
        ] {
            let run = run(name, json!({}), status);
            let status = run.status.clone().unwrap();
            assert_eq!(earlier(&run, &status), expected, "{name} {status:?}");
        }
    }

    #[test]
    fn the_same_was_asked_for() {
        let spec =
            json!({"taskRef": {"name": "t"}, "params": [{"name": "p", "value": "1"}], "timeout": "1h0m0s"});
        let before = |status: &str| run("before", spec.clone(), told(status));
        let with = |field: &str, value: Value| {
            let mut spec = spec.clone();
            spec[field] = value;
            run("new", spec, json!(null))
        };
        for (run, expected) in [
            (with("timeout", json!("2m")), true),
            (with("retries", json!(3)), true),
            (with("params", json!([{"name": "p", "value": "2"}])), false),
            (with("taskRef", json!({"name": "u"})), false),
            (with("serviceAccountName", json!("other")), false),
            (
                with(
                    "workspaces",
                    json!([{"name": "w", "persistentVolumeClaim": {"claimName": "c"}}]),
                ),
                false,
            ),
        ] {
            assert_eq!(did_the_same(&before("True"), &run), expected, "{:?}", run.spec);
            assert!(!did_the_same(&before("False"), &run));
            assert!(!did_the_same(&before("Unknown"), &run));
        }
    }

    #[test]
    fn results_and_logs_are_those_of_the_earlier_run() {
        let now = Time("2026-02-01T00:00:00Z".parse().unwrap());
        let shown = taken_over(
            &run("before", json!({}), told("True")),
            &TaskRunStatus::default(),
            TaskSpec::default(),
            &now,
        );
        assert!(shown.succeeded().unwrap().is_true());
        assert_eq!(shown.pod_name, "before-pod");
        assert_eq!(shown.results[0].value.as_str(), Some("v"));
        assert_eq!(shown.steps.len(), 1);
        assert_eq!(
            (shown.start_time, shown.completion_time),
            (Some(now.clone()), Some(now))
        );
        assert_eq!(shown.annotations.unwrap()[annotations::TAKEN_OVER_FROM], "before");
        assert!(shown.retries_status.is_empty());
    }
}
