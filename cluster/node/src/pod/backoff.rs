//! Waiting times that double.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// First wait after a crash or a failed pull (kubelet: 10 s).
const FIRST: SignedDuration = SignedDuration::from_secs(10);
/// Longest wait (kubelet: 5 min).
const LONGEST: SignedDuration = SignedDuration::from_secs(300);
/// A container that ran so long starts with a clean sheet (kubelet: twice the longest wait).
const RESET_AFTER: SignedDuration = SignedDuration::from_secs(600);

/// How long the next attempt has to wait; `None` at first: the first restart is immediate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Backoff(Option<SignedDuration>);

impl Backoff {
    /// The wait before the next attempt.
    pub fn delay(self) -> SignedDuration {
        self.0.unwrap_or(SignedDuration::ZERO)
    }

    /// After another attempt was made.
    pub fn grown(self) -> Self {
        Self(Some(self.0.map_or(FIRST, |delay| (delay * 2).min(LONGEST))))
    }

    /// After a run from `started` to `finished`.
    pub fn after_run(self, started: Timestamp, finished: Timestamp) -> Self {
        match finished.duration_since(started) >= RESET_AFTER {
            true => Self(None),
            false => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_and_reset_after_ten() {
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(backoff.delay().as_secs());
            backoff = backoff.grown();
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(backoff.after_run(at(0), at(599)), backoff);
        assert_eq!(backoff.after_run(at(0), at(600)), Backoff::default());
    }
}
