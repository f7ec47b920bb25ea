//! Durable, watchable objects: the whole keyspace in memory, a log of recent changes, and one writer.
//!
//! Reads and watches only touch memory. Writes go to one thread that checks them against the newest state, commits
//! whatever is waiting as one batch (so a busy server groups its syncs and an idle one waits for nothing), and only
//! then shows the result to readers, watchers and the caller. A process may therefore be killed at any instant: what was
//! answered is on disk, and what nobody was told may be lost.

mod backend;
mod disk;
mod history;
mod lock;
mod state;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};

use self::backend::Backend;
pub(crate) use self::disk::RedbBackend;
pub(crate) use self::lock::DirectoryLock;
pub(crate) use self::state::PastError;
use self::state::State;
pub(crate) use self::watch::{Event, EventKind, Received, Scope, Subscription};
use self::writer::{Message, Request};

/// Writes that may wait for the writer at once; further callers wait for a place.
const WRITES_IN_FLIGHT: usize = 1024;

/// One stored object: JSON as it is served, with `metadata.resourceVersion` equal to `revision`.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) revision: u64,
    pub(crate) raw: Bytes,
}

impl Object {
    /// Parses the stored JSON.
    ///
    /// The store wrote these bytes itself, so failure means a damaged disk; the object then reads as `null`.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.raw).unwrap_or(Value::Null)
    }
}

/// A key with its object.
pub(crate) type Entry = (Box<str>, Arc<Object>);

/// What must be true of the stored object for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// No object has the key.
    Absent,
    /// The object exists and is at this revision.
    Revision(u64),
}

/// The change that a write makes.
#[derive(Debug)]
pub(crate) enum Change {
    /// Store this object; the writer fills in its resource version.
    Put(Value),
    /// Remove the object; watchers get this last state of it, at the revision of the removal.
    Remove(Value),
}

/// How soon a write must survive a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Answered once it is on disk.
    Immediate,
    /// Answered at once and written with the next batch, or after a few seconds: heartbeats and events, whose loss costs
    /// nothing but whose syncs would wear the disk.
    Deferred,
}

/// One conditional change of one object.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) key: String,
    pub(crate) expect: Expect,
    pub(crate) change: Change,
    /// Another object that must exist at this revision, such as the namespace that a create relies on.
    pub(crate) guard: Option<(String, u64)>,
    pub(crate) durability: Durability,
}

/// Why a write did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("an object with this key exists")]
    Exists,
    #[error("no object has this key")]
    Missing,
    #[error("the object has changed")]
    Changed,
    #[error("the object that the write relies on has changed")]
    Guard,
    #[error("writing to the data directory: {0}")]
    Storage(String),
    #[error("the server is shutting down")]
    Closed,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("creating the data directory {path}")]
    Directory {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is in use by another process: stop it, or choose another data directory")]
    Locked { path: String },
    #[error("the store has format {found}, this program reads up to {supported}: use a newer program")]
    Format { found: u64, supported: u64 },
    #[error("opening the store {path}: {message}")]
    Backend { path: String, message: String },
    #[error("keys and certificates")]
    Pki(#[from] crate::pki::PkiError),
    #[error("metrics")]
    Metrics(#[source] prometheus::Error),
    #[error("starting the writer thread")]
    Thread(#[source] std::io::Error),
}

/// A handle to the objects of one server; clones share them.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<RwLock<State>>,
    writer: std::sync::mpsc::Sender<Message>,
    places: Arc<Semaphore>,
    trouble: writer::Trouble,
}

impl Store {
    /// Loads everything that `backend` holds and starts the writer.
    ///
    /// # Errors
    /// When the backend cannot be read, or was written by a newer program.
    pub(crate) fn open(mut backend: Box<dyn Backend>) -> Result<Self, OpenError> {
        let state = State::load(&mut *backend)?;
        let revision = state.revision();
        let shared = Arc::new(RwLock::new(state));
        let (sender, receiver) = std::sync::mpsc::channel();
        let trouble = writer::Trouble::default();
        let writer = writer::Writer::new(backend, shared.clone(), revision, trouble.clone());
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(&receiver))
            .map_err(OpenError::Thread)?;
        Ok(Self {
            shared,
            writer: sender,
            places: Arc::new(Semaphore::new(WRITES_IN_FLIGHT)),
            trouble,
        })
    }

    /// Returns the newest object with this key.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.shared.read().get(key)
    }

    /// Returns the revision of the newest change.
    pub(crate) fn revision(&self) -> u64 {
        self.shared.read().revision()
    }

    /// Returns the objects whose keys start with `prefix`, in key order, and the revision they are all of.
    pub(crate) fn list(&self, prefix: &str) -> (u64, Vec<Entry>) {
        let state = self.shared.read();
        (state.revision(), state.range(prefix).collect())
    }

    /// Returns the objects as they were at an earlier revision.
    ///
    /// # Errors
    /// When the history no longer reaches back that far, or the revision lies in the future.
    pub(crate) fn list_at(&self, prefix: &str, revision: u64) -> Result<Vec<Entry>, PastError> {
        self.shared.read().range_at(prefix, revision)
    }

    /// Returns whether any key starts with `prefix`.
    pub(crate) fn any(&self, prefix: &str) -> bool {
        self.shared.read().range(prefix).next().is_some()
    }

    /// Subscribes to changes after `revision`.
    ///
    /// # Errors
    /// When the history no longer reaches back that far, or the revision lies in the future.
    pub(crate) fn watch(&self, scope: Scope, revision: u64) -> Result<Subscription, PastError> {
        watch::subscribe(&self.shared, scope, Some(revision))
    }

    /// Lists and subscribes to what comes after the list, without a gap between.
    pub(crate) fn list_and_watch(&self, scope: Scope) -> (u64, Vec<Entry>, Subscription) {
        watch::list_and_subscribe(&self.shared, scope)
    }

    /// Makes one change and returns the stored (or last) object.
    ///
    /// Cancel safe in that the change then still happens or not as a whole; the caller just is not told.
    ///
    /// # Errors
    /// When the expectation does not hold, or the disk refuses.
    pub(crate) async fn write(&self, write: Write) -> Result<Arc<Object>, WriteError> {
        let _place = self.places.acquire().await.map_err(|_| WriteError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.writer
            .send(Message::Write(Request { write, reply }))
            .map_err(|_| WriteError::Closed)?;
        answer.await.map_err(|_| WriteError::Closed)?
    }

    /// Flushes what is deferred, closes the backend and ends all subscriptions.
    pub(crate) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.writer.send(Message::Close(reply)).is_ok() {
            // An error means that the writer is gone already, which is what was asked for.
            let _ = answer.await;
        }
        self.shared.write().close_watchers();
    }

    /// Ends all subscriptions; later ones end at once. Reads and writes go on.
    pub(crate) fn end_watches(&self) {
        self.shared.write().close_watchers();
    }

    /// Returns whether watches are still served.
    pub(crate) fn is_open(&self) -> bool {
        !self.shared.read().closed()
    }

    /// Returns why the disk refused the newest write; `None` if it did not.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Returns how full the bounded parts are.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = self.shared.read().usage();
        usage.waiting_writes = WRITES_IN_FLIGHT.saturating_sub(self.places.available_permits());
        usage
    }
}

/// Fill levels of the store, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) objects: usize,
    pub(crate) history_events: usize,
    pub(crate) history_bytes: usize,
    pub(crate) watchers: usize,
    pub(crate) expired_watchers: u64,
    pub(crate) waiting_writes: usize,
}
