//! Events about Triggers and Subscriptions whose deliveries fail for good, for `kubectl describe`.

use std::time::Duration;

use crds::eventing::Trigger;
use crds::messaging::Subscription;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;
use reconciler::Recorder;
use tokio::time::Instant;

use super::attempt::{Trouble, text};
use super::plan::Plan;
use super::step::Stage;
use crate::model::{Consumer, ConsumerKind};

/// The least time between two reports about one consumer: a hint is enough, the dead letters are all kept elsewhere.
const QUIET: Duration = Duration::from_secs(30);
/// Most characters of an answer that are repeated.
const ANSWER: usize = 256;
const REASON: &str = "DeliveryFailed";

/// Reports of one consumer.
pub struct Reports {
    recorder: Recorder,
    last: Mutex<Option<Instant>>,
}

impl Reports {
    pub fn new(recorder: Recorder) -> Self {
        Self {
            recorder,
            last: Mutex::new(None),
        }
    }

    /// An event is not delivered and moves to `stage`.
    pub fn given_up(&self, plan: &Plan, trouble: &Trouble, stage: Stage, now: Instant) {
        if !self.is_due(now) {
            return;
        }
        let (consumer, message) = (&plan.consumer, message(trouble, stage));
        match consumer.kind {
            ConsumerKind::Trigger => {
                let mut about = Trigger::new(&consumer.object, Default::default());
                about.metadata = metadata(consumer);
                self.recorder.warning(&about, REASON, message);
            }
            ConsumerKind::Subscription => {
                let mut about = Subscription::new(&consumer.object, Default::default());
                about.metadata = metadata(consumer);
                self.recorder.warning(&about, REASON, message);
            }
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.last.lock();
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= QUIET);
        if due {
            *last = Some(now);
        }
        due
    }
}

fn metadata(consumer: &Consumer) -> ObjectMeta {
    ObjectMeta {
        name: Some(consumer.object.clone()),
        namespace: Some(consumer.namespace.clone()),
        uid: Some(consumer.uid.clone()),
        ..ObjectMeta::default()
    }
}

fn message(trouble: &Trouble, stage: Stage) -> String {
    let destination = match trouble.destination.as_str() {
        "" => "the subscriber",
        url => url,
    };
    let answer: String = text(&trouble.failure).chars().take(ANSWER).collect();
    let fate = match stage {
        Stage::DeadLetter => "They go to the dead letter sink.",
        _ => "They are kept as dead letters.",
    };
    let code = trouble.failure.code;
    format!("Events cannot be delivered to {destination}; the last answer (code {code}): {answer}\n{fate}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Failure;

    #[test]
    fn reports_are_rare() {
        let reports = Reports::new(Recorder::silent());
        let start = Instant::now();
        let due: Vec<bool> = [0, 1, 29, 30, 31, 60]
            .map(|seconds| reports.is_due(start + Duration::from_secs(seconds)))
            .into();
        assert_eq!(due, [true, false, false, true, false, true]);
    }

    #[test]
    fn reports_say_what_was_answered() {
        let trouble = Trouble {
            destination: "http://a/".to_owned(),
            failure: Failure::answered(503, "é".repeat(1000).as_bytes()),
            sink: None,
        };
        let text = message(&trouble, Stage::Keep);
        assert!(text.starts_with("Events cannot be delivered to http://a/; the last answer (code 503): éé"));
        assert!(text.ends_with("They are kept as dead letters.") && text.chars().count() < 400);
        assert!(message(&trouble, Stage::DeadLetter).ends_with("dead letter sink."));
    }
}
