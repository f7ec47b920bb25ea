//! The durable log on local disk.

mod block;
mod chunks;
mod commit;
mod consumer;
mod cursor;
mod engine;
mod folder;
mod index;
pub mod inspect;
mod journal;
mod keeper;
mod open;
mod options;
mod ranges;
mod retention;
mod segment;
mod state;
mod sweep;
mod tail;
mod topic;
mod walk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;

pub use options::{Clock, Options};
pub use retention::{OverSize, Retention};

use crate::{Consumer, ConsumerName, Position, Record, Start, Store, StoreError, Topic, TopicStatus};
use block::MOST_RECORDS;
use consumer::Subscription;
use cursor::Cursor;
use engine::{Engine, blocking};
use folder::Folder;
use journal::{Fact, Journal, Place as Remembered, TopicPlaces};
use keeper::Dirty;
use state::ConsumerState;
use topic::{Append, Place, TopicLog};

/// Name of the thread that is started, and ended, last.
const KEEPER: &str = "event-keeper";

/// Events on local disk, in a folder that this process has for itself.
pub struct Log {
    engine: Arc<Engine>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a log did since it was opened, and what it has in memory and on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records made durable.
    pub records: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Writes, each of them synced.
    pub syncs: u64,
    /// Nanoseconds in which those syncs ran.
    pub sync_nanos: u64,
    /// Appends that failed, most likely since the disk is full.
    pub failed: u64,
    /// Records found damaged.
    pub damaged: u64,
    /// Records removed before a consumer had them, once for each such consumer.
    pub dropped: u64,
    /// Bytes of the newest records in memory, and their limit.
    pub tail: (usize, usize),
    /// Bytes of older records in memory, and their limit.
    pub chunks: (usize, usize),
    /// Payload bytes of appends that wait for the disk, and their limit.
    pub pending: (usize, usize),
    /// Files of records, over all topics, and their bytes.
    pub files: (usize, u64),
    /// Bytes free on the disk, if it says, and how many of them are left to others.
    pub free: (Option<u64>, u64),
}

impl Log {
    /// Opens or makes the log in `folder`, and mends what a crash left. Blocks for as long as it takes to read the
    /// block headers of each topic's last 64 MiB.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has it, [`StoreError::Damaged`] if it is of an unknown version.
    pub fn open(folder: &Path, options: Options) -> Result<Self, StoreError> {
        let folder = Folder::open(folder)?;
        let (journal, remembered) = Journal::open(&folder.root, folder.salt).map_err(|error| {
            StoreError::io(format!("cannot read places in {}", folder.root.display()), error)
        })?;
        let writers = options.writers.max(1);
        let dirt = Arc::new(Dirty::default());
        let engine = Arc::new(Engine::new(folder, options, dirt, remembered.damaged));
        for name in known_topics(&engine, &remembered.places)? {
            let places = remembered.places.topics.get(name.as_str());
            let topic = open_topic(&engine, name.clone(), places.unwrap_or(&TopicPlaces::default()))?;
            engine.topics.write().insert(name, topic);
        }
        let mut threads = Vec::new();
        for _ in 0..writers {
            let engine = engine.clone();
            threads.push(spawn("event-writer", move || engine.write())?);
        }
        let keeper = engine.clone();
        threads.push(spawn(KEEPER, move || {
            keeper::keep(&keeper, journal, remembered.places)
        })?);
        Ok(Self {
            engine,
            threads: Mutex::new(threads),
        })
    }

    /// What it did, what it has in memory and on disk. Asks the file system.
    pub fn stats(&self) -> Stats {
        let engine = &self.engine;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let pending = engine.options.pending_bytes;
        let mut files = (0, 0);
        for topic in engine.topics.read().values() {
            for segment in topic.segments.read().iter() {
                files = (files.0 + 1, files.1 + segment.bytes());
            }
        }
        Stats {
            records: count(&engine.written.records),
            bytes: count(&engine.written.bytes),
            syncs: count(&engine.written.blocks),
            sync_nanos: count(&engine.written.sync_nanos),
            failed: count(&engine.written.failed),
            damaged: count(&engine.damaged),
            dropped: count(&engine.dropped),
            tail: (engine.tails.bytes(), engine.options.tail_bytes),
            chunks: (engine.chunks.bytes(), engine.options.chunk_bytes),
            pending: (pending - engine.pending.available_permits().min(pending), pending),
            files,
            free: (engine.free_bytes(), engine.options.least_free_bytes),
        }
    }

    /// Applies retention now, instead of within 30 s.
    pub fn sweep(&self) {
        sweep::sweep(&self.engine);
    }

