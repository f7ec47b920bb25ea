//! One attempt: what is sent, and what is made of the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::Event;
use event_store::{Position, Store};
use http::header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER, TRANSFER_ENCODING};
use jiff::Timestamp;
use tokio::time::Instant;

use super::dead_letters::{DeadLetter, Notice};
use super::decoded::{Events, Loaded};
use super::feed::{Feed, ReplyFate};
use super::metrics::Meter;
use super::order::Key;
use super::plan::{Plan, Reply};
use super::report::Reports;
use super::step::{Outcome, Stage};
use crate::client::{Answer, BrokenBody, Endpoint, Want};
use crate::delivery::outcome::{Content, MAX_DATA};
use crate::delivery::{Failure, Path, Verdict, dead_letter, headers, outcome, parse_retry_after};
use crate::event_types::{EventTypes, Kind};
use crate::{record, stamp};

/// Largest reply. Ingress takes events of about this size, too.
const MAX_REPLY: usize = 4 * 1024 * 1024;

/// One event on its way to one subscriber.
#[derive(Debug)]
pub struct Delivery {
    pub position: Position,
    /// When the event was stored.
    pub accepted: Timestamp,
    /// Bytes of its record.
    pub size: usize,
    pub stage: Stage,
    /// Attempts made at this stage.
    pub attempt: u32,
    pub key: Option<Key>,
    pub content: Held,
    /// Set once it has failed, for dead letters.
    pub trouble: Option<Box<Trouble>>,
    /// What the subscriber answered, on its way to the reply URL.
    pub reply: Option<Box<(HeaderMap, Bytes)>>,
    pub last: Last,
}

/// How the last attempt went, as far as its outcome does not say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Last {
    /// The status, if one was answered.
    pub code: Option<u16>,
    pub took: Duration,
    pub reply: Option<ReplyFate>,
}

/// Whether the event is in memory. What waits for long is read from the store again.
#[derive(Debug)]
pub enum Held {
    Shared(Events, usize),
    Own(Box<Loaded>),
    Not,
}

/// Why an event is a dead letter.
#[derive(Debug)]
pub struct Trouble {
    pub destination: String,
    pub failure: Failure,
    /// Why the dead letter sink did not take it.
    pub sink: Option<Failure>,
}

/// What attempts need.
pub struct Context {
    pub store: Arc<dyn Store>,
    pub meter: Meter,
    pub feed: Arc<Feed>,
    pub reports: Reports,
    pub event_types: Option<Arc<EventTypes>>,
}

impl Held {
    pub fn get(&self) -> Option<&Loaded> {
        match self {
            Self::Shared(events, index) => events.get(*index)?.as_ref(),
            Self::Own(loaded) => Some(loaded),
            Self::Not => None,
        }
    }
}

/// Makes one attempt at the delivery's stage.
pub async fn attempt(context: Arc<Context>, plan: Arc<Plan>, mut delivery: Delivery) -> (Delivery, Outcome) {
    delivery.last = Last::default();
    if delivery.content.get().is_none() {
        // Before it is read again: of a target that is out of reach thousands of events may wait, and reading each of
        // them for each of its attempts would be taken from all others.
        if is_in_vain(&plan, delivery.stage, delivery.attempt, Instant::now()) {
            return (delivery, Outcome::Failed(not_tried()));
        }
        match Box::pin(load(&context, &plan, &delivery)).await {
            Ok(Some(loaded)) => delivery.content = Held::Own(Box::new(loaded)),
            Ok(None) => return (delivery, Outcome::Gone),
            Err(failure) => return (delivery, Outcome::Failed(failure)),
        }
    }
    let (mut last, began) = (Last::default(), Instant::now());
    let outcome = match (delivery.content.get(), delivery.stage) {
        (None, _) => Outcome::Gone,
        (Some(loaded), Stage::Subscriber) => {
            let reply = &mut delivery.reply;
            to_subscriber(&context, &plan, loaded, reply, delivery.attempt, &mut last).await
        }
        (Some(_), Stage::Reply) => Box::pin(to_reply(&plan, &delivery, &mut last)).await,
        (Some(loaded), Stage::DeadLetter) => {
            Box::pin(to_dead_letter_sink(&plan, loaded, &delivery, &mut last)).await
        }
        (Some(loaded), Stage::Keep) => Box::pin(keep(&context, &plan, loaded, &delivery)).await,
    };
    last.took = began.elapsed();
    if let (Some(loaded), true) = (delivery.content.get(), delivery.stage != Stage::Keep) {
        let attempts = &context.meter.attempts;
        attempts.observe(&loaded.event.type_, last.code, last.took);
    }
    delivery.last = last;
    (delivery, outcome)
}

