//! The one thread that changes the store.
//!
//! It commits whatever is waiting when it becomes free: alone, a write is synced at once; under load, up to
//! [`BATCH`] share a sync. Deferred writes are shown immediately and ride along with the next batch, or go after
//! [`DEFER`]; only the newest state of each key is kept for that.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::oneshot;
use tracing::warn;

use super::backend::{Backend, Batch};
use super::state::State;
use super::{Change, Durability, Expect, Object, Write, WriteError};

/// Writes that share one sync at most.
const BATCH: usize = 64;
/// How long a deferred write may stay in memory only.
const DEFER: Duration = Duration::from_secs(3);
/// Deferred keys kept at most before they are written anyway.
const MAX_DEFERRED: usize = 2048;
/// Free space that makes a disk writable again, beside some batches of the size that it refused: the engine grows its
/// file in steps.
const ROOM: u64 = 1 << 20;
/// Revisions that are reserved on disk in advance, so that deferred writes need no sync to get one.
const RESERVED: u64 = 10_000;

pub(super) enum Message {
    Write(Request),
    Close(oneshot::Sender<()>),
}

pub(super) struct Request {
    pub(super) write: Write,
    pub(super) reply: oneshot::Sender<Result<Arc<Object>, WriteError>>,
}

/// A change that passed its checks and has its revision.
struct Accepted {
    key: String,
    object: Arc<Object>,
    removed: bool,
    reply: oneshot::Sender<Result<Arc<Object>, WriteError>>,
}

pub(super) struct Writer {
    backend: Box<dyn Backend>,
    shared: Arc<RwLock<State>>,
    /// Newest revision given out.
    revision: u64,
    /// Revisions up to here are known to the disk as used.
    ceiling: u64,
    /// Shown to readers but not yet on disk: deferred changes, and keys of a failed batch, whose state on disk is unknown.
    unwritten: HashMap<String, Option<Bytes>>,
    unwritten_since: Option<Instant>,
    /// What the last commit failed with, for whoever asks about health.
    trouble: Trouble,
    /// Bytes of the largest batch that was refused since the trouble began.
    refused: Option<u64>,
}

/// Why writes are refused; `None` if they are not.
pub(super) type Trouble = Arc<Mutex<Option<String>>>;

impl Writer {
    pub(super) fn new(
        backend: Box<dyn Backend>,
        shared: Arc<RwLock<State>>,
        revision: u64,
        trouble: Trouble,
    ) -> Self {
        Self {
            trouble,
            refused: None,
            backend,
            shared,
            revision,
            ceiling: revision,
            unwritten: HashMap::new(),
            unwritten_since: None,
        }
    }

