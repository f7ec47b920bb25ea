//! From a request to the payloads that are stored.

use bytes::Bytes;
use event::{Content, Event, Mode, Str};
use http::HeaderMap;
use jiff::Timestamp;

use super::refusal::Refusal;
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
}

/// Reads, checks and stamps the events of a request.
pub(super) fn accept(
    topic: &Topic,
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
    for event in &mut events {
        enter(topic.kind, event, now)?;
    }
    Ok(Accepted {
        mode,
        payloads: events
            .iter()
            .map(|event| record::encode(headers, event))
            .collect(),
        types: events.into_iter().map(|event| event.type_).collect(),
    })
}

fn enter(kind: TopicKind, event: &mut Event, now: Timestamp) -> Result<(), Refusal> {
    match kind {
        TopicKind::Broker => stamp::enter_broker(event, now)?,
        TopicKind::Channel => stamp::enter_channel(event, now),
    }
    Ok(())
}
