//! What is known of one topic while the log is open.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::block::{self, Salt};
use super::commit::Writer;
use super::index::Chunk;
use super::ranges::Ranges;
use super::segment::Segment;
use super::state::ConsumerState;
use super::tail::Tail;
use crate::{ConsumerName, Position, Record, StoreError, Topic, TopicStatus};

/// One topic. Locks are taken in the order of the fields, and none but `writer` is held during I/O.
pub struct TopicLog {
    /// Its name.
    pub name: Topic,
    /// Where its segments are; made by the first append.
    pub folder: PathBuf,
    /// The side that writes: held by one thread during a write and its sync.
    pub writer: Mutex<Writer>,
    /// Appends that wait.
    pub queue: Mutex<Queue>,
    /// Oldest first. Positions between the end of one and the base of the next are lost.
    pub segments: RwLock<VecDeque<Arc<Segment>>>,
    /// The newest records.
    pub tail: RwLock<Tail>,
    /// Everyone who has a place here.
    pub consumers: Mutex<BTreeMap<ConsumerName, Arc<ConsumerState>>>,
    /// Positions found damaged.
    pub damaged: Mutex<Ranges>,
    /// Whether the keeper is going to write down how far this is acknowledged.
    pub dirty: AtomicBool,
    durable: AtomicU64,
    wake: watch::Sender<Position>,
    closed: AtomicBool,
}

/// Appends that wait for a writer.
#[derive(Default)]
pub struct Queue {
    /// In order of arrival.
    pub appends: VecDeque<Append>,
    /// Whether a writer has the topic, or it is in the list of those that need one.
    pub scheduled: bool,
}

/// One append.
pub struct Append {
    /// What to store.
    pub payloads: Vec<Bytes>,
    /// Bytes of all payloads.
    pub bytes: usize,
    /// Who waits for the position of the last one.
    pub answer: oneshot::Sender<Result<Position, StoreError>>,
    /// Room in the queue, given back when this is dropped.
    pub _room: OwnedSemaphorePermit,
}

/// Where to read.
pub enum Place {
    /// In this chunk, which may begin before or after what was asked for.
    Chunk(Arc<Segment>, Chunk),
    /// There is nothing before this position.
    Gap(Position),
}

impl TopicLog {
    /// A topic with what was found on disk.
    pub fn new(
        name: Topic,
        folder: PathBuf,
        segments: VecDeque<Arc<Segment>>,
        next: Position,
        writer: Writer,
    ) -> Self {
        Self {
            name,
            folder,
            writer: Mutex::new(writer),
            queue: Mutex::default(),
            segments: RwLock::new(segments),
            tail: RwLock::default(),
            consumers: Mutex::default(),
            damaged: Mutex::default(),
            dirty: AtomicBool::new(false),
            durable: AtomicU64::new(next),
            wake: watch::Sender::new(next),
            closed: AtomicBool::new(false),
        }
    }

    /// The position after the last acknowledged record.
    pub fn next(&self) -> Position {
        self.durable.load(Ordering::Acquire)
    }

    /// Tells everyone who waits that records before `next` can be read.
    pub fn publish(&self, next: Position) {
        self.durable.store(next, Ordering::Release);
        self.wake.send_replace(next);
    }

    /// Resolves each time [`TopicLog::next`] or [`TopicLog::is_closed`] changes.
    pub fn changes(&self) -> watch::Receiver<Position> {
        self.wake.subscribe()
    }

    /// Ends the topic for everyone who has it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake.send_replace(self.next());
        self.refuse_waiting("the topic is removed");
    }

    /// Answers appends that will not be written.
    pub fn refuse_waiting(&self, reason: &'static str) {
        for append in std::mem::take(&mut self.queue.lock().appends) {
            let _ = append.answer.send(Err(StoreError::Closed(reason)));
        }
    }

    /// Whether it was removed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Position of the oldest record that is kept.
    pub fn first(&self) -> Position {
        let next = self.next();
        self.segments
            .read()
            .front()
            .map_or(next, |segment| segment.base.min(next))
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.bytes()).sum()
    }

    /// [`TopicLog::locate`] if that needs no disk.
    pub fn locate_in_memory(&self, position: Position) -> Option<Place> {
        let (segment, until) = match self.segment_of(position) {
            Ok(found) => found,
            Err(until) => return Some(Place::Gap(until)),
        };
        let chunk = segment.with_loaded_index(|index| index.chunk(position))?;
        Some(chunk.map_or(Place::Gap(until), |chunk| Place::Chunk(segment, chunk)))
    }

    /// Where to read to get the record at `position`, or else the next one that there is. Reads from disk.
    pub fn locate(&self, salt: Salt, position: Position) -> Result<Place, StoreError> {
        let (segment, until) = match self.segment_of(position) {
            Ok(found) => found,
            Err(until) => return Ok(Place::Gap(until)),
        };
        let chunk = segment
            .with_index(salt, until, |index| index.chunk(position))
            .map_err(|error| StoreError::io(format!("cannot read {}", segment.path.display()), error));
        match chunk {
            Ok(Some(chunk)) => Ok(Place::Chunk(segment, chunk)),
            Ok(None) => Ok(Place::Gap(until)),
            // Retention took it between the look at the list and the opening.
            Err(_) if self.first() > position => Ok(Place::Gap(self.first())),
            Err(error) => Err(error),
        }
    }

    /// The segment that may have `position`, and the base of the next one. Without one, only the latter.
    fn segment_of(&self, position: Position) -> Result<(Arc<Segment>, Position), Position> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base <= position);
        let until = segments
            .get(after)
            .map_or_else(|| self.next(), |segment| segment.base);
        let found = after.checked_sub(1).and_then(|index| segments.get(index));
        found.map(|segment| (segment.clone(), until)).ok_or(until)
    }

    /// The first position whose record was stored at `micros` or later, to within a chunk. Reads from disk.
    pub fn before(&self, salt: Salt, micros: i64) -> Result<Position, StoreError> {
        let segments: Vec<_> = self.segments.read().iter().cloned().collect();
        let mut until = self.next();
        for segment in segments.iter().rev() {
            let failed = |error| StoreError::io(format!("cannot read {}", segment.path.display()), error);
            // A segment whose first header is damaged tells no time: look further back.
            if segment
                .first_micros(salt)
                .map_err(failed)?
                .is_some_and(|first| first < micros)
            {
                let chunk = segment.with_index(salt, until, |index| {
                    index
                        .chunk_before(micros)
                        .map_or(segment.base, |chunk| index.start_of(chunk))
                });
                return chunk.map_err(failed);
            }
            until = segment.base;
        }
        Ok(self.first())
    }

    /// What there is, without the time of the oldest record.
    pub fn status(&self) -> TopicStatus {
        let consumers = self
            .consumers
            .lock()
            .values()
            .map(|consumer| consumer.status())
            .collect();
        TopicStatus {
            first: self.first(),
            next: self.next(),
            bytes: self.bytes(),
            oldest: None,
            damaged: self.damaged.lock().count(),
            consumers,
        }
    }
}

/// The records of a block that was just written.
pub fn records(
    first: Position,
    header: &block::Header,
    payloads: impl Iterator<Item = Bytes>,
) -> Arc<[Record]> {
    let time = header.time();
    (first..)
        .zip(payloads)
        .map(|(position, payload)| Record {
            position,
            time,
            payload,
        })
        .collect()
}
