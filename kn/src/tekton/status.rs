//! The text of a run's status.

use serde_json::Value;

use crate::commands::list::text;
use crate::table;

/// Reasons of a run that waits for something outside of it.
const WAITS: [&str; 3] = [
    "CreateContainerConfigError",
    "ExceededNodeResources",
    "ExceededResourceQuota",
];

/// `Succeeded`, `Failed(StepFailed)`, `Running(Pending)` and the like; `---` of a run that nobody has looked at.
pub fn status(run: &Value) -> String {
    // The sum comes first among the conditions.
    let Some(condition) = run.pointer("/status/conditions/0") else {
        return "---".to_owned();
    };
    let reason = condition["reason"].as_str().unwrap_or_default();
    let word = match (condition["status"].as_str(), reason) {
        (_, "PipelineRunPending") => return "Pending".to_owned(),
        (_, "PipelineRunStopping") => "Failed",
        (_, "Cancelled" | "TaskRunCancelled") => "Cancelled",
        (_, reason) if WAITS.contains(&reason) => "Pending",
        (Some("True"), _) => return "Succeeded".to_owned(),
        (Some("False"), _) => "Failed",
        _ => "Running",
    };
    if reason.is_empty() || reason == word {
        word.to_owned()
    } else {
        format!("{word}({reason})")
    }
}

/// What went wrong with a run that is over: its status and message; `None` unless it failed.
pub fn outcome(run: &Value) -> Option<String> {
    let failed = run.pointer("/status/conditions/0/status").and_then(Value::as_str) == Some("False");
    failed.then(|| {
        let message = table::one_line(&text(run, "/status/conditions/0/message"));
        match message.is_empty() {
            true => status(run),
            false => format!("{}: {message}", status(run)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_are_told_in_a_word() {
        for (state, reason, expected) in [
            ("True", "Succeeded", "Succeeded"),
            ("True", "Completed", "Succeeded"),
            ("False", "Failed", "Failed"),
            ("False", "StepFailed", "Failed(StepFailed)"),
            ("False", "TaskRunTimeout", "Failed(TaskRunTimeout)"),
            ("False", "Cancelled", "Cancelled"),
            ("False", "TaskRunCancelled", "Cancelled(TaskRunCancelled)"),
            ("Unknown", "Running", "Running"),
            ("Unknown", "Started", "Running(Started)"),
            ("Unknown", "Pending", "Running(Pending)"),
            ("Unknown", "PipelineRunStopping", "Failed(PipelineRunStopping)"),
            (
                "Unknown",
                "CreateContainerConfigError",
                "Pending(CreateContainerConfigError)",
            ),
            (
                "Unknown",
                "ExceededNodeResources",
                "Pending(ExceededNodeResources)",
            ),
            (
                "Unknown",
                "ExceededResourceQuota",
                "Pending(ExceededResourceQuota)",
            ),
            ("Unknown", "PipelineRunPending", "Pending"),
            ("Unknown", "", "Running"),
            ("False", "", "Failed"),
        ] {
            let run = json!({ "status": { "conditions": [{ "type": "Succeeded", "status": state, "reason": reason }] } });
            assert_eq!(status(&run), expected, "{state} {reason}");
        }
        assert_eq!(status(&json!({})), "---");
        assert_eq!(status(&json!({ "status": { "conditions": [] } })), "---");
    }

    #[test]
    fn only_a_failure_has_something_to_tell() {
        let run = |state: &str, message: &str| json!({ "status": { "conditions": [{ "status": state, "reason": "R", "message": message }] } });
        assert_eq!(outcome(&run("False", "a\nb")).as_deref(), Some("Failed(R): a b"));
        assert_eq!(outcome(&run("False", "")).as_deref(), Some("Failed(R)"));
        assert_eq!(outcome(&run("True", "m")), None);
        assert_eq!(outcome(&run("Unknown", "m")), None);
        assert_eq!(outcome(&json!({})), None);
    }
}
