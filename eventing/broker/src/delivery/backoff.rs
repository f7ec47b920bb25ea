//! Waits between attempts.

use std::time::Duration;

/// No wait is longer than this: upstream sets no ceiling, but `delay · 2ⁿ` must end somewhere before it overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The share of a wait by which jitter may lengthen it.
const JITTER: f64 = 0.2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackoffPolicy {
    /// `delay · n` for n = 0, 1, 2 …: the first retry follows at once. The spec text asks for a constant delay;
    /// upstream does this, and its tests measure it.
    Linear,
    /// `delay · 2ⁿ`: the first wait is the delay.
    Exponential,
}

/// The `backoffPolicy` and `backoffDelay` of a delivery spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub policy: BackoffPolicy,
    pub delay: Duration,
}

impl Backoff {
    /// The wait after the failure of the attempt with this number, the first being 0. Never more than a year.
    pub fn wait(&self, attempt: u32) -> Duration {
        let factor = match self.policy {
            BackoffPolicy::Linear => attempt,
            BackoffPolicy::Exponential => 1u32.checked_shl(attempt).unwrap_or(u32::MAX),
        };
        self.delay
            .checked_mul(factor)
            .map_or(LONGEST, |wait| wait.min(LONGEST))
    }
}

/// The wait as it is really made: lengthened by up to a fifth. `unit` is uniform in 0..1.
///
/// The usual "full" and "equal" jitters shorten waits, and the contract's back-off is the least a subscriber may rely
/// on. A fifth spreads events that failed together over 40 ms at the first default retry and 20 s at the last.
pub fn jittered(wait: Duration, unit: f64) -> Duration {
    wait + wait.mul_f64(JITTER * unit.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: BackoffPolicy) -> Vec<u64> {
        let backoff = Backoff {
            policy,
            delay: Duration::from_millis(200),
        };
        (0..5)
            .map(|attempt| backoff.wait(attempt).as_millis() as u64)
            .collect()
    }

    #[test]
    fn exponential_doubles_from_the_delay() {
        assert_eq!(waits(BackoffPolicy::Exponential), [200, 400, 800, 1600, 3200]);
    }

    #[test]
    fn linear_starts_at_nothing() {
        assert_eq!(waits(BackoffPolicy::Linear), [0, 200, 400, 600, 800]);
    }

    #[test]
    fn waits_end_at_a_year() {
        for attempt in [31, 32, 63, 64, u32::MAX] {
            let backoff = Backoff {
                policy: BackoffPolicy::Exponential,
                delay: Duration::from_secs(1_000_000),
            };
            assert_eq!(backoff.wait(attempt), LONGEST, "{attempt}");
        }
    }

    #[test]
    fn jitter_never_shortens() {
        let wait = Duration::from_secs(10);
        assert_eq!(jittered(wait, 0.0), wait);
        assert_eq!(jittered(wait, 0.5), Duration::from_secs(11));
        assert_eq!(jittered(wait, 1.0), Duration::from_secs(12));
        assert_eq!(jittered(Duration::ZERO, 1.0), Duration::ZERO);
    }
}
