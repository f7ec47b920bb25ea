//! Exponential back-off with jitter.

use std::time::Duration;

use rand::Rng;

/// Pauses that double from `first` to `max`, each shortened at random by up to a quarter so that many waiters do
/// not come back at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            failures: 0,
        }
    }

    /// How long to wait now; each call counts one more failure.
    pub fn pause(&mut self) -> Duration {
        let pause = exponential(self.first, self.max, self.failures);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(rand::rng().random_range(0.75..=1.0))
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// `first · 2^failures`, at most `max`.
pub fn exponential(first: Duration, max: Duration, failures: u32) -> Duration {
    // 2^31 first steps are longer than any limit in use; a larger factor would not fit.
    first.saturating_mul(1_u32 << failures.min(31)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let (first, max) = (Duration::from_millis(10), Duration::from_secs(1));
        for (failures, expected) in [(0, 10), (1, 20), (3, 80), (7, 1000), (200, 1000)] {
            assert_eq!(exponential(first, max, failures), Duration::from_millis(expected));
        }
    }

    #[test]
    fn jitter_shortens_by_a_quarter_at_most_and_reset_starts_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(60));
        for expected in [100, 200, 400] {
            let pause = backoff.pause();
            assert!(
                pause <= Duration::from_millis(expected) && pause >= Duration::from_millis(expected * 3 / 4)
            );
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(100));
    }
}
