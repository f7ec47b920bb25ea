//! What follows from an attempt: another one, the next stage, or the end of the event.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::super::attempt::{Context, Delivery, Held, Trouble};
use super::super::plan::Plan;
use super::super::progress;
use super::super::step::{self, Outcome, Stage, Step};
use super::Session;
use crate::delivery::{Failure, jittered};

impl<S, A> Session<S, A>
where
    S: Fn(Arc<Context>, Arc<Plan>, Delivery) -> A,
    A: Future<Output = (Delivery, Outcome)>,
{
    /// What follows from an attempt.
    pub(super) fn settle(&mut self, mut delivery: Delivery, outcome: Outcome) {
        self.in_flight.remove(&delivery.position);
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(delivery.size);
        let stage = delivery.stage;
        if stage == Stage::Subscriber {
            self.resize(&outcome);
        }
        let policy = &self.plan.consumer.policy;
        let has_sink = self.plan.dead_letter_sink.is_some();
        let step = step::next(stage, delivery.attempt, &outcome, policy, has_sink);
        if self.context.feed.is_watched() {
            let told = progress::of_attempt(&self.plan, &delivery, &outcome, step);
            self.context.feed.tell(told);
        }
        if let Outcome::Failed(failure) = outcome {
            if matches!(step, Step::Retry(_)) && !failure.unanswered {
                self.budget.spend(Instant::now());
                self.set_alarm();
            }
            self.note(&mut delivery, failure);
        }
        match step {
            Step::Done => self.done(stage, delivery),
            Step::Gone => {
                self.context.meter.dropped_expired.inc();
                self.leave(delivery);
            }
            Step::Retry(wait) => {
                self.context.meter.retried.inc();
                delivery.attempt = delivery.attempt.saturating_add(1);
                if wait.is_zero() {
                    self.ready.push_back(delivery);
                } else {
                    delivery.content = Held::Not;
                    self.waiting
                        .put(Instant::now() + jittered(wait, rand::random()), delivery);
                    self.set_alarm();
                }
            }
            Step::Move(stage) => {
                if let (Some(trouble), Stage::DeadLetter | Stage::Keep) = (&delivery.trouble, stage) {
                    let context = &self.context;
                    context
                        .reports
                        .given_up(&self.plan, trouble, stage, Instant::now());
                }
                delivery.stage = stage;
                delivery.attempt = 0;
                self.ready.push_back(delivery);
            }
        }
        self.show();
    }

    fn resize(&mut self, outcome: &Outcome) {
        let now = Instant::now();
        match outcome {
            Outcome::Delivered | Outcome::Replied => {
                self.window.grow(now);
                self.budget.earn();
            }
            Outcome::Failed(failure) if failure.unanswered || matches!(failure.code, 429 | 503) => {
                self.window.halve(now);
            }
            Outcome::Failed(_) | Outcome::Gone => {}
        }
    }

    /// Remembers why it failed, for the dead letter.
    fn note(&mut self, delivery: &mut Delivery, failure: Failure) {
        match delivery.stage {
            Stage::Subscriber | Stage::Reply => {}
            Stage::DeadLetter => {
                if let Some(trouble) = &mut delivery.trouble {
                    trouble.sink = Some(failure);
                }
                return;
            }
            Stage::Keep => return,
        }
        let destination = self.plan.destination(delivery.stage).map(str::to_owned);
        delivery.trouble = Some(Box::new(Trouble {
            destination: destination.unwrap_or_default(),
            failure,
            sink: None,
        }));
    }

    fn done(&mut self, stage: Stage, delivery: Delivery) {
        let meter = &self.context.meter;
        match stage {
            Stage::Subscriber | Stage::Reply => {
                meter.delivered.inc();
                if stage == Stage::Reply {
                    meter.replies.inc();
                }
                let took = Timestamp::now().duration_since(delivery.accepted);
                meter.seconds.observe(took.as_secs_f64());
            }
            Stage::DeadLetter => meter.dead_lettered.inc(),
            Stage::Keep => {
                meter.kept.inc();
                self.warn(&delivery);
            }
        }
        self.leave(delivery);
    }

    fn leave(&mut self, delivery: Delivery) {
        self.acks.done(delivery.position);
        if let Some(next) = delivery.key.as_ref().and_then(|key| self.order.leave(key)) {
            self.ready.push_back(next);
        }
    }

    /// Says that events are not delivered, once in a while.
    fn warn(&mut self, delivery: &Delivery) {
        let now = Instant::now();
        let quiet = self
            .warned
            .is_some_and(|warned| now.duration_since(warned) < Duration::from_secs(10));
        if let (Some(trouble), false) = (&delivery.trouble, quiet) {
            self.warned = Some(now);
            let (namespace, consumer) = (&self.plan.consumer.namespace, &self.plan.consumer.object);
            let (destination, code) = (&trouble.destination, trouble.failure.code);
            tracing::warn!(%namespace, %consumer, %destination, code, "Events cannot be delivered and are kept as dead letters");
        }
    }
}
