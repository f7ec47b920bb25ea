//! The committed objects in memory, with their recent past and their watchers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;

use super::backend::{Backend, BackendError};
use super::history::History;
use super::watch::{Event, EventKind, Watchers};
use super::{Entry, Object, OpenError, Usage};

/// Why an earlier state cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PastError {
    /// The history does not reach back that far (or the server was restarted since).
    #[error("too old resource version: {0}")]
    Expired(u64),
    /// The revision has not happened yet.
    #[error("too large resource version: {requested}, current: {current}")]
    Future { requested: u64, current: u64 },
}

/// Everything readers see; only the writer changes `objects`.
#[derive(Debug)]
pub(super) struct State {
    objects: BTreeMap<Box<str>, Arc<Object>>,
    revision: u64,
    history: History,
    closed: bool,
    pub(super) watchers: Watchers,
}

impl State {
    pub(super) fn load(backend: &mut dyn Backend) -> Result<Self, OpenError> {
        let mut objects = BTreeMap::new();
        let mut newest = 0;
        let ceiling = backend
            .range(&mut |key, raw| {
                let revision = revision_of(raw);
                newest = newest.max(revision);
                objects.insert(
                    key.into(),
                    Arc::new(Object {
                        revision,
                        raw: Bytes::copy_from_slice(raw),
                    }),
                );
            })
            .map_err(|error| match error {
                BackendError::Format { found, supported } => OpenError::Format { found, supported },
                BackendError::Engine(message) => OpenError::Backend {
                    path: "objects".into(),
                    message,
                },
            })?;
        // An empty store starts at 1: a resource version of 0 means "any" to clients.
        let revision = ceiling.max(newest).max(1);
        Ok(Self {
            objects,
            revision,
            history: History::starting_at(revision),
            closed: false,
            watchers: Watchers::default(),
        })
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn closed(&self) -> bool {
        self.closed
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.objects.get(key).cloned()
    }

    pub(super) fn range(&self, prefix: &str) -> impl Iterator<Item = (Box<str>, Arc<Object>)> {
        self.objects
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, object)| (key.clone(), object.clone()))
    }

    /// Returns the objects at `revision`, by undoing the later changes one by one.
    pub(super) fn range_at(&self, prefix: &str, revision: u64) -> Result<Vec<Entry>, PastError> {
        let later = self.changes_after(prefix, revision)?;
        let mut objects: BTreeMap<Box<str>, Arc<Object>> = self.range(prefix).collect();
        for event in later.iter().rev() {
            match &event.previous {
                Some(previous) => objects.insert(event.key.clone(), previous.clone()),
                None => objects.remove(&event.key),
            };
        }
        Ok(objects.into_iter().collect())
    }

    pub(super) fn changes_after(&self, prefix: &str, revision: u64) -> Result<Vec<Arc<Event>>, PastError> {
        if revision > self.revision {
            return Err(PastError::Future {
                requested: revision,
                current: self.revision,
            });
        }
        let changes = self.history.after(revision).ok_or(PastError::Expired(revision))?;
        Ok(changes
            .filter(|event| event.key.starts_with(prefix))
            .cloned()
            .collect())
    }

    /// Shows one committed change to readers and watchers.
    pub(super) fn apply(&mut self, now: Instant, key: &str, object: Arc<Object>, removed: bool) {
        let previous = if removed {
            self.objects.remove(key)
        } else {
            self.objects.insert(key.into(), object.clone())
        };
        let kind = match (removed, &previous) {
            (true, _) => EventKind::Deleted,
            (false, Some(_)) => EventKind::Modified,
            (false, None) => EventKind::Added,
        };
        let revision = object.revision;
        let event = Arc::new(Event {
            key: key.into(),
            revision,
            kind,
            object,
            previous,
        });
        self.revision = self.revision.max(revision);
        self.watchers.publish(&event);
        self.history.push(now, event);
    }

    pub(super) fn close_watchers(&mut self) {
        self.closed = true;
        self.watchers.clear();
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            objects: self.objects.len(),
            history_events: self.history.len(),
            history_bytes: self.history.bytes(),
            watchers: self.watchers.len(),
            expired_watchers: self.watchers.expired,
            waiting_writes: 0,
        }
    }
}

/// Reads `metadata.resourceVersion` without building the rest.
fn revision_of(raw: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Partial<'a> {
        #[serde(borrow)]
        metadata: Metadata<'a>,
    }
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(rename = "resourceVersion")]
        resource_version: &'a str,
    }
    serde_json::from_slice::<Partial<'_>>(raw)
        .ok()
        .and_then(|partial| partial.metadata.resource_version.parse().ok())
        .unwrap_or(0)
}
