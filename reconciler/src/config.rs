//! Live configuration: the ConfigMaps of the system namespace as typed, immutable snapshots.
//!
//! A ConfigMap that does not exist means its defaults; an edit that does not parse is told once and ignored, the
//! last good snapshot stays.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

pub use crds::config::Snapshot;
use k8s_openapi::api::core::v1::ConfigMap;
use parking_lot::RwLock;
use prometheus::{IntGaugeVec, Opts};
use tokio::sync::watch;
use tracing::{info, warn};

use informer::{Cache, Caches, Selection};

/// All snapshots of a process. Cheap to clone.
#[derive(Clone)]
pub struct ConfigStore {
    inner: Arc<Inner>,
}

struct Inner {
    maps: Cache<ConfigMap>,
    slots: RwLock<HashMap<TypeId, Slot>>,
    changed: watch::Sender<u64>,
}

struct Slot {
    name: &'static str,
    snapshot: Arc<dyn Any + Send + Sync>,
    /// Parses again and stores the result if it is good and new.
    refresh: fn(&ConfigStore, Option<&ConfigMap>),
}

/// Whether the present contents of a ConfigMap are ignored because they do not parse.
static REJECTED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new(
        "kn_config_rejected",
        "1 while the contents of a ConfigMap are ignored as invalid.",
    );
    informer::registered(IntGaugeVec::new(options, &["name"]))
});

impl ConfigStore {
    /// A store of defaults that follows nothing, for tests; see [`ConfigStore::set`].
    pub fn defaults() -> Self {
        Self::over(Cache::empty())
    }

    /// Follows the ConfigMaps of `namespace`; complete once `caches.synced()` returns.
    pub fn start(caches: &Caches, namespace: &str) -> Self {
        let maps: Cache<ConfigMap> = caches.cache_of(Selection::within(namespace));
        let store = Self::over(maps.clone());
        let follower = Arc::downgrade(&store.inner);
        maps.on_change(move |change| {
            let (Some(inner), Some(map)) = (follower.upgrade(), change.latest()) else {
                return;
            };
            let Some(name) = map.metadata.name.as_deref() else {
                return;
            };
            Self { inner }.refresh(name, change.new.as_deref());
        });
        store
    }

    /// The newest good snapshot of `T`.
    pub fn get<T: Snapshot>(&self) -> Arc<T> {
        let known = self
            .inner
            .slots
            .read()
            .get(&TypeId::of::<T>())
            .map(|slot| slot.snapshot.clone());
        if let Some(snapshot) = known.and_then(|snapshot| snapshot.downcast::<T>().ok()) {
            return snapshot;
        }
        let map = self
            .inner
            .maps
            .list()
            .into_iter()
            .find(|map| map.metadata.name.as_deref() == Some(T::NAME));
        let snapshot = Arc::new(parse::<T>(map.as_deref()).unwrap_or_default());
        self.store(snapshot.clone());
        snapshot
    }

    /// The contents of a ConfigMap as they are, without documentation (keys that begin with an underscore).
    pub fn data(&self, name: &str) -> BTreeMap<String, String> {
        let map = self
            .inner
            .maps
            .list()
            .into_iter()
            .find(|map| map.metadata.name.as_deref() == Some(name));
        let mut data = map.and_then(|map| map.data.clone()).unwrap_or_default();
        data.retain(|key, _| !key.starts_with('_'));
        data
    }

    /// Replaces a snapshot, for tests.
    pub fn set<T: Snapshot>(&self, snapshot: T) {
        self.store(Arc::new(snapshot));
        self.inner.changed.send_modify(|changes| *changes += 1);
    }

    /// Fires whenever a snapshot that somebody reads has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    fn over(maps: Cache<ConfigMap>) -> Self {
        let inner = Inner {
            maps,
            slots: RwLock::default(),
            changed: watch::Sender::new(0),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    fn refresh(&self, name: &str, map: Option<&ConfigMap>) {
        let refreshes: Vec<_> = {
            let slots = self.inner.slots.read();
            slots
                .values()
                .filter(|slot| slot.name == name)
                .map(|slot| slot.refresh)
                .collect()
        };
        for refresh in refreshes {
            refresh(self, map);
        }
    }

    fn store<T: Snapshot>(&self, snapshot: Arc<T>) {
        let slot = Slot {
            name: T::NAME,
            snapshot,
            refresh: refresh::<T>,
        };
        self.inner.slots.write().insert(TypeId::of::<T>(), slot);
    }
}

fn refresh<T: Snapshot>(store: &ConfigStore, map: Option<&ConfigMap>) {
    let Some(snapshot) = parse::<T>(map) else { return };
    if *store.get::<T>() != snapshot {
        info!(name = T::NAME, "Configuration changed");
        store.set(snapshot);
    }
}

/// `None` if the contents are not valid.
fn parse<T: Snapshot>(map: Option<&ConfigMap>) -> Option<T> {
    let Some(map) = map else { return Some(T::default()) };
    let empty = BTreeMap::new();
    let parsed = T::parse(map.data.as_ref().unwrap_or(&empty));
    REJECTED
        .with_label_values(&[T::NAME])
        .set(i64::from(parsed.is_err()));
    parsed
        .inspect_err(
            |error| warn!(name = T::NAME, %error, "Invalid configuration ignored, the last good one stays"),
        )
        .ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn window(store: &ConfigStore) -> u64 {
        store.get::<crds::config::Autoscaler>().stable_window.as_secs()
    }

    fn map(version: u64, window: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                namespace: Some("knative-serving".into()),
                name: Some("config-autoscaler".into()),
                resource_version: Some(version.to_string()),
                ..ObjectMeta::default()
            },
            data: Some([("stable-window".to_owned(), window.to_owned())].into()),
            ..ConfigMap::default()
        }
    }

    #[test]
    fn last_good_snapshot_stays_and_changes_are_told() {
        let store = ConfigStore::defaults();
        let changes = store.changes();
        assert_eq!(window(&store), 60);
        store.refresh("config-autoscaler", Some(&map(1, "5m")));
        assert_eq!(window(&store), 300);
        store.refresh("config-autoscaler", Some(&map(2, "many")));
        assert_eq!(window(&store), 300, "an edit that does not parse is ignored");
        store.refresh("config-network", Some(&map(3, "7m")));
        assert_eq!(*changes.borrow(), 1);
        store.refresh("config-autoscaler", None);
        assert_eq!(window(&store), 60, "a deleted map means its defaults");
    }

    #[test]
    fn first_reader_sees_what_is_already_there() {
        let store = ConfigStore::defaults();
        store.inner.maps.record(map(1, "9m"));
        assert_eq!(window(&store), 540);
    }
}
