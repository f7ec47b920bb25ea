//! Shared read caches: one list and watch per kind and process, however many controllers read it.
//!
//! A [`Cache`] holds every object of one kind, finds them by name, by controlling owner and by indexes, and tells
//! handlers about changes. Results of own writes go in through [`Cache::record`] so that the next reconcile sees
//! them even when the watch lags: a revision that was just created is never created twice or reported missing.

mod fields;
mod held;
mod state;

use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::runtime::watcher::{self, Event};
use parking_lot::{Mutex, RwLock};
use prometheus::IntGauge;
use tokio::sync::watch as signal;
use tokio::task::AbortHandle;

use crate::key::Key;
use crate::metrics::OBJECTS;
use crate::object::{Object, Scoped};
use crate::watch::Shown;
use state::State;

pub use fields::{Fields, owned_fields};

/// One difference in a cache. `old` is `None` for an object that appeared, `new` for one that went.
#[derive(Clone, Debug)]
pub struct Change<K> {
    pub old: Option<Arc<K>>,
    pub new: Option<Arc<K>>,
}

impl<K> Change<K> {
    /// The state after the change, or the last known one of an object that went.
    pub fn latest(&self) -> Option<&Arc<K>> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// Both states: a mapping that depends on labels has to look at the one before, too.
    pub fn states(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(self.new.iter())
    }
}

/// Which objects of a kind a cache holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selection {
    /// Only this namespace; `None` means all.
    pub namespace: Option<String>,
    /// Label selector in its string form; `None` means all.
    pub labels: Option<String>,
    /// Field selector in its string form; `None` means all.
    pub fields: Option<String>,
    /// Whether objects are held as text and decoded each time they are read: for kinds with a pod template, of which
    /// there are many, and which are read by name rather than searched.
    pub packed: bool,
}

impl Selection {
    pub fn labelled(selector: impl Into<String>) -> Self {
        Self {
            labels: Some(selector.into()),
            ..Self::default()
        }
    }

    /// The same objects, held as text.
    #[must_use]
    pub fn packed(self) -> Self {
        Self { packed: true, ..self }
    }

    /// The objects of this name, in every namespace.
    pub fn named(name: &str) -> Self {
        Self {
            fields: Some(format!("metadata.name={name}")),
            ..Self::default()
        }
    }

    pub fn within(namespace: impl Into<String>) -> Self {
        Self {
            namespace: Some(namespace.into()),
            ..Self::default()
        }
    }
}

type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// All caches of a process. Watches end when the last clone is dropped.
#[derive(Clone)]
pub struct Caches {
    inner: Arc<CachesInner>,
}

struct CachesInner {
    client: kube::Client,
    fields: Fields,
    caches: Mutex<HashMap<(TypeId, Selection), Started>>,
}

struct Started {
    cache: Arc<dyn Any + Send + Sync>,
    synced: signal::Receiver<bool>,
    task: AbortHandle,
}

impl Drop for CachesInner {
    fn drop(&mut self) {
        for started in self.caches.get_mut().values() {
            started.task.abort();
        }
    }
}

impl Caches {
    /// Caches that remember what each field manager applied, for those who write by server-side apply.
    pub fn new(client: kube::Client) -> Self {
        Self::keeping(Fields::Applied, client)
    }

    /// Caches that remember as much of the managed fields as said.
    pub fn keeping(fields: Fields, client: kube::Client) -> Self {
        Self {
            inner: Arc::new(CachesInner {
                client,
                fields,
                caches: Mutex::new(HashMap::new()),
            }),
        }
    }

    /// The client that the watches use.
    pub fn client(&self) -> &kube::Client {
        &self.inner.client
    }

    /// The cache of all objects of a kind. The first call starts its watch on the current tokio runtime.
    pub fn cache<K>(&self) -> Cache<K>
    where
        K: Object,
        K::Scope: Scoped,
    {
        self.cache_of(Selection::default())
    }

    /// The cache of the selected objects of a kind; equal selections share one watch.
    pub fn cache_of<K>(&self, selection: Selection) -> Cache<K>
    where
        K: Object,
        K::Scope: Scoped,
    {
        let mut caches = self.inner.caches.lock();
        let slot = (TypeId::of::<K>(), selection.clone());
        if let Some(started) = caches.get(&slot)
            && let Ok(inner) = started.cache.clone().downcast::<Inner<K>>()
        {
            return Cache { inner };
        }
        let cache = Cache::<K>::over(self.inner.fields, &slot.1);
        let task = tokio::spawn(fill(self.inner.client.clone(), selection, cache.clone()));
        let started = Started {
            cache: cache.inner.clone(),
            synced: cache.inner.synced.subscribe(),
            task: task.abort_handle(),
        };
        caches.insert(slot, started);
        cache
    }

    /// Waits until every cache started so far holds a complete list.
    pub async fn synced(&self) {
        let waiting: Vec<_> = self
            .inner
            .caches
            .lock()
            .values()
            .map(|started| started.synced.clone())
            .collect();
        for mut synced in waiting {
            // An error means that the cache is gone, and with it the reason to wait.
            let _ = synced.wait_for(|synced| *synced).await;
        }
    }
}

/// The objects of one kind as the API server last reported them.
pub struct Cache<K> {
    inner: Arc<Inner<K>>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

struct Inner<K> {
    state: RwLock<State<K>>,
    handlers: RwLock<Vec<Handler<K>>>,
    synced: signal::Sender<bool>,
    fields: Fields,
    size: IntGauge,
}

impl<K: Object> Cache<K> {
    /// A cache without a watch, for tests of code that reads one: fill it with [`Cache::record`].
    pub fn empty() -> Self {
        Self::over(Fields::Applied, &Selection::default())
    }

