//! What the statuses of runs share.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::conditions::{Condition, ConditionStatus, ConditionedStatus};

/// The condition type that sums up a run. Clients take it to be the first of the conditions.
pub const SUCCEEDED: &str = "Succeeded";

/// The status of a run: `Succeeded` is its first condition.
pub trait RunStatus: ConditionedStatus {
    /// The condition that sums up the run.
    fn succeeded(&self) -> Option<&Condition> {
        self.condition(SUCCEEDED)
    }

    /// Is the run over?
    fn is_done(&self) -> bool {
        self.succeeded().is_some_and(|condition| !condition.is_unknown())
    }

    /// Sets the condition that sums up the run, and says whether anything but the time is different. The time of the
    /// transition is that of the last change of any field.
    fn set_succeeded(&mut self, status: ConditionStatus, reason: &str, message: &str, now: &Time) -> bool {
        set_succeeded(self.conditions_mut(), status, reason, message, now)
    }
}

/// See [`RunStatus::set_succeeded`].
pub fn set_succeeded(
    conditions: &mut Vec<Condition>,
    status: ConditionStatus,
    reason: &str,
    message: &str,
    now: &Time,
) -> bool {
    let wanted = Condition {
        reason: Some(reason.to_owned()),
        message: (!message.is_empty()).then(|| message.to_owned()),
        ..Condition::new(SUCCEEDED, status)
    };
    let at = conditions
        .iter()
        .position(|condition| condition.type_ == SUCCEEDED);
    let old = at.map(|at| conditions.remove(at));
    let same = old.as_ref().is_some_and(|old| {
        Condition {
            last_transition_time: None,
            ..old.clone()
        } == wanted
    });
    let time = old
        .filter(|_| same)
        .and_then(|old| old.last_transition_time)
        .unwrap_or_else(|| now.clone());
    conditions.insert(
        0,
        Condition {
            last_transition_time: Some(time),
            ..wanted
        },
    );
    !same
}

/// Where the spec of a run came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// Where a resolver found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_source: Option<RefSource>,
    /// The flags when the run started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_flags: Option<Value>,
}

/// Where a resolver found something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefSource {
    /// Its address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// Digests by algorithm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    /// The file or entry at that address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub entry_point: String,
}

/// What went into a run, and what came out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifacts {
    /// What went in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Artifact>,
    /// What came out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Artifact>,
}

/// Something that went in or came out, by its digests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The things of that name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ArtifactValue>,
    /// Is it what the run is for?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub build_output: bool,
}

/// One thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactValue {
    /// Digests by algorithm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uri: String,
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn succeeded_comes_first_and_keeps_its_time_until_it_changes() {
        let mut conditions = vec![Condition::new("Another", ConditionStatus::True)];
        let unknown = ConditionStatus::Unknown;
        for (status, reason, message, now, changed, since) in [
            (unknown, "Started", "", 1, true, 1),
            (unknown, "Started", "", 2, false, 1),
            (unknown, "Running", "", 3, true, 3),
            (unknown, "Running", "m", 4, true, 4),
            (ConditionStatus::True, "Succeeded", "m", 5, true, 5),
        ] {
            assert_eq!(
                set_succeeded(&mut conditions, status, reason, message, &at(now)),
                changed
            );
            assert_eq!(conditions.len(), 2);
            assert_eq!(conditions[0].type_, SUCCEEDED);
            assert_eq!(conditions[0].reason.as_deref(), Some(reason));
            assert_eq!(conditions[0].last_transition_time, Some(at(since)));
        }
    }
}
