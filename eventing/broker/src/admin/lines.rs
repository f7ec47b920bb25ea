//! Records of a topic as lines of JSON.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use event::{Event, Mode};
use event_store::{Position, Record, Store, StoreError, Topic};
use futures::{Stream, stream};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use super::following::{After, Following};
use crate::dispatch::{DeadLetter, Notice};
use crate::record;

/// Records that are read at once.
const BATCH: usize = 64;

/// What the records are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Event,
    DeadLetter,
}

/// When the lines end.
pub(super) enum End {
    /// With the last record that there is.
    Last,
    /// When the data plane does, or a moment after the most records that are wanted.
    Never(Box<Following>),
}

/// Reads record after record, no further ahead than one batch.
pub(super) struct Lines {
    store: Arc<dyn Store>,
    topic: Topic,
    next: Position,
    left: usize,
    shape: Shape,
    end: End,
    read: VecDeque<Record>,
    _slot: OwnedSemaphorePermit,
}

impl Lines {
    pub(super) fn new(
        store: Arc<dyn Store>,
        topic: Topic,
        next: Position,
        left: usize,
        shape: Shape,
        end: End,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            store,
            topic,
            next,
            left,
            shape,
            end,
            read: VecDeque::new(),
            _slot: slot,
        }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, StoreError>> {
        stream::try_unfold(self, |mut lines| async move {
            let line = lines.line().await?;
            Ok(line.map(|line| (line, lines)))
        })
    }

    async fn line(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            while self.left > 0
                && let Some(record) = self.read.pop_front()
            {
                self.next = record.position + 1;
                if let Some(line) = line(self.shape, record) {
                    self.left -= 1;
                    return Ok(Some(line));
                }
            }
            if let End::Never(following) = &mut self.end {
                following.hear();
                if let Some(line) = following.line(self.next) {
                    return Ok(Some(line));
                }
            }
            if self.left > 0 {
                self.read = self.store.read(&self.topic, self.next, BATCH).await?.into();
                if !self.read.is_empty() {
                    continue;
                }
            }
            match &mut self.end {
                End::Last => return Ok(None),
                End::Never(following) => match following.wait(self.left > 0).await {
                    After::Look => {}
                    After::Line(line) => return Ok(Some(line)),
                    After::End => return Ok(None),
                },
            }
        }
    }
}

/// One line. What is kept of an event is shown in structured form.
#[derive(Serialize)]
struct Line<'a> {
    position: Position,
    /// When it was stored.
    time: jiff::Timestamp,
    /// What became of it, if it is a dead letter.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    notice: Option<Told<'a>>,
    /// The one consumer that it was sent again to.
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<&'a str>,
    event: Box<RawValue>,
}

#[derive(Serialize)]
struct Told<'a> {
    failure: &'a Notice,
}

/// `None` if the record is not what it should be: dispatch has told that.
fn line(shape: Shape, record: Record) -> Option<Bytes> {
    let (notice, payload) = match shape {
        Shape::Event => (None, record.payload),
        Shape::DeadLetter => {
            let letter = DeadLetter::decode(record.payload).ok()?;
            (Some(letter.notice), letter.record)
        }
    };
    let kept = record::decode(payload).ok()?;
    let line = Line {
        position: record.position,
        time: record.time,
        notice: notice.as_ref().map(|failure| Told { failure }),
        only: kept.only.as_deref(),
        event: shown(&kept.event)?,
    };
    let mut out = serde_json::to_vec(&line).ok()?;
    out.push(b'\n');
    Some(Bytes::from(out))
}

fn shown(event: &Event) -> Option<Box<RawValue>> {
    let (_, body) = event::http::write(event, Mode::Structured);
    // JSON data may have been sent over several lines, and this is to be one.
    let compact: serde_json::Value = serde_json::from_slice(&body).ok()?;
    serde_json::value::to_raw_value(&compact).ok()
}