    /// Works until it is closed or every handle is gone.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let first = match self.unwritten_since {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => messages.recv_timeout(DEFER.saturating_sub(since.elapsed())),
            };
            let mut requests = Vec::new();
            let mut close = None;
            match first {
                Ok(Message::Write(request)) => requests.push(request),
                Ok(Message::Close(reply)) => close = Some(reply),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            while close.is_none() && requests.len() < BATCH {
                match messages.try_recv() {
                    Ok(Message::Write(request)) => requests.push(request),
                    Ok(Message::Close(reply)) => close = Some(reply),
                    Err(_) => break,
                }
            }
            self.process(requests);
            if let Some(reply) = close {
                self.finish();
                // Whoever is told that the store is closed may open its file.
                drop(self);
                // The receiver may have given up waiting; the store is closed all the same.
                let _ = reply.send(());
                return;
            }
        }
    }

    /// Checks, commits and publishes one batch.
    fn process(&mut self, requests: Vec<Request>) {
        let mut pending: HashMap<String, Option<Arc<Object>>> = HashMap::new();
        let mut durable = Vec::new();
        let mut deferred = Vec::new();
        for Request { write, reply } in requests {
            let immediate = write.durability == Durability::Immediate;
            match self.accept(write, &pending) {
                Ok((key, object, removed)) => {
                    pending.insert(key.clone(), (!removed).then(|| object.clone()));
                    let accepted = Accepted {
                        key,
                        object,
                        removed,
                        reply,
                    };
                    if immediate {
                        durable.push(accepted)
                    } else {
                        deferred.push(accepted)
                    }
                }
                Err(error) => answer(reply, Err(error)),
            }
        }
        let overdue = self.unwritten_since.is_some_and(|since| since.elapsed() >= DEFER)
            || self.unwritten.len() >= MAX_DEFERRED
            || self.revision > self.ceiling;
        let outcome = if durable.is_empty() && !overdue {
            Ok(())
        } else {
            self.commit(&durable)
        };
        if let Err(error) = outcome {
            // Deferred writes of this round do not depend on the disk, unless revisions ran out.
            if self.revision > self.ceiling {
                durable.append(&mut deferred);
            }
            for accepted in durable {
                answer(accepted.reply, Err(error.clone()));
            }
            durable = Vec::new();
        }
        for accepted in &deferred {
            self.defer(
                accepted.key.clone(),
                (!accepted.removed).then(|| accepted.object.raw.clone()),
            );
        }
        self.publish(durable.into_iter().chain(deferred).collect());
    }

    /// Checks a write against the newest state, including what this batch already changes, and gives it a revision.
    fn accept(
        &mut self,
        write: Write,
        pending: &HashMap<String, Option<Arc<Object>>>,
    ) -> Result<(String, Arc<Object>, bool), WriteError> {
        let newest = |key: &str| match pending.get(key) {
            Some(object) => object.clone(),
            None => self.shared.read().get(key),
        };
        match (write.expect, newest(&write.key)) {
            (Expect::Absent, None) => {}
            (Expect::Absent, Some(_)) => return Err(WriteError::Exists),
            (Expect::Revision(_), None) => return Err(WriteError::Missing),
            (Expect::Revision(revision), Some(object)) if object.revision != revision => {
                return Err(WriteError::Changed);
            }
            (Expect::Revision(_), Some(_)) => {}
        }
        if let Some((key, revision)) = &write.guard
            && newest(key).is_none_or(|object| object.revision != *revision)
        {
            return Err(WriteError::Guard);
        }
        let (mut value, removed) = match write.change {
            Change::Put(value) => (value, false),
            Change::Remove(value) => (value, true),
        };
        let revision = self.revision + 1;
        if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
            metadata.insert("resourceVersion".into(), Value::String(revision.to_string()));
        }
        let raw = serde_json::to_vec(&value).map_err(|error| WriteError::Storage(error.to_string()))?;
        self.revision = revision;
        let object = Arc::new(Object {
            revision,
            raw: raw.into_boxed_slice().into(),
        });
        Ok((write.key, object, removed))
    }

    /// Makes the batch and everything unwritten durable.
    fn commit(&mut self, durable: &[Accepted]) -> Result<(), WriteError> {
        let ceiling = if self.revision >= self.ceiling {
            self.revision + RESERVED
        } else {
            self.ceiling
        };
        let mut entries: Vec<(String, Option<Bytes>)> = self
            .unwritten
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        entries.extend(durable.iter().map(|accepted| {
            (
                accepted.key.clone(),
                (!accepted.removed).then(|| accepted.object.raw.clone()),
            )
        }));
        let batch = Batch {
            entries,
            revision_ceiling: ceiling,
        };
        let size = batch.size();
        match self.backend.commit(&batch) {
            Ok(()) => {
                self.ceiling = ceiling;
                self.unwritten.clear();
                self.unwritten_since = None;
                if self
                    .refused
                    .is_some_and(|refused| !self.fits_again(refused, size))
                {
                    // Look again soon, although nothing may be left to write.
                    self.unwritten_since = Some(Instant::now());
                } else {
                    self.refused = None;
                    self.trouble.lock().take();
                }
                Ok(())
            }
            Err(error) => {
                warn!(%error, "Write to the data directory failed");
                self.refused = self.refused.max(Some(size));
                *self.trouble.lock() = Some(error.to_string());
                // The engine may or may not have kept the batch: what readers see decides, and is written again.
                for accepted in durable {
                    let shown = self
                        .shared
                        .read()
                        .get(&accepted.key)
                        .map(|object| object.raw.clone());
                    self.defer(accepted.key.clone(), shown);
                }
                // Pause before the next attempt of its own accord, instead of spinning on a full disk.
                self.unwritten_since = Some(Instant::now());
                Err(WriteError::Storage(error.to_string()))
            }
        }
    }

    /// Whether a disk that refused a batch is good again after it has taken one of `written` bytes. A small one is no
    /// proof: on a full disk it finds its place among the free pages of the file.
    fn fits_again(&self, refused: u64, written: u64) -> bool {
        let needed = refused.saturating_mul(4).saturating_add(ROOM);
        written >= refused || self.backend.room().is_none_or(|room| room >= needed)
    }

    fn defer(&mut self, key: String, value: Option<Bytes>) {
        self.unwritten.insert(key, value);
        self.unwritten_since.get_or_insert_with(Instant::now);
    }

    fn publish(&self, mut accepted: Vec<Accepted>) {
        if accepted.is_empty() {
            return;
        }
        accepted.sort_by_key(|accepted| accepted.object.revision);
        let now = Instant::now();
        {
            let mut state = self.shared.write();
            for accepted in &accepted {
                state.apply(now, &accepted.key, accepted.object.clone(), accepted.removed);
            }
        }
        for accepted in accepted {
            answer(accepted.reply, Ok(accepted.object));
        }
    }

    /// Writes what is deferred, with the exact revision: a clean stop wastes none.
    fn finish(&mut self) {
        let entries = self.unwritten.drain().collect();
        if let Err(error) = self.backend.commit(&Batch {
            entries,
            revision_ceiling: self.revision,
        }) {
            warn!(%error, "Deferred writes are lost");
        }
    }
}

fn answer(reply: oneshot::Sender<Result<Arc<Object>, WriteError>>, result: Result<Arc<Object>, WriteError>) {
    // A caller that has gone away does not need its answer.
    let _ = reply.send(result);
}