    async fn append_all(&self, topic: Topic, payloads: Vec<Bytes>) -> Result<Position, StoreError> {
        let engine = &self.engine;
        let closed = || StoreError::Closed("the store is closed");
        let bytes: usize = payloads.iter().map(Bytes::len).sum();
        let limit = engine.options.append_bytes.min(block::MOST_BYTES);
        if bytes > limit || payloads.len() > MOST_RECORDS {
            return Err(StoreError::TooLarge {
                bytes,
                records: payloads.len(),
                limit,
                most: MOST_RECORDS,
            });
        }
        if engine.is_closed() {
            return Err(closed());
        }
        let topic = engine.topic(&topic);
        if payloads.is_empty() {
            return Ok(topic.next() - 1);
        }
        let room = u32::try_from(bytes.clamp(1, engine.options.pending_bytes)).unwrap_or(u32::MAX);
        let permit = engine
            .pending
            .clone()
            .acquire_many_owned(room)
            .await
            .map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        let append = Append {
            payloads,
            bytes,
            answer,
            _room: permit,
        };
        engine.enqueue(&topic, append);
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn begin(
        &self,
        topic: Topic,
        consumer: ConsumerName,
        start: Start,
    ) -> Result<Box<dyn Consumer>, StoreError> {
        let engine = self.engine.clone();
        if engine.is_closed() {
            return Err(StoreError::Closed("the store is closed"));
        }
        let topic = engine.topic(&topic);
        let known = topic.consumers.lock().get(&consumer).cloned();
        let state = match known {
            Some(state) => state,
            None => {
                let low = resolve(&engine, &topic, start).await?;
                let place = Remembered {
                    cursor: Cursor::new(low),
                    lost: 0,
                    seen_micros: engine.now_micros(),
                };
                let make = || {
                    ConsumerState::new(
                        consumer.clone(),
                        Arc::downgrade(&topic),
                        engine.dirt.clone(),
                        place,
                    )
                };
                topic
                    .consumers
                    .lock()
                    .entry(consumer.clone())
                    .or_insert_with(make)
                    .clone()
            }
        };
        let subscription = Subscription::begin(engine.clone(), topic.clone(), state.clone());
        let fact = Fact::Consumer(topic.name.to_string(), consumer.to_string(), state.place());
        engine.dirt.write(fact).await?;
        Ok(Box::new(subscription))
    }

    async fn forget_consumer(&self, topic: Topic, consumer: ConsumerName) -> Result<(), StoreError> {
        let Some(topic) = self.engine.topics.read().get(&topic).cloned() else {
            return Ok(());
        };
        let Some(state) = topic.consumers.lock().remove(&consumer) else {
            return Ok(());
        };
        state.close();
        let fact = Fact::Forgotten(topic.name.to_string(), consumer.to_string());
        self.engine.dirt.write(fact).await
    }

    async fn remove_topic(&self, name: Topic) -> Result<(), StoreError> {
        let Some(topic) = self.engine.topics.read().get(&name).cloned() else {
            return Ok(());
        };
        let removing = topic.clone();
        let beside = self.engine.folder.topics();
        blocking(move || {
            // Until the sync of what is being written has ended.
            let mut writer = removing.writer.lock();
            removing.close();
            removing
                .consumers
                .lock()
                .values()
                .for_each(|consumer| consumer.close());
            *writer = commit::Writer::default();
            delete(&removing.folder, &beside)
        })
        .await?;
        let remembered = self.engine.dirt.write(Fact::Removed(name.to_string())).await;
        self.engine.topics.write().remove(&name);
        remembered
    }

    async fn read_records(
        &self,
        topic: Topic,
        from: Position,
        most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let Some(topic) = self.engine.topics.read().get(&topic).cloned() else {
            return Ok(Vec::new());
        };
        let mut records: Vec<Record> = Vec::new();
        let mut at = from.max(topic.first());
        while records.len() < most && at < topic.next() {
            let (found, end) = match self.engine.locate(&topic, at).await? {
                Place::Gap(end) => (None, end),
                Place::Chunk(segment, chunk) => {
                    (Some(self.engine.chunks.read(&segment, chunk).await?), chunk.end)
                }
            };
            let found = found.unwrap_or_default();
            for gap in consumer::gaps(&found, at, end) {
                self.engine.report_damage(&topic, gap);
            }
            let wanted = found.iter().filter(|record| record.position >= at);
            records.extend(wanted.take(most - records.len()).cloned());
            at = end;
        }
        Ok(records)
    }

    async fn topic_status(&self, topic: Topic) -> Result<TopicStatus, StoreError> {
        let engine = self.engine.clone();
        if engine.is_closed() {
            return Err(StoreError::Closed("the store is closed"));
        }
        let Some(topic) = engine.topics.read().get(&topic).cloned() else {
            return Ok(TopicStatus {
                first: 1,
                next: 1,
                ..TopicStatus::default()
            });
        };
        blocking(move || {
            let oldest = topic.segments.read().front().cloned();
            let oldest = oldest.and_then(|segment| segment.first_micros(engine.folder.salt).ok().flatten());
            Ok(TopicStatus {
                oldest: oldest.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok()),
                ..topic.status()
            })
        })
        .await
    }

