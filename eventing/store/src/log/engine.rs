//! What the parts of an open log share.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::Semaphore;
use tracing::error;

use super::chunks::Chunks;
use super::commit::{self, Writer, Written};
use super::folder::Folder;
use super::keeper::Dirty;
use super::options::Options;
use super::tail::TailBudget;
use super::topic::{Append, Place, TopicLog};
use crate::{Position, StoreError, Topic};

/// An open log.
pub struct Engine {
    /// What it was told.
    pub options: Options,
    /// Where it is. Dropped, and so unlocked, with the last reader.
    pub folder: Folder,
    /// All topics that were written or subscribed to.
    pub topics: RwLock<HashMap<Topic, Arc<TopicLog>>>,
    /// The newest records in memory.
    pub tails: TailBudget,
    /// Older records in memory.
    pub chunks: Chunks,
    /// What the keeper has to write down.
    pub dirt: Arc<Dirty>,
    /// What was written.
    pub written: Written,
    /// Room for appends that wait, in bytes.
    pub pending: Arc<Semaphore>,
    /// Records found damaged.
    pub damaged: AtomicU64,
    /// Records that retention removed before some consumer had them, once for each such consumer.
    pub dropped: AtomicU64,
    /// Whether places of consumers were found damaged: then an unknown consumer may be one that was known.
    pub places_damaged: bool,
    ready: Mutex<Ready>,
    ready_changed: Condvar,
    sessions: AtomicU64,
    closed: AtomicBool,
}

/// Topics that need a writer.
#[derive(Default)]
struct Ready {
    topics: VecDeque<Arc<TopicLog>>,
    stop: bool,
}

impl Engine {
    /// A log with the topics that were found.
    pub fn new(folder: Folder, options: Options, dirt: Arc<Dirty>, places_damaged: bool) -> Self {
        Self {
            topics: RwLock::default(),
            tails: TailBudget::new(options.tail_bytes),
            chunks: Chunks::new(options.chunk_bytes, folder.salt),
            dirt,
            written: Written::default(),
            pending: Arc::new(Semaphore::new(options.pending_bytes)),
            damaged: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            places_damaged,
            ready: Mutex::default(),
            ready_changed: Condvar::new(),
            sessions: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            folder,
            options,
        }
    }

    /// The time, in microseconds since 1970.
    pub fn now_micros(&self) -> i64 {
        (self.options.clock)().as_microsecond()
    }

    /// A number that no earlier subscription had.
    pub fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether the log is shut down.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The topic, made if it is unknown. Nothing of it is on disk before its first append.
    pub fn topic(&self, name: &Topic) -> Arc<TopicLog> {
        if let Some(topic) = self.topics.read().get(name) {
            return topic.clone();
        }
        let make = || {
            let folder = self.folder.topics().join(name.as_str());
            Arc::new(TopicLog::new(
                name.clone(),
                folder,
                VecDeque::new(),
                1,
                Writer::default(),
            ))
        };
        self.topics
            .write()
            .entry(name.clone())
            .or_insert_with(make)
            .clone()
    }

    /// Gives an append to the writers.
    pub fn enqueue(&self, topic: &Arc<TopicLog>, append: Append) {
        let mut queue = topic.queue.lock();
        queue.appends.push_back(append);
        if !std::mem::replace(&mut queue.scheduled, true) {
            drop(queue);
            let mut ready = self.ready.lock();
            if ready.stop {
                topic.refuse_waiting("the store is closed");
            } else {
                ready.topics.push_back(topic.clone());
                self.ready_changed.notify_one();
            }
        }
    }

    /// Writes until the log is shut down and nothing is left to write: the body of a writer's thread.
    pub fn write(&self) {
        let mut buffer = Vec::new();
        loop {
            let mut ready = self.ready.lock();
            let topic = loop {
                match ready.topics.pop_front() {
                    Some(topic) => break topic,
                    None if ready.stop => return,
                    None => self.ready_changed.wait(&mut ready),
                }
            };
            drop(ready);
            if commit::commit(self, &topic, &mut buffer) {
                // Behind the others: one busy topic does not hold up the rest.
                self.ready.lock().topics.push_back(topic);
                self.ready_changed.notify_one();
            }
            // One large append must not stay in memory for ever.
            buffer.shrink_to(1 << 20);
        }
    }

    /// Ends everything: appends and readers from now on, writers when they have written what waits.
    pub fn shut_down(&self) {
        self.closed.store(true, Ordering::Release);
        self.pending.close();
        self.ready.lock().stop = true;
        self.ready_changed.notify_all();
        for topic in self.topics.read().values() {
            topic.publish(topic.next());
        }
    }

    /// [`TopicLog::locate`], off the async threads if it needs the disk.
    pub async fn locate(&self, topic: &Arc<TopicLog>, position: Position) -> Result<Place, StoreError> {
        if let Some(place) = topic.locate_in_memory(position) {
            return Ok(place);
        }
        let (topic, salt) = (topic.clone(), self.folder.salt);
        blocking(move || topic.locate(salt, position)).await
    }

    /// Counts records that should be there and are not.
    pub fn report_damage(&self, topic: &TopicLog, range: Range<Position>) {
        let added = topic.damaged.lock().add(range.clone());
        if added > 0 {
            self.damaged.fetch_add(added, Ordering::Relaxed);
            error!(topic = %topic.name, first = range.start, last = range.end - 1, "Damaged events are skipped");
        }
    }

    /// Refuses when the disk has too little room left.
    pub fn check_free_space(&self) -> Result<(), StoreError> {
        let least = self.options.least_free_bytes;
        match self.free_bytes() {
            Some(free) if free < least => {
                self.dirt.reclaim();
                Err(StoreError::Full(format!(
                    "{} has {free} bytes free, {least} are kept for others",
                    self.folder.root.display()
                )))
            }
            _ => Ok(()),
        }
    }

    /// Bytes free on the disk, if it says.
    pub fn free_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.folder.root).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// Runs what reads from disk away from the async threads.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(StoreError::Closed("the store is closed")))
}
