//! The watch of one kind.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::Api;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use parking_lot::{Mutex, RwLock};
use reconciler::Key;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::referrers::Referrers;
use super::{Kind, Target, Tracked};

/// The objects of one kind, kept current by a watch that ends with this.
pub(super) struct Following {
    resource: ApiResource,
    objects: Arc<Objects>,
    watch: JoinHandle<()>,
}

struct Objects {
    kind: Kind,
    known: RwLock<HashMap<Key, Arc<Tracked>>>,
    referrers: Arc<Mutex<Referrers>>,
    synced: watch::Sender<bool>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Following {
    pub(super) fn start(
        client: kube::Client,
        kind: Kind,
        resource: ApiResource,
        referrers: Arc<Mutex<Referrers>>,
    ) -> Arc<Self> {
        let objects = Arc::new(Objects {
            kind,
            known: RwLock::default(),
            referrers,
            synced: watch::Sender::new(false),
        });
        let (filled, api) = (objects.clone(), Api::all_with(client, &resource));
        let watch = tokio::spawn(async move {
            let mut listed = HashSet::new();
            let name = filled.kind.kind.clone();
            let config = watcher::Config::default();
            informer::watch::follow_dynamic(api, config, &name, |event| filled.take_in(&mut listed, event))
                .await;
        });
        Arc::new(Self {
            resource,
            objects,
            watch,
        })
    }

    pub(super) fn resource(&self) -> &ApiResource {
        &self.resource
    }

    pub(super) async fn synced(&self) {
        let mut synced = self.objects.synced.subscribe();
        // The sender is held by `self`: waiting cannot fail.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Tracked>> {
        self.objects.known.read().get(key).cloned()
    }

    /// The objects of a namespace, ordered.
    pub(super) fn within(&self, namespace: &str) -> Vec<(Key, Arc<Tracked>)> {
        let known = self.objects.known.read();
        let found = known.iter().filter(|(key, _)| key.namespace == namespace);
        let mut found: Vec<_> = found.map(|(key, object)| (key.clone(), object.clone())).collect();
        found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    /// The keys of the objects that `wanted` accepts, ordered.
    pub(super) fn keys(&self, wanted: impl Fn(&Key, &Tracked) -> bool) -> Vec<Key> {
        let known = self.objects.known.read();
        let found = known.iter().filter(|(key, object)| wanted(key, object));
        let mut keys: Vec<Key> = found.map(|(key, _)| key.clone()).collect();
        keys.sort_unstable();
        keys
    }
}

impl Objects {
    /// Takes in what the watch shows. `listed` collects the keys of a list until it is complete.
    fn take_in(&self, listed: &mut HashSet<Key>, event: Event<DynamicObject>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(mut object) => {
                let key = Key::of(&object);
                listed.insert(key.clone());
                self.set(key, Some(Tracked::of(&mut object)));
            }
            Event::InitDone => {
                let gone: Vec<Key> = {
                    let known = self.known.read();
                    known
                        .keys()
                        .filter(|key| !listed.contains(key))
                        .cloned()
                        .collect()
                };
                for key in gone {
                    self.set(key, None);
                }
                listed.clear();
                self.synced.send_replace(true);
            }
            Event::Apply(mut object) => self.set(Key::of(&object), Some(Tracked::of(&mut object))),
            Event::Delete(object) => self.set(Key::of(&object), None),
        }
    }

    /// Wakes those who refer to the object if what they read of it has changed.
    fn set(&self, key: Key, new: Option<Tracked>) {
        {
            let mut known = self.known.write();
            if known.get(&key).map(Arc::as_ref) == new.as_ref() {
                return;
            }
            match new {
                Some(new) => known.insert(key.clone(), Arc::new(new)),
                None => known.remove(&key),
            };
        }
        self.referrers.lock().wake(&Target {
            kind: self.kind.clone(),
            key,
        });
    }
}
