//! The end of an attempt, and whether there is another.

use crds::conditions::ConditionStatus;
use crds::tekton::reasons::task_run as reasons;
use crds::tekton::{RunStatus, TaskRun, TaskRunStatus, annotations};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::steps;

/// How an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Succeeded,
    /// In a way that another attempt may not.
    Failed {
        reason: &'static str,
        message: String,
    },
    /// In a way that every attempt would.
    Refused {
        reason: &'static str,
        message: String,
    },
    /// Taken away from under its steps.
    Stopped {
        reason: &'static str,
        message: String,
        retry: bool,
    },
}

impl Ending {
    pub(super) fn cancelled(run: &TaskRun) -> Self {
        let name = run.metadata.name.as_deref().unwrap_or_default();
        let mut message = format!("TaskRun {name:?} was cancelled.");
        if !run.spec.status_message.is_empty() {
            message.push(' ');
            message.push_str(&run.spec.status_message);
        }
        Self::Stopped {
            reason: reasons::CANCELLED,
            message,
            retry: false,
        }
    }

    pub(super) fn timed_out(run: &TaskRun, limit: std::time::Duration) -> Self {
        let name = run.metadata.name.as_deref().unwrap_or_default();
        let limit = k8s_openapi::jiff::SignedDuration::try_from(limit)
            .unwrap_or(k8s_openapi::jiff::SignedDuration::MAX);
        Self::Stopped {
            reason: reasons::TIMEOUT,
            message: format!(
                "TaskRun {name:?} failed to finish within {:?}",
                formats::duration::format(limit)
            ),
            retry: true,
        }
    }
}

/// Ends the attempt in `status`; with attempts left, makes it ready for the next one.
pub(super) fn end(run: &TaskRun, status: &mut TaskRunStatus, ending: Ending, now: &Time) {
    let (reason, message, retry) = match ending {
        Ending::Succeeded => {
            status.completion_time = Some(now.clone());
            let (reason, message) = (reasons::SUCCEEDED, reasons::MESSAGE_SUCCEEDED);
            status.set_succeeded(ConditionStatus::True, reason, message, now);
            return;
        }
        Ending::Failed { reason, message } => (reason, message, true),
        Ending::Refused { reason, message } => (reason, message, false),
        Ending::Stopped {
            reason,
            message,
            retry,
        } => {
            steps::end(status, reason, now);
            (reason, message, retry)
        }
    };
    status.completion_time = Some(now.clone());
    let attempts_left = i64::try_from(status.retries_status.len()).is_ok_and(|made| made < run.spec.retries);
    let retry = retry && attempts_left && !run.spec.is_cancelled();
    let reason = if !retry && is_ignored(run) {
        reasons::FAILURE_IGNORED
    } else {
        reason
    };
    status.set_succeeded(ConditionStatus::False, reason, &message, now);
    if retry {
        again(status, &message, now);
    }
}

/// Does the pipeline go on although this fails?
fn is_ignored(run: &TaskRun) -> bool {
    let said = run
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(annotations::PIPELINE_TASK_ON_ERROR));
    said.is_some_and(|said| said == "continue")
}

fn again(status: &mut TaskRunStatus, message: &str, now: &Time) {
    let mut made = status.clone();
    let earlier = std::mem::take(&mut made.retries_status);
    status.retries_status = earlier.into_iter().chain([made]).collect();
    status.start_time = None;
    status.completion_time = None;
    status.pod_name.clear();
    status.results.clear();
    status.artifacts = None;
    status.steps.clear();
    status.sidecars.clear();
    status.set_succeeded(ConditionStatus::Unknown, reasons::TO_BE_RETRIED, message, now);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn run(spec: Value) -> TaskRun {
        let metadata = json!({"name": "r"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn running() -> TaskRunStatus {
        serde_json::from_value(json!({
            "podName": "r-pod", "startTime": "2026-01-01T00:00:00Z",
            "steps": [{"name": "s", "container": "step-s", "running": {}}],
            "results": [{"name": "a", "value": "b"}],
        }))
        .unwrap()
    }

    fn now() -> Time {
        Time("2026-01-01T00:01:00Z".parse().unwrap())
    }

    fn shown(status: &TaskRunStatus) -> (String, &str, &str) {
        let condition = status.succeeded().unwrap();
        (
            format!("{:?}", condition.status),
            condition.reason.as_deref().unwrap(),
            condition.message.as_deref().unwrap(),
        )
    }

    #[test]
    fn a_failed_attempt_is_followed_by_another_while_there_are_any() {
        let run = run(json!({"retries": 2}));
        let mut status = running();
        for attempt in 1..=2 {
            let ending = Ending::Failed {
                reason: reasons::STEP_FAILED,
                message: "m".to_owned(),
            };
            end(&run, &mut status, ending, &now());
            assert_eq!(shown(&status), ("Unknown".to_owned(), "ToBeRetried", "m"));
            assert_eq!(status.retries_status.len(), attempt);
            assert!(
                status.start_time.is_none() && status.completion_time.is_none() && status.pod_name.is_empty()
            );
            assert!(status.results.is_empty());
            let made = &status.retries_status[attempt - 1];
            assert!(made.retries_status.is_empty() && made.completion_time.is_some());
            assert_eq!(shown(made).1, "StepFailed");
        }
        end(
            &run,
            &mut status,
            Ending::timed_out(&run, Duration::from_secs(90)),
            &now(),
        );
        let message = "TaskRun \"r\" failed to finish within \"1m30s\"";
        assert_eq!(shown(&status), ("False".to_owned(), "TaskRunTimeout", message));
        assert!(status.completion_time.is_some());
    }

    #[test]
    fn what_is_cancelled_or_refused_is_not_tried_again() {
        let cancelled = run(json!({"retries": 2, "status": "TaskRunCancelled", "statusMessage": "Enough."}));
        let mut status = running();
        end(&cancelled, &mut status, Ending::cancelled(&cancelled), &now());
        let message = "TaskRun \"r\" was cancelled. Enough.";
        assert_eq!(shown(&status), ("False".to_owned(), "TaskRunCancelled", message));
        let step = &status.steps[0];
        assert_eq!(
            (
                step.terminated.as_ref().unwrap().exit_code,
                step.termination_reason.as_str()
            ),
            (1, "TaskRunCancelled")
        );

        let mut status = running();
        let ending = Ending::Refused {
            reason: reasons::VALIDATION_FAILED,
            message: "m".to_owned(),
        };
        end(&run(json!({"retries": 2})), &mut status, ending, &now());
        assert_eq!(shown(&status).0, "False");
    }

    #[test]
    fn a_failure_that_the_pipeline_ignores_says_so_at_the_very_end() {
        let mut ignored = run(json!({"retries": 1}));
        let said = (
            annotations::PIPELINE_TASK_ON_ERROR.to_owned(),
            "continue".to_owned(),
        );
        ignored.metadata.annotations = Some([said].into());
        let mut status = running();
        let ending = || Ending::Failed {
            reason: reasons::STEP_FAILED,
            message: "m".to_owned(),
        };
        end(&ignored, &mut status, ending(), &now());
        assert_eq!(shown(&status.retries_status[0]).1, "StepFailed");
        end(&ignored, &mut status, ending(), &now());
        assert_eq!(shown(&status).1, "FailureIgnored");
    }
}