/// Whether an attempt would not be made, as its target is known to be out of reach and it is not the last one.
fn is_in_vain(plan: &Plan, stage: Stage, attempt: u32, now: Instant) -> bool {
    let endpoint = match stage {
        Stage::Subscriber => plan.subscriber.as_ref().ok(),
        Stage::Reply => match &plan.reply {
            Reply::To(endpoint) => endpoint.as_ref().ok(),
            Reply::Topic | Reply::Dropped => None,
        },
        Stage::DeadLetter => plan.dead_letter_sink.as_ref().and_then(|sink| sink.as_ref().ok()),
        Stage::Keep => None,
    };
    attempt < plan.consumer.policy.retries && endpoint.is_some_and(|endpoint| endpoint.circuit().refuses(now))
}

fn not_tried() -> Failure {
    Failure::transport(&"not tried, as the last attempts got no answer")
}

/// Reads the event again; `None` if it is gone.
async fn load(context: &Context, plan: &Plan, delivery: &Delivery) -> Result<Option<Loaded>, Failure> {
    let read = context.store.read(&plan.topic.key, delivery.position, 1).await;
    let records = read.map_err(|error| Failure::transport(&error))?;
    let record = records
        .into_iter()
        .find(|record| record.position == delivery.position);
    Ok(record.and_then(|record| Loaded::read(record.position, record.payload)))
}

async fn to_subscriber(
    context: &Context,
    plan: &Plan,
    loaded: &Loaded,
    reply: &mut Option<Box<(HeaderMap, Bytes)>>,
    attempt: u32,
    last: &mut Last,
) -> Outcome {
    let endpoint = match &plan.subscriber {
        Ok(endpoint) => endpoint,
        // A 404, as upstream's filter answers: it is tried again.
        Err(reason) => return Outcome::Failed(Failure::answered(404, reason.as_bytes())),
    };
    let mode = plan.consumer.policy.format.unwrap_or(loaded.event.mode);
    let message = || {
        let (mut headers, body) = event::http::write(&loaded.event, mode);
        set_headers(&mut headers, plan, &loaded.headers);
        (headers, body)
    };
    let answer = match ask(endpoint, plan, attempt, message, plan.path, last).await {
        Ok(answer) => answer,
        Err(failure) => return Outcome::Failed(failure),
    };
    match read_answer(answer, plan.path) {
        Read::Delivered => Outcome::Delivered,
        Read::Failed(failure) => Outcome::Failed(failure),
        Read::Reply(answer_headers, event) => {
            let taking = take_reply(context, plan, loaded, *event, &answer_headers, reply, last);
            Box::pin(taking).await
        }
    }
}

/// What an answer comes to.
enum Read {
    Delivered,
    Reply(HeaderMap, Box<Event>),
    Failed(Failure),
}

