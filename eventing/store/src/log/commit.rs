//! Writing: one thread at a time takes what waits for a topic, writes it as one block, syncs, and answers.
//!
//! While the sync runs the next block's appends gather in the queue; nobody waits for a timer. Only the last block of
//! a topic can be half-written, since the next one is not begun before its sync ended.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::{error, warn};

use super::block::{self, HEADER, Header, MOST_RECORDS};
use super::engine::Engine;
use super::folder::sync_parent;
use super::index::Index;
use super::segment::Segment;
use super::topic::{Append, TopicLog, records};
use crate::{Position, StoreError};

/// Payload bytes after which a block takes no further append.
const BLOCK: usize = 512 << 10;

/// Time without a write after which a topic's file is closed.
const IDLE: Duration = Duration::from_secs(60);

/// The side of a topic that writes.
#[derive(Default)]
pub struct Writer {
    active: Option<Active>,
    /// The last time given: times never go back within a topic.
    micros: i64,
}

struct Active {
    segment: Arc<Segment>,
    /// Open while it is written to now and then.
    file: Option<File>,
    used: Instant,
    /// Where the next block goes: everything before it is durable, everything after it is rubbish.
    end: u64,
    /// Whether there may be something after `end`.
    rubbish: bool,
}

/// What a log did since it was opened.
#[derive(Debug, Default)]
pub struct Written {
    /// Records that were made durable.
    pub records: AtomicU64,
    /// Their payload bytes.
    pub bytes: AtomicU64,
    /// Blocks they were written in.
    pub blocks: AtomicU64,
    /// Time spent waiting for the disk.
    pub sync_nanos: AtomicU64,
    /// Appends that failed.
    pub failed: AtomicU64,
}

impl Writer {
    /// Goes on in a segment that was found, or in none.
    pub fn new(found: Option<Arc<Segment>>, end: u64, micros: i64) -> Self {
        let active = found.map(|segment| Active {
            file: None,
            used: Instant::now(),
            segment,
            end,
            rubbish: true,
        });
        Self { active, micros }
    }

    /// Closes the file if it was not written to for some time, so that idle topics take no descriptors.
    pub fn rest(&mut self) {
        if let Some(active) = self.active.as_mut().filter(|active| active.used.elapsed() > IDLE) {
            active.file = None;
        }
    }

    /// Ends the active segment, so that retention can take it. A new and empty one keeps the topic's place in the
    /// sequence of positions.
    pub fn roll(&mut self, topic: &TopicLog) -> io::Result<()> {
        self.active = None;
        self.begin(topic, topic.next()).map(drop)
    }

    fn begin(&mut self, topic: &TopicLog, base: Position) -> io::Result<&mut Active> {
        if !topic.folder.exists() {
            std::fs::create_dir_all(&topic.folder)?;
            sync_parent(&topic.folder)?;
        }
        let path = Segment::path(&topic.folder, base);
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&path)?;
        sync_parent(&path)?;
        let segment = Arc::new(Segment::new(path, base, Index::new(base, 0)));
        let mut segments = topic.segments.write();
        // One without records has the same name.
        if segments.back().is_some_and(|last| last.base == base) {
            segments.pop_back();
        }
        segments.push_back(segment.clone());
        Ok(self.active.insert(Active {
            segment,
            file: Some(file),
            used: Instant::now(),
            end: 0,
            rubbish: false,
        }))
    }
}

/// Stores one block of what waits for `topic`; whether more is waiting.
pub fn commit(engine: &Engine, topic: &Arc<TopicLog>, buffer: &mut Vec<u8>) -> bool {
    let mut writer = topic.writer.lock();
    let batch = take_batch(topic);
    if !batch.is_empty() {
        match store(engine, topic, &mut writer, &batch, buffer) {
            Ok((first, header)) => answer(engine, topic, first, &header, batch),
            Err(error) => {
                engine
                    .written
                    .failed
                    .fetch_add(batch.len() as u64, Ordering::Relaxed);
                for append in batch {
                    let _ = append.answer.send(Err(error.clone()));
                }
            }
        }
    }
    let mut queue = topic.queue.lock();
    queue.scheduled = !queue.appends.is_empty();
    queue.scheduled
}

