//! Whether a target is known to be out of reach.
//!
//! Only attempts without any answer count: a refused connection, a name that does not resolve, a time limit. Such
//! failures say something about the target, whichever event was sent; a status, even a 500, may be about the event.
//!
//! Closed: attempts pass. After [`THRESHOLD`] failures in a row it opens, and attempts are refused until a pause has
//! passed; then one probe passes. Its success closes the circuit, its failure opens it for twice the pause.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Unanswered attempts in a row that open a circuit.
pub const THRESHOLD: u32 = 5;
/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Circuit(Mutex<State>);

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failures: u32,
    },
    /// Refuses until then. A probe that passed sets it to the end of the next pause, so a probe that nobody reports
    /// on (its consumer was removed) does not keep the circuit open for ever.
    Open {
        until: Instant,
        pause: Duration,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Circuit {
    /// Whether an attempt may be made now.
    pub fn passes(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        match &mut *state {
            State::Closed { .. } => true,
            State::Open { until, .. } if now < *until => false,
            State::Open { until, pause } => {
                *until = now + *pause;
                true
            }
        }
    }

    /// Whether an attempt would be refused now. Asking takes nobody's place.
    pub fn refuses(&self, now: Instant) -> bool {
        matches!(*self.0.lock(), State::Open { until, .. } if now < until)
    }

    /// Something was answered.
    pub fn answered(&self) {
        *self.0.lock() = State::default();
    }

    /// Nothing was answered.
    pub fn unanswered(&self, now: Instant) {
        let mut state = self.0.lock();
        *state = match *state {
            State::Closed { failures } if failures + 1 < THRESHOLD => State::Closed {
                failures: failures + 1,
            },
            State::Closed { .. } => State::Open {
                until: now + FIRST_PAUSE,
                pause: FIRST_PAUSE,
            },
            State::Open { pause, .. } => {
                let pause = (pause * 2).min(LONGEST_PAUSE);
                State::Open {
                    until: now + pause,
                    pause,
                }
            }
        };
    }

    pub fn is_open(&self) -> bool {
        matches!(*self.0.lock(), State::Open { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Circuit {
        let circuit = Circuit::default();
        for _ in 0..THRESHOLD {
            assert!(circuit.passes(now));
            circuit.unanswered(now);
        }
        circuit
    }

    #[test]
    fn opens_after_failures_in_a_row() {
        let now = Instant::now();
        let circuit = Circuit::default();
        for _ in 1..THRESHOLD {
            circuit.unanswered(now);
        }
        assert!(circuit.passes(now));
        circuit.answered();
        circuit.unanswered(now);
        assert!(circuit.passes(now), "an answer starts the count again");
        assert!(!opened(now).passes(now));
    }

    #[test]
    fn one_probe_passes_after_the_pause() {
        let now = Instant::now();
        let circuit = opened(now);
        let later = now + FIRST_PAUSE;
        assert!(circuit.refuses(now) && !circuit.refuses(later));
        assert!(!circuit.refuses(later), "asking is no probe");
        assert!(circuit.passes(later));
        assert!(circuit.refuses(later));
        assert!(!circuit.passes(later), "one probe at a time");
        circuit.answered();
        assert!(circuit.passes(later) && circuit.passes(later));
    }

    #[test]
    fn a_failed_probe_doubles_the_pause() {
        let mut now = Instant::now();
        let circuit = opened(now);
        let mut pause = FIRST_PAUSE;
        for _ in 0..10 {
            now += pause;
            assert!(circuit.passes(now));
            circuit.unanswered(now);
            pause = (pause * 2).min(LONGEST_PAUSE);
            assert!(!circuit.passes(now + pause - Duration::from_millis(1)));
        }
        assert_eq!(pause, LONGEST_PAUSE);
    }

    #[test]
    fn a_probe_that_nobody_reports_on_is_followed_by_another() {
        let now = Instant::now();
        let circuit = opened(now);
        assert!(circuit.passes(now + FIRST_PAUSE));
        assert!(circuit.passes(now + 2 * FIRST_PAUSE));
    }
}
