//! One watch per kind, a cache of what it has seen, and handlers that are told of each change.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::backoff::WatchBackoff;

/// Namespace (empty for cluster-scoped kinds) and name.
pub type Key = (String, String);

/// A change as handlers see it: `old` is absent on an addition, `new` on a removal.
pub struct Change<'a, K> {
    pub old: Option<&'a Arc<K>>,
    pub new: Option<&'a Arc<K>>,
}

impl<K> Change<'_, K> {
    /// The newest known version of the object.
    pub fn latest(&self) -> Option<&Arc<K>> {
        self.new.or(self.old)
    }
}

type Handler<K> = Box<dyn Fn(Change<'_, K>) + Send + Sync>;

/// The cache of one kind. Handlers run in the watch task and must not block: they put keys on queues.
pub struct Informer<K> {
    objects: RwLock<HashMap<Key, Arc<K>>>,
    handlers: RwLock<Vec<Handler<K>>>,
    synced: AtomicBool,
}

/// Namespace and name of `object`.
pub fn key_of<K: Resource>(object: &K) -> Key {
    (
        object.meta().namespace.clone().unwrap_or_default(),
        object.meta().name.clone().unwrap_or_default(),
    )
}

impl<K> Informer<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            objects: RwLock::default(),
            handlers: RwLock::default(),
            synced: AtomicBool::new(false),
        })
    }

    /// Registers `handler`; it hears of every change after [`Informer::run`].
    pub fn on_change(&self, handler: impl Fn(Change<'_, K>) + Send + Sync + 'static) {
        self.handlers.write().push(Box::new(handler));
    }

    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.objects.read().get(key).cloned()
    }

    /// Every object in `namespace` that `keep` accepts.
    pub fn in_namespace(&self, namespace: &str, keep: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let objects = self.objects.read();
        objects
            .iter()
            .filter(|((ns, _), object)| ns == namespace && keep(object))
            .map(|(_, o)| o.clone())
            .collect()
    }

    /// Every object.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.objects.read().values().cloned().collect()
    }

    /// Whether the first list has been seen whole. Decisions that delete must wait for it.
    pub fn synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Starts the watch over all namespaces.
    pub fn run(self: &Arc<Self>, tasks: &mut JoinSet<()>, client: &Client) {
        self.run_with(tasks, client, watcher::Config::default());
    }

    /// Starts a watch narrowed by `config`.
    pub fn run_with(self: &Arc<Self>, tasks: &mut JoinSet<()>, client: &Client, config: watcher::Config) {
        let informer = self.clone();
        let api: Api<K> = Api::all(client.clone());
        tasks.spawn(async move { informer.watch(api, config).await });
    }

    async fn watch(&self, api: Api<K>, config: watcher::Config) {
        let mut events = watcher::watcher(api, config).backoff(WatchBackoff::new()).boxed();
        let mut listed: HashMap<Key, Arc<K>> = HashMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object)) => self.put(object),
                Ok(Event::Delete(object)) => self.remove(&key_of(&object)),
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    let object = trim(object);
                    listed.insert(key_of(&object), Arc::new(object));
                }
                Ok(Event::InitDone) => {
                    self.replace(std::mem::take(&mut listed));
                    self.synced.store(true, Ordering::Release);
                }
                Err(error) => {
                    tracing::debug!(%error, kind = %K::kind(&()), "Watch failed and will be retried")
                }
            }
        }
    }

    fn put(&self, object: K) {
        let object = Arc::new(trim(object));
        let old = self
            .objects
            .write()
            .insert(key_of(object.as_ref()), object.clone());
        self.tell(Change {
            old: old.as_ref(),
            new: Some(&object),
        });
    }

    fn remove(&self, key: &Key) {
        let old = self.objects.write().remove(key);
        if old.is_some() {
            self.tell(Change {
                old: old.as_ref(),
                new: None,
            });
        }
    }

    fn replace(&self, listed: HashMap<Key, Arc<K>>) {
        let before = std::mem::replace(&mut *self.objects.write(), listed.clone());
        for (key, object) in &listed {
            let old = before.get(key);
            if old.is_none_or(|old| old.resource_version() != object.resource_version()) {
                self.tell(Change {
                    old,
                    new: Some(object),
                });
            }
        }
        for (key, old) in &before {
            if !listed.contains_key(key) {
                self.tell(Change {
                    old: Some(old),
                    new: None,
                });
            }
        }
    }

    fn tell(&self, change: Change<'_, K>) {
        for handler in self.handlers.read().iter() {
            handler(Change {
                old: change.old,
                new: change.new,
            });
        }
    }
}

/// Managed fields are a quarter of an object and no controller reads them.
fn trim<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}
