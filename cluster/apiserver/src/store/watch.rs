//! Subscriptions: each gets the changes under its prefix, in revision order, through a bounded queue of its own.
//!
//! The writer never waits for a watcher. One whose queue is full is cut off and told so, and reads the rest by listing
//! again; watchers of other prefixes are not even looked at, so idle ones cost nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use tokio::sync::mpsc;

use super::state::{PastError, State};
use super::{Entry, Object};

/// Changes that may wait for one watcher.
const QUEUE: usize = 1000;

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Added,
    Modified,
    Deleted,
}

/// One committed change.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) key: Box<str>,
    pub(crate) revision: u64,
    pub(crate) kind: EventKind,
    /// The object after the change; for a deletion its last state, at the revision of the deletion.
    pub(crate) object: Arc<Object>,
    /// The object before the change.
    pub(crate) previous: Option<Arc<Object>>,
}

impl Event {
    /// Bytes that keeping this event keeps alive beyond the live objects, roughly.
    pub(super) fn weight(&self) -> usize {
        let previous = self.previous.as_ref().map_or(0, |object| object.raw.len());
        let last = if self.kind == EventKind::Deleted {
            self.object.raw.len()
        } else {
            0
        };
        self.key.len() + previous + last + size_of::<Self>()
    }
}

/// Which keys a subscription is about.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Prefix of one resource, `group/plural/`: watchers are grouped by it.
    pub(crate) resource: String,
    /// The keys that count: the resource's prefix or a longer one.
    pub(crate) prefix: String,
}

/// One answer of [`Subscription::next`].
#[derive(Debug)]
pub(crate) enum Received {
    Event(Arc<Event>),
    /// The watcher was too slow and has missed changes.
    Lagged,
    /// The server is shutting down.
    Closed,
}

/// Changes of one scope. Dropping it unsubscribes.
#[derive(Debug)]
pub(crate) struct Subscription {
    backlog: std::vec::IntoIter<Arc<Event>>,
    queue: mpsc::Receiver<Arc<Event>>,
    lagged: Arc<AtomicBool>,
    resource: String,
    id: u64,
    state: Weak<RwLock<State>>,
}

impl Subscription {
    /// Waits for the next change. Cancel safe.
    pub(crate) async fn next(&mut self) -> Received {
        if let Some(event) = self.backlog.next() {
            return Received::Event(event);
        }
        match self.queue.recv().await {
            Some(event) => Received::Event(event),
            None if self.lagged.load(Ordering::Acquire) => Received::Lagged,
            None => Received::Closed,
        }
    }

    /// Returns the next change if one is waiting.
    pub(crate) fn try_next(&mut self) -> Option<Arc<Event>> {
        self.backlog.next().or_else(|| self.queue.try_recv().ok())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(state) = self.state.upgrade() {
            state.write().watchers.remove(&self.resource, self.id);
        }
    }
}

/// All subscriptions, by resource.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_resource: HashMap<String, Vec<Watcher>>,
    next_id: u64,
    pub(super) expired: u64,
}

#[derive(Debug)]
struct Watcher {
    id: u64,
    prefix: String,
    queue: mpsc::Sender<Arc<Event>>,
    lagged: Arc<AtomicBool>,
}

impl Watchers {
    /// Hands one change to everyone it concerns.
    pub(super) fn publish(&mut self, event: &Arc<Event>) {
        let Some(watchers) = resource_of(&event.key).and_then(|resource| self.by_resource.get_mut(resource))
        else {
            return;
        };
        let mut expired = 0;
        watchers.retain(|watcher| {
            if !event.key.starts_with(&watcher.prefix) {
                return true;
            }
            match watcher.queue.try_send(event.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Closed(_)) => false,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    watcher.lagged.store(true, Ordering::Release);
                    expired += 1;
                    false
                }
            }
        });
        self.expired += expired;
    }

    pub(super) fn len(&self) -> usize {
        self.by_resource.values().map(Vec::len).sum()
    }

    pub(super) fn clear(&mut self) {
        self.by_resource.clear();
    }

    fn remove(&mut self, resource: &str, id: u64) {
        if let Some(watchers) = self.by_resource.get_mut(resource) {
            watchers.retain(|watcher| watcher.id != id);
            if watchers.is_empty() {
                self.by_resource.remove(resource);
            }
        }
    }
}

/// Subscribes to what comes after `revision`, or after now.
pub(super) fn subscribe(
    shared: &Arc<RwLock<State>>,
    scope: Scope,
    revision: Option<u64>,
) -> Result<Subscription, PastError> {
    let mut state = shared.write();
    let backlog = match revision {
        Some(revision) => state.changes_after(&scope.prefix, revision)?,
        None => Vec::new(),
    };
    Ok(register(shared, &mut state, scope, backlog))
}

pub(super) fn list_and_subscribe(
    shared: &Arc<RwLock<State>>,
    scope: Scope,
) -> (u64, Vec<Entry>, Subscription) {
    let mut state = shared.write();
    let objects = state.range(&scope.prefix).collect();
    let revision = state.revision();
    (revision, objects, register(shared, &mut state, scope, Vec::new()))
}

fn register(
    shared: &Arc<RwLock<State>>,
    state: &mut State,
    scope: Scope,
    backlog: Vec<Arc<Event>>,
) -> Subscription {
    let (sender, queue) = mpsc::channel(QUEUE);
    let lagged = Arc::new(AtomicBool::new(false));
    let id = state.watchers.next_id;
    state.watchers.next_id += 1;
    let watcher = Watcher {
        id,
        prefix: scope.prefix,
        queue: sender,
        lagged: lagged.clone(),
    };
    if !state.closed() {
        state
            .watchers
            .by_resource
            .entry(scope.resource.clone())
            .or_default()
            .push(watcher);
    }
    Subscription {
        backlog: backlog.into_iter(),
        queue,
        lagged,
        resource: scope.resource,
        id,
        state: Arc::downgrade(shared),
    }
}

/// Returns the `group/plural/` part of a key.
fn resource_of(key: &str) -> Option<&str> {
    let (group, rest) = key.split_once('/')?;
    let (plural, _) = rest.split_once('/')?;
    key.get(..group.len() + plural.len() + 2)
}
