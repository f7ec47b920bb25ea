//! What a PodAutoscaler reports.

use crds::autoscaling::PodAutoscalerStatus;
use crds::conditions::{Condition, ConditionStatus, ConditionedStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::ConditionSet;

use crate::scaling::decide::UNKNOWN;

pub const ACTIVE: &str = "Active";
pub const INITIALIZED: &str = "ScaleTargetInitialized";
pub const SKS_READY: &str = "SKSReady";

pub const SET: ConditionSet = ConditionSet::new(&[ACTIVE, INITIALIZED, SKS_READY]);

/// What the counts say about activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Active,
    Queued,
    NoTraffic,
    TimedOut,
    Keep,
}

/// The mark for `want` pods wanted and `ready` ones ready, `before` being the Active condition as it was.
fn mark(want: i32, ready: i32, threshold: i32, before: ConditionStatus) -> Mark {
    let reached = ready >= threshold;
    match (want, before) {
        (0, ConditionStatus::Unknown) if threshold > 0 => Mark::TimedOut,
        (0, _) => Mark::NoTraffic,
        (UNKNOWN, _) if threshold == 0 => Mark::NoTraffic,
        (UNKNOWN, ConditionStatus::False) if reached => Mark::Keep,
        (UNKNOWN, ConditionStatus::False) => Mark::NoTraffic,
        _ if reached => Mark::Active,
        _ => Mark::Queued,
    }
}

/// Pods that make the target count as there: the initial scale until that was reached once, the minimum afterwards.
pub fn threshold(initialized: bool, min_scale: i32, initial_scale: i32) -> i32 {
    if initialized {
        min_scale.max(1)
    } else {
        min_scale.max(initial_scale)
    }
}

/// Whether the target has had its initial pods once.
pub fn is_initialized(status: &PodAutoscalerStatus) -> bool {
    status.condition(INITIALIZED).is_some_and(Condition::is_true)
}

/// Fills in scales and conditions from `want` wanted and `ready` ready pods.
pub fn observe(status: &mut PodAutoscalerStatus, want: i32, ready: i32, threshold: i32, now: Timestamp) {
    if want != UNKNOWN || status.desired_scale.is_none() {
        status.desired_scale = Some(want);
    }
    status.actual_scale = Some(ready);
    let has_service = status.service_name.as_ref().is_some_and(|name| !name.is_empty());
    let before = status
        .condition(ACTIVE)
        .map_or(ConditionStatus::Unknown, |condition| condition.status);
    let mut conditions = SET.manage(status, now);
    match mark(want, ready, threshold, before) {
        Mark::Active => conditions.mark_true(ACTIVE),
        Mark::Queued => conditions.mark_unknown(
            ACTIVE,
            "Queued",
            "Requests to the target are being buffered as resources are provisioned.",
        ),
        Mark::NoTraffic => conditions.mark_false(ACTIVE, "NoTraffic", "The target is not receiving traffic."),
        Mark::TimedOut => conditions.mark_false(ACTIVE, "TimedOut", "The target could not be activated."),
        Mark::Keep => {}
    }
    if ready >= threshold && has_service {
        conditions.mark_true(INITIALIZED);
    }
}

/// Copies whether the ServerlessService is ready.
pub fn observe_sks(status: &mut PodAutoscalerStatus, ready: Option<&Condition>, now: Timestamp) {
    let mut conditions = SET.manage(status, now);
    match ready {
        Some(condition) if condition.is_true() => conditions.mark_true(SKS_READY),
        Some(condition) => {
            conditions.mark_unknown(
                SKS_READY,
                "NotReady",
                condition.message.as_deref().unwrap_or_default(),
            );
        }
        None => conditions.mark_unknown(SKS_READY, "NotReady", "No Private Service Name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConditionStatus::{False, True, Unknown};

    #[test]
    fn activity_follows_the_table() {
        let cases = [
            ("given up", 0, 0, 1, Unknown, Mark::TimedOut),
            ("idle", 0, 1, 1, True, Mark::NoTraffic),
            ("still idle", 0, 0, 1, False, Mark::NoTraffic),
            ("starts at zero", 0, 0, 0, Unknown, Mark::NoTraffic),
            ("waking", 1, 0, 1, False, Mark::Queued),
            ("up", 1, 1, 1, Unknown, Mark::Active),
            ("unknown and down", -1, 0, 1, False, Mark::NoTraffic),
            ("unknown and starting", -1, 0, 1, Unknown, Mark::Queued),
            ("unknown and lost", -1, 0, 1, True, Mark::Queued),
            ("unknown, inactive but up", -1, 1, 1, False, Mark::Keep),
            ("unknown and up", -1, 1, 1, Unknown, Mark::Active),
        ];
        for (name, want, ready, threshold, before, expected) in cases {
            assert_eq!(mark(want, ready, threshold, before), expected, "{name}");
        }
    }

    #[test]
    fn initialized_is_sticky_and_needs_a_service() {
        let now = Timestamp::UNIX_EPOCH;
        let mut status = PodAutoscalerStatus::default();
        SET.begin(&mut status, Some(1), now);
        observe(&mut status, 1, 1, 1, now);
        assert!(!is_initialized(&status), "no service yet");
        status.service_name = Some("rev".into());
        observe(&mut status, 1, 1, 1, now);
        assert!(is_initialized(&status));
        observe(&mut status, 0, 0, 1, now);
        assert!(is_initialized(&status));
        assert!(
            status
                .condition(crds::conditions::READY)
                .is_some_and(Condition::is_false)
        );
    }

    #[test]
    fn an_unknown_wish_does_not_overwrite_a_known_one() {
        let now = Timestamp::UNIX_EPOCH;
        let mut status = PodAutoscalerStatus::default();
        observe(&mut status, UNKNOWN, 0, 1, now);
        assert_eq!(status.desired_scale, Some(-1));
        observe(&mut status, 3, 1, 1, now);
        observe(&mut status, UNKNOWN, 1, 1, now);
        assert_eq!((status.desired_scale, status.actual_scale), (Some(3), Some(1)));
    }

    #[test]
    fn thresholds() {
        assert_eq!(threshold(false, 0, 3), 3);
        assert_eq!(threshold(false, 5, 3), 5);
        assert_eq!(threshold(true, 0, 3), 1);
        assert_eq!(threshold(true, 5, 3), 5);
    }
}
