//! What Services and EndpointSlices say, in the compact form that proxies and DNS need.
//!
//! One watch per kind feeds both of them. Objects are reduced as they arrive and not kept.

mod convert;
mod state;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStream, TryStreamExt as _};
use k8s_openapi::api::core::v1::Service as ServiceObject;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use self::state::SliceKey;
pub(crate) use self::state::{Endpoint, Protocol, Service, ServiceKey, ServiceKind, State};

/// First wait before a broken watch is opened again: the API server is in this process.
const FIRST_RETRY: Duration = Duration::from_millis(10);

/// Longest such wait.
const LAST_RETRY: Duration = Duration::from_secs(5);

/// A live view of Services and their endpoints. Clones share it; the watches end with the last clone.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
    _watches: Arc<Vec<AbortOnDropHandle<()>>>,
}

struct Inner {
    state: RwLock<State>,
    subscribers: Mutex<Vec<Arc<Changes>>>,
    synced: tokio::sync::watch::Sender<u8>,
}

/// Services changed since the last look. Bounded by the number of services: a change of one is noted once.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    keys: Mutex<HashSet<ServiceKey>>,
    notify: Notify,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog")
            .field("services", &self.services())
            .finish_non_exhaustive()
    }
}

impl Catalog {
    /// Starts to watch Services and EndpointSlices of all namespaces.
    pub fn start(client: Client) -> Self {
        let inner = Arc::new(Inner::new());
        let services = follow(client.clone(), Arc::clone(&inner), apply_services);
        let slices = follow(client, Arc::clone(&inner), apply_slices);
        let watches = vec![AbortOnDropHandle::new(services), AbortOnDropHandle::new(slices)];
        Self {
            inner,
            _watches: Arc::new(watches),
        }
    }

    /// A catalog that says what the test says.
    #[cfg(test)]
    pub(crate) fn fixed(state: State) -> Self {
        let inner = Inner::new();
        *inner.state.write() = state;
        inner.synced.send_replace(ALL_KINDS);
        Self {
            inner: Arc::new(inner),
            _watches: Arc::default(),
        }
    }

    /// Waits until both kinds were listed once.
    pub async fn synced(&self) {
        // The sender lives in `inner`, so the wait cannot fail.
        let _ = self
            .inner
            .synced
            .subscribe()
            .wait_for(|kinds| *kinds == ALL_KINDS)
            .await;
    }

    /// Whether both kinds were listed once.
    pub fn is_synced(&self) -> bool {
        *self.inner.synced.borrow() == ALL_KINDS
    }

    /// How many Services there are.
    pub fn services(&self) -> usize {
        self.inner.state.read().len()
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.inner.state.read()
    }

    /// Subscribes; all services that exist now count as changed.
    pub(crate) fn changes(&self) -> Arc<Changes> {
        let changes = Arc::new(Changes::default());
        self.inner.subscribers.lock().push(Arc::clone(&changes));
        changes.add(self.read().keys());
        changes
    }
}

impl Changes {
    fn add(&self, keys: impl IntoIterator<Item = ServiceKey>) {
        self.keys.lock().extend(keys);
        self.notify.notify_one();
    }

    /// Waits for changes and takes them. Cancel safe.
    pub(crate) async fn next(&self) -> HashSet<ServiceKey> {
        loop {
            let keys = std::mem::take(&mut *self.keys.lock());
            if !keys.is_empty() {
                return keys;
            }
            self.notify.notified().await;
        }
    }
}

const SERVICES: u8 = 1;
const SLICES: u8 = 2;
const ALL_KINDS: u8 = SERVICES | SLICES;

impl Inner {
    fn new() -> Self {
        let (synced, _) = tokio::sync::watch::channel(0);
        Self {
            state: RwLock::default(),
            subscribers: Mutex::default(),
            synced,
        }
    }

    fn tell(&self, keys: HashSet<ServiceKey>) {
        if keys.is_empty() {
            return;
        }
        // A subscriber is gone when only this list holds it.
        let mut subscribers = self.subscribers.lock();
        subscribers.retain(|changes| Arc::strong_count(changes) > 1);
        for changes in subscribers.iter() {
            changes.add(keys.iter().cloned());
        }
    }
}

/// Runs one watch for ever; `apply` turns an event into changed services. `seen` collects the keys of a listing.
fn follow<K, F>(client: Client, inner: Arc<Inner>, apply: F) -> tokio::task::JoinHandle<()>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Send
        + serde::de::DeserializeOwned
        + 'static,
    F: Fn(&mut State, &mut HashSet<(String, String)>, Event<K>) -> HashSet<ServiceKey> + Send + 'static,
{
    let events = watch(Api::<K>::all(client), watcher::Config::default()).backoff(Retry(FIRST_RETRY));
    tokio::spawn(apply_all(events, inner, apply))
}