    fn over(fields: Fields, selection: &Selection) -> Self {
        let kind = K::kind(&());
        let parts = [&selection.namespace, &selection.labels, &selection.fields];
        let parts: Vec<&str> = std::iter::once(kind.as_ref())
            .chain(parts.into_iter().flatten().map(String::as_str))
            .collect();
        Self {
            inner: Arc::new(Inner {
                state: RwLock::new(State::new(selection.packed)),
                handlers: RwLock::new(Vec::new()),
                synced: signal::Sender::new(false),
                fields,
                size: OBJECTS.with_label_values(&[&parts.join(" ")]),
            }),
        }
    }

    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.inner.state.read().get(key)
    }

    /// The object `name` of `namespace` (empty for cluster-scoped kinds).
    pub fn named(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.get(&Key::new(namespace, name))
    }

    /// Every object, ordered by key.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.inner.state.read().list()
    }

    /// The objects of `namespace` that `wanted` accepts, in no order.
    pub fn in_namespace(&self, namespace: &str, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.inner.state.read().in_namespace(namespace, wanted)
    }

    pub fn keys(&self) -> Vec<Key> {
        self.inner.state.read().keys()
    }

    pub fn len(&self) -> usize {
        self.inner.state.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects whose controller is the object with this UID, ordered by key.
    pub fn controlled_by(&self, owner_uid: &str) -> Vec<Arc<K>> {
        self.inner.state.read().controlled_by(owner_uid)
    }

    /// The keys of the objects whose controller is the object with this UID, ordered.
    pub fn keys_controlled_by(&self, owner_uid: &str) -> Vec<Key> {
        self.inner.state.read().keys_controlled_by(owner_uid)
    }

    /// Adds an index: `values` names the values under which an object is found. Adding a name again does nothing.
    pub fn add_index(&self, name: &'static str, values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) {
        self.inner.state.write().add_index(name, Box::new(values));
    }

    /// Adds the index by the value of one label; its name is the label key.
    pub fn add_label_index(&self, label: &'static str) {
        self.add_index(label, move |object| {
            object
                .meta()
                .labels
                .iter()
                .flatten()
                .filter(|(key, _)| *key == label)
                .map(|(_, v)| v.clone())
                .collect()
        });
    }

    /// The objects that `index` files under `value`, ordered by key; empty for an index nobody added.
    pub fn indexed(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        self.inner.state.read().indexed(index, value)
    }

    /// Calls `handler` for every later change, on the watch task: it must only enqueue.
    pub fn on_change(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.inner.handlers.write().push(Box::new(handler));
    }

    /// Takes in the result of an own write ahead of the watch. Ignored if the watch has already shown something
    /// newer, the deletion of this object included.
    pub fn record(&self, mut object: K) {
        self.inner.fields.trim(&mut object);
        let change = self.inner.state.write().record(object);
        self.announce(change);
    }

    /// Holds this object as text, and decodes it each time it is read, until it changes: for objects that have come to
    /// their end and stay.
    pub fn pack(&self, key: &Key) {
        self.inner.state.write().pack(key);
    }

    /// Waits until the first complete list has arrived.
    pub async fn synced(&self) {
        let mut synced = self.inner.synced.subscribe();
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Takes in what the watch shows. `listing` collects a list until it is complete.
    fn take_in(&self, listing: &mut Listing<K>, event: Event<K>) {
        let state = &self.inner.state;
        match event {
            Event::Init => {
                *listing = Listing::default();
                state.write().begin_list();
            }
            Event::InitApply(mut object) => {
                self.inner.fields.trim(&mut object);
                listing.objects.push(object);
            }
            Event::InitDone => {
                let Listing { objects, kept } = std::mem::take(listing);
                let changes = state.write().finish_list(objects, &kept);
                self.announce(changes);
                self.inner.synced.send_replace(true);
            }
            Event::Apply(mut object) => {
                self.inner.fields.trim(&mut object);
                let change = state.write().observe(object);
                self.announce(change);
            }
            Event::Delete(object) => {
                let change = state.write().remove(&object);
                self.announce(change);
            }
        }
    }

    fn lose(&self, key: &Key, version: u64) {
        let change = self.inner.state.write().lose(key, version);
        self.announce(change);
    }

    fn announce(&self, changes: impl IntoIterator<Item = Change<K>>) {
        let size = self.inner.state.read().len();
        self.inner.size.set(i64::try_from(size).unwrap_or(i64::MAX));
        let handlers = self.inner.handlers.read();
        for change in changes {
            for handler in handlers.iter() {
                handler(&change);
            }
        }
    }
}

/// A list until it is complete.
struct Listing<K> {
    objects: Vec<K>,
    /// What is there and cannot be read.
    kept: HashSet<Key>,
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self {
            objects: Vec::new(),
            kept: HashSet::new(),
        }
    }
}

/// Keeps `cache` current for ever.
async fn fill<K>(client: kube::Client, selection: Selection, cache: Cache<K>)
where
    K: Object,
    K::Scope: Scoped,
{
    let api = match &selection.namespace {
        Some(namespace) => crate::object::api::<K>(&client, namespace),
        None => kube::Api::all(client),
    };
    let config = watcher::Config {
        label_selector: selection.labels,
        field_selector: selection.fields,
        ..watcher::Config::default()
    };
    let mut listing = Listing::default();
    let kind = K::kind(&());
    crate::watch::follow(api, config, &kind, |shown| match shown {
        Shown::Event(event) => cache.take_in(&mut listing, event),
        Shown::Lost { key, version } => cache.lose(&key, version),
        Shown::Kept { key } => {
            listing.kept.insert(key);
        }
    })
    .await;
}
