//! What there is to tell about a change of a run.

use crds::conditions::{Condition, ConditionStatus};
use crds::tekton::reasons::task_run as reasons;

use super::run::Kind;

/// What is told: the word before the version in the type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It is there, and nobody has said anything about it yet.
    Queued,
    /// Somebody works on it.
    Started,
    Running,
    /// It goes on, in another way than before.
    Unknown,
    Successful,
    Failed,
}

impl Word {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Started => "started",
            Self::Running => "running",
            Self::Unknown => "unknown",
            Self::Successful => "successful",
            Self::Failed => "failed",
        }
    }

    /// The word for a run with this condition. Controllers of custom runs give reasons as they like.
    pub(super) fn of(kind: Kind, succeeded: Option<&Condition>) -> Self {
        let Some(condition) = succeeded else {
            return match kind {
                Kind::CustomRun => Self::Started,
                Kind::TaskRun | Kind::PipelineRun => Self::Queued,
            };
        };
        match (condition.status, kind, condition.reason.as_deref()) {
            (ConditionStatus::True, ..) => Self::Successful,
            (ConditionStatus::False, ..) => Self::Failed,
            (ConditionStatus::Unknown, Kind::CustomRun, _) => Self::Running,
            // TaskRuns and PipelineRuns have the same two reasons.
            (ConditionStatus::Unknown, _, Some(reasons::STARTED)) => Self::Started,
            (ConditionStatus::Unknown, _, Some(reasons::RUNNING)) => Self::Running,
            (ConditionStatus::Unknown, ..) => Self::Unknown,
        }
    }
}

/// What was known of a run before a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Before<'a> {
    /// Nothing: it was not there.
    Absent,
    /// Its condition, if it had one.
    Present(Option<&'a Condition>),
}

/// What to tell about a change, first things first. The first condition of a run says that it was started, whatever
/// else it says: consumers wait for that, and nobody writes a condition that says just this.
pub(super) fn words(kind: Kind, before: Before<'_>, after: Option<&Condition>) -> Vec<Word> {
    let now = Word::of(kind, after);
    let Some(condition) = after else {
        return match before {
            Before::Absent => vec![now],
            // A status that was taken away tells nothing.
            Before::Present(_) => Vec::new(),
        };
    };
    match before {
        Before::Present(Some(old)) => {
            let same = Word::of(kind, Some(old)) == now;
            let another = (&old.reason, &old.message) != (&condition.reason, &condition.message);
            match !same || (now == Word::Unknown && another) {
                true => vec![now],
                false => Vec::new(),
            }
        }
        // That it was started was told when it appeared.
        Before::Present(None) if kind == Kind::CustomRun => vec![now],
        Before::Absent | Before::Present(None) => match now {
            Word::Started => vec![now],
            _ => vec![Word::Started, now],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `status/reason/message`, or nothing.
    fn condition(text: &str) -> Option<Condition> {
        let mut parts = text.split('/');
        let status = match parts.next()? {
            "True" => ConditionStatus::True,
            "False" => ConditionStatus::False,
            "Unknown" => ConditionStatus::Unknown,
            _ => return None,
        };
        Some(Condition {
            reason: parts.next().map(str::to_owned),
            message: parts.next().map(str::to_owned),
            ..Condition::new(crds::tekton::SUCCEEDED, status)
        })
    }

    #[test]
    fn each_change_is_told_once_and_by_its_name() {
        use Kind::{CustomRun, PipelineRun, TaskRun};
        for (kind, before, after, told) in [
            (TaskRun, "absent", "", "queued"),
            (PipelineRun, "absent", "", "queued"),
            (CustomRun, "absent", "", "started"),
            (TaskRun, "", "", ""),
            (TaskRun, "", "Unknown/Started", "started"),
            (TaskRun, "", "Unknown/Pending/m", "started unknown"),
            (TaskRun, "", "False/TaskRunValidationFailed", "started failed"),
            (TaskRun, "absent", "Unknown/ResolvingTaskRef", "started unknown"),
            (TaskRun, "Unknown/Started", "Unknown/Pending", "unknown"),
            (TaskRun, "Unknown/Pending/m", "Unknown/Pending/m", ""),
            (TaskRun, "Unknown/Pending/m", "Unknown/Pending/n", "unknown"),
            (TaskRun, "Unknown/Pending", "Unknown/Running", "running"),
            (TaskRun, "Unknown/Running/m", "Unknown/Running/n", ""),
            (TaskRun, "Unknown/Running", "Unknown/ToBeRetried", "unknown"),
            (TaskRun, "Unknown/Running", "True/Succeeded", "successful"),
            (TaskRun, "Unknown/Running", "False/TaskRunTimeout", "failed"),
            (TaskRun, "False/Failed/m", "False/Failed/n", ""),
            (TaskRun, "True/Succeeded", "", ""),
            (PipelineRun, "", "Unknown/Running", "started running"),
            (
                PipelineRun,
                "Unknown/Running/1 of 2",
                "Unknown/Running/2 of 2",
                "",
            ),
            (
                PipelineRun,
                "Unknown/Running",
                "Unknown/PipelineRunStopping",
                "unknown",
            ),
            (PipelineRun, "Unknown/Running", "True/Completed", "successful"),
            (PipelineRun, "Unknown/Running", "False/Cancelled", "failed"),
            (CustomRun, "", "Unknown/Whatever", "running"),
            (CustomRun, "", "True/Fine", "successful"),
            (CustomRun, "absent", "Unknown/Whatever", "started running"),
            (CustomRun, "Unknown/This", "Unknown/That", ""),
            (CustomRun, "Unknown/This", "False/That", "failed"),
        ] {
            let (old, new) = (condition(before), condition(after));
            let seen = match before {
                "absent" => Before::Absent,
                _ => Before::Present(old.as_ref()),
            };
            let found: Vec<&str> = words(kind, seen, new.as_ref())
                .into_iter()
                .map(Word::as_str)
                .collect();
            assert_eq!(found.join(" "), told, "{kind:?}: {before:?} to {after:?}");
        }
    }
}