fn read_answer(answer: Answer, path: Path) -> Read {
    let status = answer.status.as_u16();
    let content = content(
        &answer.headers,
        !answer.body.is_empty() || has_body(&answer.headers),
    );
    let bad_reply = |error: &dyn std::fmt::Display| match outcome::malformed_reply(path) {
        Verdict::BadReply => Read::Failed(Failure::bad_reply(error)),
        _ => Read::Delivered,
    };
    match outcome::verdict(path, status, content) {
        Verdict::Delivered => Read::Delivered,
        Verdict::BadReply if answer.body.is_empty() && answer.broken.is_none() => Read::Delivered,
        Verdict::BadReply => bad_reply(&"the answer has a body that is no CloudEvent"),
        Verdict::Reply => match answer.broken {
            None => match event::http::read(&answer.headers, answer.body) {
                Ok(event) => Read::Reply(answer.headers, Box::new(event)),
                Err(error) => bad_reply(&error),
            },
            Some(error @ BrokenBody::TooLarge(_)) => bad_reply(&error),
            // Not known what it would have been: as if there had been no answer.
            Some(error) => Read::Failed(Failure {
                unanswered: false,
                ..Failure::transport(&error)
            }),
        },
        Verdict::Failed => {
            let asked = answer
                .headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok());
            Read::Failed(Failure {
                retry_after: asked.and_then(|value| parse_retry_after(value, Timestamp::now())),
                ..Failure::answered(status, &answer.body)
            })
        }
    }
}

