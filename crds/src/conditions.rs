//! The condition every custom resource reports, and the part of a status that all of them share.
//!
//! Which conditions a kind has and how `Ready` follows from them is decided by the controllers; here is only the wire
//! shape and what a reader may conclude from it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

/// The condition type that sums up a resource.
pub const READY: &str = "Ready";

/// One condition of a Knative resource, as stored in `status.conditions`.
///
/// Unlike Kubernetes' own `metav1.Condition` it has a severity and no `observedGeneration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Name of the condition, for instance `Ready`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether the condition holds.
    pub status: ConditionStatus,
    /// How a condition that is not True should be read; omitted on the wire when it is an error.
    #[serde(default, skip_serializing_if = "Severity::is_error")]
    pub severity: Severity,
    /// When any other field of this condition last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// One CamelCase word for machines; absent when the condition is True.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for people; absent when the condition is True.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Condition {
    /// Builds a condition of the given type and status, with no reason, message or time.
    pub fn new(type_: impl Into<String>, status: ConditionStatus) -> Self {
        Self {
            type_: type_.into(),
            status,
            ..Self::default()
        }
    }

    /// Is the status True?
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }

    /// Is the status False?
    pub fn is_false(&self) -> bool {
        self.status == ConditionStatus::False
    }

    /// Is the status Unknown?
    pub fn is_unknown(&self) -> bool {
        self.status == ConditionStatus::Unknown
    }
}

/// The three values of a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold, and will not by waiting alone.
    False,
    /// Not known yet; also what any value that is none of the three is read as.
    #[default]
    #[serde(other)]
    Unknown,
}

impl ConditionStatus {
    /// The wire text: `True`, `False` or `Unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// How bad it is when a condition is not True.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Worth a look, the resource works.
    Warning,
    /// Information only, for instance that a revision has no traffic.
    Info,
    /// The resource is not usable; the wire text is the empty string. Also what an unknown text is read as.
    #[default]
    #[serde(rename = "", other)]
    Error,
}

impl Severity {
    /// Is this the default severity, which is not written to the wire?
    pub fn is_error(&self) -> bool {
        *self == Self::Error
    }
}

/// What every status of a Knative resource has in common.
pub trait ConditionedStatus {
    /// The conditions, sorted by type when a controller of ours wrote them.
    fn conditions(&self) -> &[Condition];
    /// The conditions, to be changed in place.
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;
    /// The generation of the spec that the status speaks of; 0 when nobody has looked yet.
    fn observed_generation(&self) -> i64;
    /// Records the generation that has been looked at.
    fn set_observed_generation(&mut self, generation: i64);

    /// The condition of that type, if it has been set.
    fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions()
            .iter()
            .find(|condition| condition.type_ == type_)
    }

    /// Is the resource ready: has its present generation been observed, and is `Ready` True?
    ///
    /// `generation` is `metadata.generation`; an absent one counts as 0.
    fn is_ready(&self, generation: Option<i64>) -> bool {
        self.observed_generation() == generation.unwrap_or_default()
            && self.condition(READY).is_some_and(Condition::is_true)
    }

    /// Has the resource failed: has its present generation been observed, and is `Ready` False?
    fn is_failed(&self, generation: Option<i64>) -> bool {
        self.observed_generation() == generation.unwrap_or_default()
            && self.condition(READY).is_some_and(Condition::is_false)
    }
}

/// Implements [`ConditionedStatus`] for status types with the two fields `conditions` and `observed_generation`.
macro_rules! conditioned {
    ($($status:ty),+ $(,)?) => {$(
        impl $crate::conditions::ConditionedStatus for $status {
            fn conditions(&self) -> &[$crate::conditions::Condition] {
                &self.conditions
            }
            fn conditions_mut(&mut self) -> &mut Vec<$crate::conditions::Condition> {
                &mut self.conditions
            }
            fn observed_generation(&self) -> i64 {
                self.observed_generation.unwrap_or_default()
            }
            fn set_observed_generation(&mut self, generation: i64) {
                self.observed_generation = Some(generation);
            }
        }
    )+};
}
pub(crate) use conditioned;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_severity_is_not_written() {
        let condition = Condition::new("Ready", ConditionStatus::True);
        assert_eq!(
            serde_json::to_value(condition).unwrap(),
            json!({"type": "Ready", "status": "True"})
        );
    }

    #[test]
    fn an_info_condition_survives_a_round_trip() {
        let wire = json!({
            "type": "Active", "status": "False", "severity": "Info",
            "lastTransitionTime": "2026-01-02T03:04:05Z", "reason": "NoTraffic", "message": "m",
        });
        let condition: Condition = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(condition.severity, Severity::Info);
        assert_eq!(serde_json::to_value(condition).unwrap(), wire);
    }

    #[test]
    fn values_nobody_knows_are_read_as_the_default() {
        let condition: Condition =
            serde_json::from_value(json!({"type": "X", "status": "Perhaps", "severity": "Dire"})).unwrap();
        assert_eq!(
            (condition.status, condition.severity),
            (ConditionStatus::Unknown, Severity::Error)
        );
    }
}
