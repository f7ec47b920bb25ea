//! Batches read once for all consumers that are at the same place.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use event::{Event, Str};
use event_store::{Batch, Position};
use http::HeaderMap;
use parking_lot::Mutex;

use crate::model::Consumer;
use crate::record;
use crate::stamp::TTL;

/// Batches of a topic that are held for consumers that come to them a little later.
const RECENT: usize = 4;

/// One event as it is delivered.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Without its TTL.
    pub event: Event,
    pub ttl: Option<i32>,
    /// What travels beside it.
    pub headers: HeaderMap,
    /// The one consumer that it is sent again to.
    only: Option<Str>,
}

impl Loaded {
    /// `None` if the record is no event; it is told in the log.
    pub fn read(position: Position, payload: Bytes) -> Option<Self> {
        match record::decode(payload) {
            Ok(record) => {
                let mut event = record.event;
                let ttl = event.remove_extension(TTL);
                Some(Self {
                    event,
                    ttl: ttl.and_then(|ttl| ttl.borrow().as_integer()),
                    headers: record.headers,
                    only: record.only,
                })
            }
            Err(error) => {
                tracing::error!(%error, position, "A record is no event");
                None
            }
        }
    }

    /// Whether `consumer` gets it. One that it is sent again to had it before, so its filter is not asked once more.
    pub fn is_for(&self, consumer: &Consumer) -> bool {
        match &self.only {
            Some(only) => only == consumer.name.as_str(),
            None => consumer.filter.matches(&self.event),
        }
    }
}

/// The events of a batch, in its order; `None` where the record is no event.
pub type Events = Arc<[Option<Loaded>]>;

/// The batches of one topic that were read last.
#[derive(Debug, Default)]
pub struct Decoder(Mutex<VecDeque<Arc<Slot>>>);

#[derive(Debug)]
struct Slot {
    first: Position,
    len: usize,
    events: OnceLock<Events>,
}

impl Decoder {
    pub fn decode(&self, batch: &Batch) -> Events {
        let Some(first) = batch.first().map(|record| record.position) else {
            return Arc::default();
        };
        let slot = self.slot(first, batch.len());
        // Others who want the same batch wait for it here, which is shorter than to read it again.
        let read = || {
            batch
                .iter()
                .map(|record| Loaded::read(record.position, record.payload.clone()))
                .collect()
        };
        slot.events.get_or_init(read).clone()
    }

    fn slot(&self, first: Position, len: usize) -> Arc<Slot> {
        let mut recent = self.0.lock();
        if let Some(slot) = recent.iter().find(|slot| slot.first == first && slot.len == len) {
            return slot.clone();
        }
        if recent.len() >= RECENT {
            recent.pop_front();
        }
        let slot = Arc::new(Slot {
            first,
            len,
            events: OnceLock::new(),
        });
        recent.push_back(slot.clone());
        slot
    }

    /// Lets go of what is held. Called when nothing came for a while.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use event_store::Record;
    use jiff::Timestamp;

    use super::*;

    fn batch(from: Position, count: u64) -> Batch {
        let record = |position: Position| {
            let mut event = Event::new(position.to_string().as_str(), "/me", "dev.example");
            event.set_extension(TTL, 255);
            Record {
                position,
                time: Timestamp::UNIX_EPOCH,
                payload: record::encode(&HeaderMap::new(), &event),
            }
        };
        Batch::new((from..from + count).map(record).collect())
    }

    #[test]
    fn consumers_at_the_same_place_share_what_was_read() {
        let decoder = Decoder::default();
        let (one, two) = (decoder.decode(&batch(1, 3)), decoder.decode(&batch(1, 3)));
        assert!(Arc::ptr_eq(&one, &two));
        assert_eq!(decoder.decode(&batch(1, 2)).len(), 2);
        let loaded = one[1].as_ref().unwrap();
        assert_eq!((&*loaded.event.id, loaded.ttl), ("2", Some(255)));
        assert_eq!(loaded.event.get(TTL), None, "subscribers do not see it");
    }

    #[test]
    fn what_is_held_is_bounded() {
        let decoder = Decoder::default();
        for first in 1..100 {
            decoder.decode(&batch(first, 1));
        }
        assert_eq!(decoder.0.lock().len(), RECENT);
    }

    #[test]
    fn records_that_are_no_events_leave_a_gap() {
        let record = |position, payload: &'static [u8]| Record {
            position,
            time: Timestamp::UNIX_EPOCH,
            payload: Bytes::from_static(payload),
        };
        let events = Decoder::default().decode(&Batch::new([record(1, b""), record(2, b"noise")].into()));
        assert!(events.iter().all(Option::is_none));
    }
}