fn content(headers: &HeaderMap, has_body: bool) -> Content {
    if event::http::is_event(headers) {
        Content::Event
    } else if has_body {
        Content::Other
    } else {
        Content::Empty
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    match headers.get(CONTENT_LENGTH) {
        Some(length) => length != "0",
        None => headers.contains_key(TRANSFER_ENCODING),
    }
}

/// POSTs, if the target is not known to be out of reach, and tells its circuit what came of it. The last attempt is
/// always made: no event is given up on the word of others alone.
async fn ask(
    endpoint: &Endpoint,
    plan: &Plan,
    attempt: u32,
    message: impl Fn() -> (HeaderMap, Bytes),
    path: Path,
    last: &mut Last,
) -> Result<Answer, Failure> {
    let policy = &plan.consumer.policy;
    let circuit = endpoint.circuit();
    if !circuit.passes(Instant::now()) && attempt < policy.retries {
        return Err(not_tried());
    }
    let want = |status: http::StatusCode, headers: &HeaderMap, has_body: bool| match outcome::verdict(
        path,
        status.as_u16(),
        content(headers, has_body),
    ) {
        Verdict::Delivered => Want::Nothing,
        Verdict::Reply => Want::Whole(MAX_REPLY),
        Verdict::BadReply => Want::Start(1),
        Verdict::Failed => Want::Start(MAX_DATA),
    };
    match endpoint.send(policy.timeout, message, want).await {
        Ok(answer) => {
            circuit.answered();
            last.code = Some(answer.status.as_u16());
            Ok(answer)
        }
        Err(error) => {
            circuit.unanswered(Instant::now());
            Err(Failure::transport(&error))
        }
    }
}

/// Headers beside the attributes.
fn set_headers(headers: &mut HeaderMap, plan: &Plan, passed: &HeaderMap) {
    for (name, value) in passed {
        headers.append(name, value.clone());
    }
    headers.insert(headers::PREFER, headers::PREFER_REPLY);
    headers.insert(headers::KN_NAMESPACE, plan.namespace.clone());
}

async fn take_reply(
    context: &Context,
    plan: &Plan,
    loaded: &Loaded,
    mut event: Event,
    answer_headers: &HeaderMap,
    reply: &mut Option<Box<(HeaderMap, Bytes)>>,
    last: &mut Last,
) -> Outcome {
    match &plan.reply {
        Reply::Dropped => Outcome::Delivered,
        Reply::Topic => {
            // The rounds of the event it answers, whatever the subscriber wrote there.
            event.remove_extension(stamp::TTL);
            if let Some(ttl) = loaded.ttl {
                event.set_extension(stamp::TTL, ttl);
            }
            if let Err(error) = stamp::enter_broker(&mut event, Timestamp::now()) {
                tracing::warn!(%error, namespace = plan.topic.namespace, trigger = plan.consumer.object, "Reply dropped");
                context.meter.dropped_reply_ttl.inc();
                last.reply = Some(ReplyFate::NoRoundsLeft);
                return Outcome::Delivered;
            }
            let payload = record::encode(answer_headers, &event);
            match context.store.append(&plan.topic.key, vec![payload]).await {
                Ok(position) => {
                    context.meter.replies.inc();
                    if let Some(types) = context.event_types.as_ref().filter(|types| types.enabled()) {
                        types.see(&plan.topic, &Kind::of(&event));
                    }
                    last.reply = Some(ReplyFate::Stored(position));
                    Outcome::Delivered
                }
                // The whole delivery is made again, as the spec asks for.
                Err(error) => Outcome::Failed(Failure {
                    unanswered: false,
                    ..Failure::transport(&error)
                }),
            }
        }
        Reply::To(_) => {
            event.remove_extension(stamp::TTL);
            let (mut headers, body) = event::http::write(&event, event.mode);
            for (name, value) in headers::passed(answer_headers) {
                headers.append(name, value.clone());
            }
            headers.insert(headers::KN_NAMESPACE, plan.namespace.clone());
            *reply = Some(Box::new((headers, body)));
            Outcome::Replied
        }
    }
}

async fn to_reply(plan: &Plan, delivery: &Delivery, last: &mut Last) -> Outcome {
    let (Reply::To(endpoint), Some(reply)) = (&plan.reply, &delivery.reply) else {
        // The plan changed: nobody wants it any more.
        return Outcome::Delivered;
    };
    match endpoint {
        Ok(endpoint) => {
            let message = || (reply.0.clone(), reply.1.clone());
            settle(ask(endpoint, plan, delivery.attempt, message, Path::Sink, last).await)
        }
        Err(reason) => Outcome::Failed(Failure::answered(404, reason.as_bytes())),
    }
}

async fn to_dead_letter_sink(plan: &Plan, loaded: &Loaded, delivery: &Delivery, last: &mut Last) -> Outcome {
    let endpoint = match &plan.dead_letter_sink {
        Some(Ok(endpoint)) => endpoint,
        Some(Err(reason)) => return Outcome::Failed(Failure::answered(404, reason.as_bytes())),
        None => return Outcome::Failed(Failure::answered(400, b"there is no dead letter sink any more")),
    };
    let event = dead_letter_event(loaded, delivery);
    let mode = plan.consumer.policy.format.unwrap_or(event.mode);
    let message = || {
        let (mut headers, body) = event::http::write(&event, mode);
        set_headers(&mut headers, plan, &loaded.headers);
        (headers, body)
    };
    settle(ask(endpoint, plan, delivery.attempt, message, Path::Sink, last).await)
}

fn settle(answer: Result<Answer, Failure>) -> Outcome {
    match answer.map(|answer| read_answer(answer, Path::Sink)) {
        Ok(Read::Delivered | Read::Reply(..)) => Outcome::Delivered,
        Ok(Read::Failed(failure)) | Err(failure) => Outcome::Failed(failure),
    }
}

/// The event as it was accepted, rounds included, with the reasons of its failure.
fn dead_letter_event(loaded: &Loaded, delivery: &Delivery) -> Event {
    let mut event = loaded.event.clone();
    if let Some(ttl) = loaded.ttl {
        event.set_extension(stamp::TTL, ttl);
    }
    if let Some(trouble) = &delivery.trouble {
        let extensions = dead_letter::extensions(&trouble.destination, &trouble.failure);
        event.set_extension(dead_letter::DESTINATION, extensions.destination);
        event.set_extension(dead_letter::CODE, extensions.code);
        match extensions.data {
            Some(data) => event.set_extension(dead_letter::DATA, data),
            None => drop(event.remove_extension(dead_letter::DATA)),
        }
    }
    event
}

/// Stores a dead letter that no sink takes.
async fn keep(context: &Context, plan: &Plan, loaded: &Loaded, delivery: &Delivery) -> Outcome {
    let trouble = delivery.trouble.as_deref();
    let mut event = loaded.event.clone();
    if let Some(ttl) = loaded.ttl {
        event.set_extension(stamp::TTL, ttl);
    }
    let letter = DeadLetter {
        notice: Notice {
            namespace: plan.consumer.namespace.clone(),
            topic: plan.topic.name.clone(),
            consumer: plan.consumer.object.clone(),
            destination: trouble
                .map(|trouble| trouble.destination.clone())
                .unwrap_or_default(),
            code: trouble.map_or(500, |trouble| trouble.failure.code),
            data: trouble.map(|trouble| text(&trouble.failure)).unwrap_or_default(),
            sink_error: trouble.and_then(|trouble| trouble.sink.as_ref()).map(text),
            time: Timestamp::now(),
            accepted: delivery.accepted,
            position: delivery.position,
        },
        record: record::encode(&loaded.headers, &event),
    };
    let Some(topic) = DeadLetter::topic(&plan.topic.key) else {
        return Outcome::Delivered;
    };
    let stored = match letter.encode() {
        Ok(payload) => context.store.append(&topic, vec![payload]).await.map(|_| ()),
        Err(error) => {
            tracing::error!(%error, "Dead letter lost");
            Ok(())
        }
    };
    match stored {
        Ok(()) => Outcome::Delivered,
        Err(error) => {
            tracing::warn!(%error, namespace = plan.consumer.namespace, consumer = plan.consumer.object, "Dead letter not stored yet");
            Outcome::Failed(Failure::transport(&error))
        }
    }
}

/// Why an attempt failed, in words.
pub fn text(failure: &Failure) -> String {
    let text = String::from_utf8_lossy(&failure.data).into_owned();
    if text.is_empty() {
        format!("status {}", failure.code)
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::client::{Client, Config};
    use crate::dispatch::tests::support::{consumer, retries, target};
    use crate::model::{Backend, Topic, TopicKind};

    #[test]
    fn what_would_not_be_tried_is_not_read_again() {
        let topic = Arc::new(Topic {
            key: event_store::Topic::new("t").unwrap(),
            kind: TopicKind::Broker,
            namespace: "ns".to_owned(),
            name: "b".to_owned(),
            backend: Backend::Embedded,
            consumers: Vec::new(),
            access: None,
        });
        let mut consumer = consumer("c", TopicKind::Broker, Some("http://a/"));
        consumer.policy = retries(3, 10);
        consumer.dead_letter_sink = Some(target("http://b/"));
        let plan = Plan::new(&Client::new(Config::default()), &topic, &Arc::new(consumer));
        let now = Instant::now();
        let in_vain = |stage, attempt| is_in_vain(&plan, stage, attempt, now);
        assert!(!in_vain(Stage::Subscriber, 1));
        let circuit = plan.subscriber.as_ref().unwrap().circuit();
        // As many as open it.
        for _ in 0..5 {
            circuit.unanswered(now);
        }
        for (stage, attempt, expected) in [
            (Stage::Subscriber, 0, true),
            (Stage::Subscriber, 2, true),
            // The last attempt is always made.
            (Stage::Subscriber, 3, false),
            (Stage::DeadLetter, 1, false),
            (Stage::Reply, 1, false),
            (Stage::Keep, 1, false),
        ] {
            assert_eq!(in_vain(stage, attempt), expected, "{stage:?} {attempt}");
        }
        // Its turn to probe comes.
        assert!(!is_in_vain(
            &plan,
            Stage::Subscriber,
            1,
            now + Duration::from_secs(1)
        ));
    }
}
