//! From a request to the payloads that are stored.

use bytes::Bytes;
use event::{Content, Event, Mode, Str};
use http::HeaderMap;
use jiff::Timestamp;

use super::refusal::Refusal;
use crate::event_types::Kind;
use crate::identity::Access;
use crate::model::{Topic, TopicKind};
use crate::{record, stamp};

/// What one request brings.
#[derive(Debug)]
pub(super) struct Accepted {
    /// How it came, for a metric.
    pub mode: &'static str,
    /// To be stored all or none.
    pub payloads: Vec<Bytes>,
    /// The type of each event.
    pub types: Vec<Str>,
    /// What is made known of them, if it is.
    pub kinds: Vec<Kind>,
}

/// Reads, checks and stamps the events of a request. `sender` is asked for in topics that are guarded; `announce` says
/// whether types are made known.
pub(super) fn accept(
    topic: &Topic,
    sender: Option<&str>,
    announce: bool,
    headers: &HeaderMap,
    body: &Bytes,
    most: usize,
    now: Timestamp,
) -> Result<Accepted, Refusal> {
    let (mode, mut events) = match Content::of(headers)? {
        Content::One(mode) => {
            let event = event::http::read(headers, body.clone())?;
            let mode = match mode {
                Mode::Binary => "binary",
                Mode::Structured => "structured",
            };
            (mode, vec![event])
        }
        Content::Batch => ("batch", event::http::read_batch(body, most)?),
    };
    if let Some(access) = &topic.access {
        permit(topic, access, sender.unwrap_or_default(), &events)?;
    }
    for event in &mut events {
        enter(topic.kind, event, now)?;
    }
    let kinds = if announce {
        events.iter().map(Kind::of).collect()
    } else {
        Vec::new()
    };
    Ok(Accepted {
        mode,
        kinds,
        payloads: events
            .iter()
            .map(|event| record::encode(headers, event))
            .collect(),
        types: events.into_iter().map(|event| event.type_).collect(),
    })
}

/// As they came, before they are stamped. One that is not allowed takes its whole batch with it.
fn permit(topic: &Topic, access: &Access, sender: &str, events: &[Event]) -> Result<(), Refusal> {
    let allowed = |event: &&Event| access.allows(&topic.namespace, sender, event);
    match events.iter().find(|event| !allowed(event)) {
        None => Ok(()),
        Some(refused) => Err(Refusal::Forbidden {
            subject: sender.to_owned(),
            what: format!("events of type {}", refused.type_),
            topic: topic.to_string(),
        }),
    }
}

fn enter(kind: TopicKind, event: &mut Event, now: Timestamp) -> Result<(), Refusal> {
    match kind {
        TopicKind::Broker => stamp::enter_broker(event, now)?,
        TopicKind::Channel => stamp::enter_channel(event, now),
    }
    Ok(())
}