async fn apply_all<K, S, F>(events: S, inner: Arc<Inner>, apply: F)
where
    K: kube::Resource<DynamicType = ()>,
    S: TryStream<Ok = Event<K>, Error = watcher::Error> + Send,
    F: Fn(&mut State, &mut HashSet<(String, String)>, Event<K>) -> HashSet<ServiceKey>,
{
    let kind = if K::kind(&()) == "Service" {
        SERVICES
    } else {
        SLICES
    };
    let mut events = std::pin::pin!(events.into_stream());
    let mut seen = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                let listed = matches!(event, Event::InitDone);
                let changed = apply(&mut inner.state.write(), &mut seen, event);
                inner.tell(changed);
                if listed {
                    inner.synced.send_modify(|kinds| *kinds |= kind);
                }
            }
            Err(error) => debug!(kind = %K::kind(&()), %error, "Watch interrupted"),
        }
    }
}

fn apply_services(
    state: &mut State,
    seen: &mut HashSet<(String, String)>,
    event: Event<ServiceObject>,
) -> HashSet<ServiceKey> {
    match event {
        Event::Init => {
            seen.clear();
            HashSet::new()
        }
        Event::InitApply(object) => {
            let Some((key, service)) = convert::service(&object) else {
                return HashSet::new();
            };
            seen.insert((key.namespace.clone(), key.name.clone()));
            state.put_service(key, service)
        }
        Event::Apply(object) => convert::service(&object)
            .map(|(key, service)| state.put_service(key, service))
            .unwrap_or_default(),
        Event::Delete(object) => convert::key(&object.metadata)
            .map(|key| state.remove_service(&key))
            .unwrap_or_default(),
        Event::InitDone => {
            let gone: Vec<ServiceKey> = state
                .keys()
                .filter(|key| !seen.contains(&(key.namespace.clone(), key.name.clone())))
                .collect();
            seen.clear();
            gone.iter().flat_map(|key| state.remove_service(key)).collect()
        }
    }
}

fn apply_slices(
    state: &mut State,
    seen: &mut HashSet<(String, String)>,
    event: Event<EndpointSlice>,
) -> HashSet<ServiceKey> {
    match event {
        Event::Init => {
            seen.clear();
            HashSet::new()
        }
        Event::InitApply(object) => {
            let Some((key, slice)) = convert::slice(&object) else {
                return HashSet::new();
            };
            seen.insert((key.namespace.clone(), key.name.clone()));
            state.put_slice(key, slice)
        }
        Event::Apply(object) => match convert::slice(&object) {
            Some((key, slice)) => state.put_slice(key, slice),
            // Its label was taken away.
            None => convert::slice_key(&object.metadata)
                .map(|key| state.remove_slice(&key))
                .unwrap_or_default(),
        },
        Event::Delete(object) => convert::slice_key(&object.metadata)
            .map(|key| state.remove_slice(&key))
            .unwrap_or_default(),
        Event::InitDone => {
            let gone: Vec<SliceKey> = state
                .slice_keys()
                .filter(|key| !seen.contains(&(key.namespace.clone(), key.name.clone())))
                .collect();
            seen.clear();
            gone.iter().flat_map(|key| state.remove_slice(key)).collect()
        }
    }
}

/// Doubles the wait up to [`LAST_RETRY`].
struct Retry(Duration);

impl Iterator for Retry {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = self.0;
        self.0 = (now * 2).min(LAST_RETRY);
        Some(now)
    }
}

impl Backoff for Retry {
    fn reset(&mut self) {
        self.0 = FIRST_RETRY;
    }
}

#[cfg(test)]
mod tests;

/// Catalogs for the tests of proxies and DNS.
#[cfg(test)]
pub(crate) mod test_support {
    use super::*;

    impl Catalog {
        /// Applies objects as their watches would.
        pub(crate) fn apply(&self, services: &[serde_json::Value], slices: &[serde_json::Value]) {
            for object in services {
                let event = Event::Apply(serde_json::from_value(object.clone()).unwrap());
                let changed = apply_services(&mut self.inner.state.write(), &mut HashSet::new(), event);
                self.inner.tell(changed);
            }
            for object in slices {
                let event = Event::Apply(serde_json::from_value(object.clone()).unwrap());
                let changed = apply_slices(&mut self.inner.state.write(), &mut HashSet::new(), event);
                self.inner.tell(changed);
            }
        }
    }

    /// An EndpointSlice of a service in `default`; `endpoints` are `(address, ready)`.
    pub(crate) fn slice(
        service: &str,
        ports: serde_json::Value,
        endpoints: &[(&str, bool)],
    ) -> serde_json::Value {
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|(address, ready)| serde_json::json!({"addresses": [address], "conditions": {"ready": ready}}))
            .collect();
        serde_json::json!({
            "metadata": {
                "namespace": "default",
                "name": format!("{service}-slice"),
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": endpoints,
        })
    }

    /// A Service in `default` with this spec.
    pub(crate) fn service(name: &str, spec: serde_json::Value) -> serde_json::Value {
        serde_json::json!({"metadata": {"namespace": "default", "name": name}, "spec": spec})
    }
}
