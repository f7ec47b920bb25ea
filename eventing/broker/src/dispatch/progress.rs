//! What is told of an attempt to those who watch.

use event_store::Position;
use jiff::Timestamp;

use super::attempt::{Delivery, text};
use super::feed::{Attempt, Progress, What};
use super::plan::Plan;
use super::step::{Outcome, Stage, Step};

/// What became of the event by an attempt at `stage`, and by the step that follows from it.
fn what(stage: Stage, step: Step) -> What {
    match (step, stage) {
        (Step::Gone, _) => What::Expired,
        (Step::Retry(_), _) => What::Retry,
        (Step::Move(Stage::Reply), _) => What::Replied,
        (Step::Move(_), _) => What::Failed,
        (Step::Done, Stage::Subscriber | Stage::Reply) => What::Delivered,
        (Step::Done, Stage::DeadLetter) => What::DeadLettered,
        (Step::Done, Stage::Keep) => What::Kept,
    }
}

pub fn of_attempt(plan: &Plan, delivery: &Delivery, outcome: &Outcome, step: Step) -> Progress {
    let last = &delivery.last;
    let destination = plan.destination(delivery.stage);
    let attempt = Attempt {
        number: delivery.attempt.saturating_add(1),
        destination: destination.unwrap_or_default().to_owned(),
        code: last.code,
        seconds: last.took.as_secs_f64(),
        reason: match outcome {
            Outcome::Failed(failure) => Some(text(failure)),
            _ => None,
        },
        wait: match step {
            Step::Retry(wait) => Some(wait.as_secs_f64()),
            _ => None,
        },
        reply: last.reply,
    };
    Progress {
        attempt: Some(attempt),
        ..of(plan, delivery.position, what(delivery.stage, step))
    }
}

pub fn filtered(plan: &Plan, position: Position) -> Progress {
    of(plan, position, What::Filtered)
}

fn of(plan: &Plan, position: Position, outcome: What) -> Progress {
    Progress {
        position,
        time: Timestamp::now(),
        consumer: plan.consumer.object.clone(),
        outcome,
        attempt: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_step_is_told() {
        use Stage::{DeadLetter, Keep, Reply, Subscriber};
        for (stage, step, expected) in [
            (Subscriber, Step::Done, What::Delivered),
            (Reply, Step::Done, What::Delivered),
            (DeadLetter, Step::Done, What::DeadLettered),
            (Keep, Step::Done, What::Kept),
            (Subscriber, Step::Move(Reply), What::Replied),
            (Subscriber, Step::Move(DeadLetter), What::Failed),
            (DeadLetter, Step::Move(Keep), What::Failed),
            (Keep, Step::Retry(Duration::ZERO), What::Retry),
            (Subscriber, Step::Gone, What::Expired),
        ] {
            assert_eq!(what(stage, step), expected, "{stage:?} {step:?}");
        }
    }
}
