//! The last step down: whether a revision that nothing is wanted of may lose its last pod.

use std::time::Duration;

use crds::conditions::ConditionStatus;

/// What is added to the progress deadline before an activation is given up, so that the Deployment fails first and
/// names the cause.
const ACTIVATION_MARGIN: Duration = Duration::from_secs(30);
/// Wait for a ServerlessService that is in proxy mode already: nothing of it will change and wake us.
const PROXY_RECHECK: Duration = Duration::from_secs(3);

/// Whether requests reach the activator by the revision's public Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivatorProbe {
    /// The activator is in the path at all times.
    Unneeded,
    Answered,
    Unanswered,
}

/// What is known when the decision says zero.
#[derive(Clone, Debug)]
pub struct AtZero {
    pub scale_to_zero: bool,
    /// The PodAutoscaler's Active condition, and for how long it has been so.
    pub active: ConditionStatus,
    pub active_for: Duration,
    pub stable_window: Duration,
    pub progress_deadline: Duration,
    pub grace: Duration,
    pub retention: Duration,
    /// Whether the ServerlessService asks for the activators.
    pub proxy_mode: bool,
    /// For how long the activators have been in the path; `None` while they are not.
    pub proxied_for: Option<Duration>,
    pub probe: ActivatorProbe,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zero {
    /// Set the replicas to this number.
    Scale(i32),
    /// The wish is zero, the replicas stay for now. Look again after the time, if any.
    Mark(Option<Duration>),
    /// Keep one pod, and look again after this time.
    KeepOne(Duration),
    /// Nothing is known yet; look again after this time.
    Unknown(Duration),
}

/// Whether [`decide`] depends on the probe.
pub fn needs_probe(state: &AtZero) -> bool {
    state.scale_to_zero && state.active == ConditionStatus::False
}

/// Decides. The probe has been made by the caller where [`needs_probe`] says so.
pub fn decide(state: &AtZero) -> Zero {
    if !state.scale_to_zero {
        return Zero::Scale(1);
    }
    match state.active {
        ConditionStatus::Unknown => {
            let limit = state.progress_deadline + ACTIVATION_MARGIN;
            left(limit, state.active_for).map_or(Zero::Scale(0), Zero::Unknown)
        }
        ConditionStatus::True => left(state.stable_window, state.active_for).map_or(
            Zero::Mark(state.proxy_mode.then_some(PROXY_RECHECK)),
            Zero::KeepOne,
        ),
        ConditionStatus::False => inactive(state),
    }
}

fn inactive(state: &AtZero) -> Zero {
    if state.probe == ActivatorProbe::Unanswered {
        return Zero::Mark(Some(Duration::from_secs(1)));
    }
    if state.active_for >= state.grace.max(state.retention) {
        return Zero::Scale(0);
    }
    if let Some(left) = left(state.retention, state.active_for) {
        return Zero::Mark(Some(left));
    }
    left(state.grace, state.proxied_for.unwrap_or(Duration::ZERO))
        .map_or(Zero::Scale(0), |left| Zero::Mark(Some(left)))
}

/// What is left of `whole`; `None` when it is over.
fn left(whole: Duration, gone: Duration) -> Option<Duration> {
    whole.checked_sub(gone).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn state(active: ConditionStatus, active_for: u64) -> AtZero {
        AtZero {
            scale_to_zero: true,
            active,
            active_for: seconds(active_for),
            stable_window: seconds(60),
            progress_deadline: seconds(600),
            grace: seconds(30),
            retention: Duration::ZERO,
            proxy_mode: false,
            proxied_for: None,
            probe: ActivatorProbe::Answered,
        }
    }

    #[test]
    fn decisions() {
        use ConditionStatus::{False, True, Unknown};
        let proxied = |since| AtZero {
            proxied_for: Some(seconds(since)),
            ..state(False, 1)
        };
        let mark = |after| Zero::Mark(Some(seconds(after)));
        let cases = [
            (
                "never, by configuration",
                AtZero {
                    scale_to_zero: false,
                    ..state(False, 99)
                },
                Zero::Scale(1),
            ),
            ("activating", state(Unknown, 10), Zero::Unknown(seconds(620))),
            ("activation given up", state(Unknown, 630), Zero::Scale(0)),
            (
                "active for less than the window",
                state(True, 10),
                Zero::KeepOne(seconds(50)),
            ),
            ("idle", state(True, 60), Zero::Mark(None)),
            (
                "idle behind the activator",
                AtZero {
                    proxy_mode: true,
                    ..state(True, 60)
                },
                mark(3),
            ),
            (
                "unreachable activator",
                AtZero {
                    probe: ActivatorProbe::Unanswered,
                    ..state(False, 99)
                },
                mark(1),
            ),
            ("inactive, just proxied", proxied(0), mark(30)),
            ("inactive, proxied for a while", proxied(10), mark(20)),
            ("inactive, long proxied", proxied(30), Zero::Scale(0)),
            ("not proxied at all", state(False, 5), mark(30)),
            ("inactive for the grace period", state(False, 30), Zero::Scale(0)),
            (
                "retention",
                AtZero {
                    retention: seconds(100),
                    ..state(False, 40)
                },
                mark(60),
            ),
            (
                "retention over",
                AtZero {
                    retention: seconds(100),
                    ..state(False, 100)
                },
                Zero::Scale(0),
            ),
        ];
        for (name, state, expected) in cases {
            assert_eq!(decide(&state), expected, "{name}");
        }
    }
}