    async fn end(&self) {
        let (engine, threads) = (self.engine.clone(), std::mem::take(&mut *self.threads.lock()));
        let ended = blocking(move || {
            shut_down(&engine, threads);
            Ok(())
        });
        drop(ended.await);
    }
}

impl Store for Log {
    fn append(&self, topic: &Topic, payloads: Vec<Bytes>) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.append_all(topic.clone(), payloads).boxed()
    }

    fn subscribe(
        &self,
        topic: &Topic,
        consumer: &ConsumerName,
        start: Start,
    ) -> BoxFuture<'_, Result<Box<dyn Consumer>, StoreError>> {
        self.begin(topic.clone(), consumer.clone(), start).boxed()
    }

    fn forget(&self, topic: &Topic, consumer: &ConsumerName) -> BoxFuture<'_, Result<(), StoreError>> {
        self.forget_consumer(topic.clone(), consumer.clone()).boxed()
    }

    fn remove(&self, topic: &Topic) -> BoxFuture<'_, Result<(), StoreError>> {
        self.remove_topic(topic.clone()).boxed()
    }

    fn status(&self, topic: &Topic) -> BoxFuture<'_, Result<TopicStatus, StoreError>> {
        self.topic_status(topic.clone()).boxed()
    }

    fn read(
        &self,
        topic: &Topic,
        from: Position,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        self.read_records(topic.clone(), from, most).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.end().boxed()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        shut_down(&self.engine, std::mem::take(self.threads.get_mut()));
    }
}

/// Writers first, then the keeper, which writes down what they did.
fn shut_down(engine: &Engine, threads: Vec<JoinHandle<()>>) {
    engine.shut_down();
    for thread in threads {
        if thread.thread().name() == Some(KEEPER) {
            engine.dirt.stop();
        }
        let _ = thread.join();
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let thread = std::thread::Builder::new().name(name.into());
    thread
        .spawn(body)
        .map_err(|error| StoreError::io("cannot start a thread of the event log", error))
}

/// Topics that have a folder or are remembered.
fn known_topics(engine: &Engine, places: &journal::Places) -> Result<Vec<Topic>, StoreError> {
    let mut names = open::topics(&engine.folder.topics())?;
    names.extend(
        places
            .topics
            .keys()
            .filter_map(|name| Topic::new(name.as_str()).ok()),
    );
    names.sort();
    names.dedup();
    Ok(names)
}

fn open_topic(engine: &Engine, name: Topic, places: &TopicPlaces) -> Result<Arc<TopicLog>, StoreError> {
    let folder = engine.folder.topics().join(name.as_str());
    let topic = Arc::new(open::topic(name, folder, engine.folder.salt, places)?);
    let mut consumers = topic.consumers.lock();
    for (name, place) in &places.consumers {
        if let Ok(name) = ConsumerName::new(name.as_str()) {
            let me = Arc::downgrade(&topic);
            let state = ConsumerState::new(name.clone(), me, engine.dirt.clone(), place.clone());
            consumers.insert(name, state);
        }
    }
    drop(consumers);
    Ok(topic)
}

/// The position at which a consumer starts that has no place yet.
async fn resolve(engine: &Arc<Engine>, topic: &Arc<TopicLog>, start: Start) -> Result<Position, StoreError> {
    let start = if engine.places_damaged {
        Start::Earliest
    } else {
        start
    };
    let time = match start {
        Start::Earliest => return Ok(topic.first()),
        Start::Latest => return Ok(topic.next()),
        Start::At(time) => time,
    };
    let next = topic.next();
    let (searched, salt) = (topic.clone(), engine.folder.salt);
    let mut at = blocking(move || searched.before(salt, time.as_microsecond())).await?;
    while at < next {
        let end = match engine.locate(topic, at).await? {
            Place::Gap(end) => end,
            Place::Chunk(segment, chunk) => {
                let records = engine.chunks.read(&segment, chunk).await?;
                if let Some(record) = records.iter().find(|record| record.time >= time) {
                    return Ok(record.position);
                }
                chunk.end
            }
        };
        at = end;
    }
    Ok(at)
}

/// Deletes a topic's folder so that after a crash all of it or nothing is there.
fn delete(folder: &Path, beside: &Path) -> Result<(), StoreError> {
    if !folder.exists() {
        return Ok(());
    }
    let failed = |error| StoreError::io(format!("cannot remove {}", folder.display()), error);
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let gone = beside.join(format!("{}{:x}-{name}", open::REMOVED, rand::random::<u32>()));
    std::fs::rename(folder, &gone).map_err(failed)?;
    folder::sync_parent(&gone).map_err(failed)?;
    std::fs::remove_dir_all(&gone).map_err(failed)
}
