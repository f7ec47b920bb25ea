//! What of a batch is for the consumer, one event after the other.

use std::future::Future;
use std::sync::Arc;

use event_store::{Batch, Position};

use super::super::attempt::{Context, Delivery, Held, Last};
use super::super::decoded::{Events, Loaded};
use super::super::order::Key;
use super::super::plan::Plan;
use super::super::progress;
use super::super::step::{Outcome, Stage};
use super::Session;

/// A matched event is copied out of a batch of which less than this share matched, so that it does not hold the whole
/// batch in memory.
const SPARSE: usize = 8;

/// The rest of the batch that was read last.
pub(super) struct Current {
    batch: Batch,
    events: Events,
    /// Indexes of the events that the filter let pass.
    matched: std::vec::IntoIter<usize>,
    sparse: bool,
}

impl<S, A> Session<S, A>
where
    S: Fn(Arc<Context>, Arc<Plan>, Delivery) -> A,
    A: Future<Output = (Delivery, Outcome)>,
{
    /// Filters a batch. What does not pass is settled.
    pub(super) fn take(&mut self, batch: Batch) {
        let meter = &self.context.meter;
        meter.dropped_expired.inc_by(batch.lost());
        let events = self.decoder.decode(&batch);
        let consumer = &self.plan.consumer;
        let mut matched = Vec::new();
        let mut unread = 0;
        // The first record after the last one that passed.
        let mut from = batch.first().map_or(0, |record| record.position);
        let mut next = from;
        for (index, (record, event)) in batch.iter().zip(events.iter()).enumerate() {
            let passes = match event {
                Some(loaded) => loaded.is_for(consumer),
                None => {
                    unread += 1;
                    false
                }
            };
            next = record.position + 1;
            if !passes && event.is_some() && self.context.feed.is_watched_thoroughly() {
                let told = progress::filtered(&self.plan, record.position);
                self.context.feed.tell(told);
            }
            if passes {
                if from < record.position {
                    self.acks.done_range(from..record.position);
                }
                from = next;
                matched.push(index);
            }
        }
        if from < next {
            self.acks.done_range(from..next);
        }
        meter
            .filtered
            .inc_by((batch.len() - matched.len()) as u64 - unread);
        meter.dropped_unreadable.inc_by(unread);
        if !matched.is_empty() {
            self.current = Some(Current {
                sparse: matched.len() * SPARSE < batch.len(),
                matched: matched.into_iter(),
                events,
                batch,
            });
        }
    }

    pub(super) fn next_event(&mut self) -> Option<Delivery> {
        let current = self.current.as_mut()?;
        let Some(index) = current.matched.next() else {
            self.current = None;
            return None;
        };
        let (record, loaded) = (current.batch.get(index)?, current.events.get(index)?.as_ref()?);
        let attribute = self.plan.consumer.order_by.as_deref();
        let key = attribute.and_then(|name| loaded.event.get(name));
        Some(Delivery {
            position: record.position,
            accepted: record.time,
            size: record.payload.len(),
            stage: Stage::Subscriber,
            attempt: 0,
            key: key.map(|value| Key::from(value.text())),
            content: match current.sparse {
                false => Held::Shared(current.events.clone(), index),
                true => match Loaded::read(record.position, record.detached().payload) {
                    Some(loaded) => Held::Own(Box::new(loaded)),
                    None => Held::Not,
                },
            },
            trouble: None,
            reply: None,
            last: Last::default(),
        })
    }

    /// What passed the filter and was not begun yet.
    pub(super) fn unread(&self) -> impl Iterator<Item = Position> {
        let current = self.current.iter();
        current.flat_map(|current| {
            let left = current.matched.as_slice().iter();
            left.filter_map(|index| Some(current.batch.get(*index)?.position))
        })
    }
}
