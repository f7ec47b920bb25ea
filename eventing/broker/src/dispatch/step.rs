//! What follows from the outcome of an attempt.
//!
//! ```text
//! Subscriber ──delivered──────────────▶ done
//!     │  └──reply for a URL──▶ Reply ──▶ done
//!     │ no attempts left         │ no attempts left
//!     ▼                          ▼
//! DeadLetter (if there is a sink) ──▶ done
//!     │ no attempts left
//!     ▼
//! Keep: into the dead letter topic, until it is stored ──▶ done
//! ```

use std::time::Duration;

use crate::delivery::{Failure, Policy};

/// Where an event is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Subscriber,
    /// The subscriber took it and its reply is on its way to the reply URL.
    Reply,
    DeadLetter,
    /// Nobody takes it: it is to be stored as a dead letter.
    Keep,
}

/// How an attempt ended.
#[derive(Debug)]
pub enum Outcome {
    Delivered,
    /// Delivered, and the answer is to be sent on.
    Replied,
    Failed(Failure),
    /// The record is gone from the store: retention took it before it could be delivered.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Settled at this stage.
    Done,
    Gone,
    /// The same stage again, after a wait to which jitter is still to be added.
    Retry(Duration),
    /// This stage, from its first attempt.
    Move(Stage),
}

/// First wait for a store that does not take a dead letter, and the longest: until it does, the record stays where it
/// is.
const KEEP_WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The step after attempt number `attempt` (from 0) at `stage`.
pub fn next(stage: Stage, attempt: u32, outcome: &Outcome, policy: &Policy, has_sink: bool) -> Step {
    let failure = match outcome {
        Outcome::Delivered => return Step::Done,
        Outcome::Gone => return Step::Gone,
        Outcome::Replied => return Step::Move(Stage::Reply),
        Outcome::Failed(failure) => failure,
    };
    if stage == Stage::Keep {
        let wait = KEEP_WAITS.0.saturating_mul(1 << attempt.min(10));
        return Step::Retry(wait.min(KEEP_WAITS.1));
    }
    match (policy.wait(attempt, failure), stage) {
        (Some(wait), _) => Step::Retry(wait),
        (None, Stage::Subscriber | Stage::Reply) if has_sink => Step::Move(Stage::DeadLetter),
        (None, _) => Step::Move(Stage::Keep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Backoff, BackoffPolicy};

    #[test]
    fn events_go_on_by_the_table() {
        use Stage::{DeadLetter, Keep, Reply, Subscriber};
        let policy = Policy {
            retries: 2,
            backoff: Some(Backoff {
                policy: BackoffPolicy::Exponential,
                delay: Duration::from_secs(1),
            }),
            ..Policy::default()
        };
        let failed = |code| Outcome::Failed(Failure::answered(code, b""));
        let retry = |seconds| Step::Retry(Duration::from_secs(seconds));
        let rows = [
            (Subscriber, 0, Outcome::Delivered, true, Step::Done),
            (Subscriber, 0, Outcome::Replied, true, Step::Move(Reply)),
            (Subscriber, 0, failed(500), true, retry(1)),
            (Subscriber, 1, failed(500), true, retry(2)),
            (Subscriber, 2, failed(500), true, Step::Move(DeadLetter)),
            (Subscriber, 2, failed(500), false, Step::Move(Keep)),
            (Subscriber, 0, failed(400), true, Step::Move(DeadLetter)),
            (Subscriber, 0, failed(302), false, Step::Move(Keep)),
            (Subscriber, 0, Outcome::Gone, true, Step::Gone),
            (Reply, 0, Outcome::Delivered, true, Step::Done),
            (Reply, 0, failed(503), true, retry(1)),
            (Reply, 2, failed(503), true, Step::Move(DeadLetter)),
            (Reply, 0, failed(400), false, Step::Move(Keep)),
            (DeadLetter, 0, Outcome::Delivered, true, Step::Done),
            (DeadLetter, 1, failed(500), true, retry(2)),
            (DeadLetter, 2, failed(500), true, Step::Move(Keep)),
            (DeadLetter, 0, failed(400), true, Step::Move(Keep)),
            (Keep, 0, Outcome::Delivered, false, Step::Done),
            (Keep, 0, failed(507), false, retry(1)),
            (Keep, 5, failed(507), false, retry(32)),
            (Keep, 6, failed(507), false, retry(60)),
            (Keep, u32::MAX, failed(507), false, retry(60)),
        ];
        for (stage, attempt, outcome, has_sink, expected) in rows {
            let step = next(stage, attempt, &outcome, &policy, has_sink);
            assert_eq!(step, expected, "{stage:?} {attempt} {outcome:?} {has_sink}");
        }
    }
}