fn take_batch(topic: &TopicLog) -> Vec<Append> {
    let mut queue = topic.queue.lock();
    let (mut batch, mut bytes, mut records) = (Vec::new(), 0, 0);
    while let Some(append) = queue.appends.front() {
        bytes += append.bytes;
        records += append.payloads.len();
        if !batch.is_empty() && (bytes > BLOCK || records > MOST_RECORDS) {
            break;
        }
        batch.extend(queue.appends.pop_front());
    }
    batch
}

/// Writes and syncs one block. After an error nothing of it is left, or what is left is cut off before the next one.
fn store(
    engine: &Engine,
    topic: &TopicLog,
    writer: &mut Writer,
    batch: &[Append],
    buffer: &mut Vec<u8>,
) -> Result<(Position, Header), StoreError> {
    if topic.is_closed() {
        return Err(StoreError::Closed("the topic is removed"));
    }
    if engine.options.retention.refuses(topic.bytes()) {
        return Err(StoreError::Full(format!(
            "the topic has {} bytes that were not delivered to everyone",
            topic.bytes()
        )));
    }
    engine.check_free_space()?;
    let first = topic.next();
    writer.micros = writer.micros.max(engine.now_micros());
    let time = jiff::Timestamp::from_microsecond(writer.micros).unwrap_or_default();
    let payloads = batch.iter().flat_map(|append| &append.payloads);
    buffer.clear();
    block::encode(engine.folder.salt, first, time, payloads, buffer);
    let header = buffer
        .get(..HEADER)
        .and_then(|bytes| Header::read(engine.folder.salt, bytes));
    let header = header.ok_or(StoreError::Closed("an append is too large"))?;

    let full = writer
        .active
        .as_ref()
        .is_none_or(|active| active.end >= engine.options.segment_bytes);
    let active = if full {
        writer.begin(topic, first)
    } else {
        writer
            .active
            .as_mut()
            .ok_or_else(|| io::Error::other("no segment"))
    };
    let active = active.map_err(|error| {
        StoreError::io(
            format!("cannot begin a file for events of {topic}", topic = topic.name),
            error,
        )
    })?;
    let path = active.segment.path.clone();
    let failed = |what: &str, error| StoreError::io(format!("cannot {what} {}", path.display()), error);
    let opened = match active.file.take() {
        Some(file) => Ok(file),
        None => OpenOptions::new().write(true).open(&path),
    };
    let file = match opened {
        Ok(file) => active.file.insert(file),
        Err(error) => {
            // Someone took it away: the next block goes elsewhere.
            writer.active = None;
            return Err(failed("open", error));
        }
    };
    active.used = Instant::now();
    if active.rubbish {
        file.set_len(active.end)
            .map_err(|error| failed("shorten", error))?;
        active.rubbish = false;
    }
    if let Err(error) = file.write_all_at(buffer, active.end) {
        active.rubbish = file.set_len(active.end).is_err();
        return Err(failed("write", error));
    }
    let started = Instant::now();
    if let Err(error) = file.sync_data() {
        // What the kernel still holds of this file is unknown now. It is left alone, and the next block goes elsewhere.
        error!(%error, path = %path.display(), "Events could not be synced");
        let error = failed("sync", error);
        if let Err(error) = file.set_len(active.end) {
            warn!(%error, path = %path.display(), "Events that were not acknowledged stay on disk");
        }
        writer.active = None;
        return Err(error);
    }
    engine
        .written
        .sync_nanos
        .fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
    active.segment.add(active.end, &header);
    active.end += header.length();
    Ok((first, header))
}

fn answer(engine: &Engine, topic: &Arc<TopicLog>, first: Position, header: &Header, batch: Vec<Append>) {
    engine.written.blocks.fetch_add(1, Ordering::Relaxed);
    engine
        .written
        .records
        .fetch_add(u64::from(header.count), Ordering::Relaxed);
    let bytes: usize = batch.iter().map(|append| append.bytes).sum();
    engine.written.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    let (mut ends, mut payloads, mut position) = (Vec::with_capacity(batch.len()), Vec::new(), first);
    for append in batch {
        position += append.payloads.len() as u64;
        payloads.extend(append.payloads);
        ends.push((append.answer, position - 1));
    }
    if !topic.consumers.lock().is_empty() {
        engine
            .tails
            .push(topic, records(first, header, payloads.into_iter()));
    }
    topic.publish(position);
    for (answer, last) in ends {
        let _ = answer.send(Ok(last));
    }
    if !topic.dirty.swap(true, Ordering::AcqRel) {
        engine.dirt.topic(topic.clone());
    }
}
