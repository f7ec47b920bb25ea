//! Everything that is known about revisions and addresses, kept current by watches.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crds::names;
use crds::ports::{BACKEND_HTTP, BACKEND_HTTP2, NAME_HTTP, NAME_HTTP2};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::{Mutex, RwLock};
use proxy::{PoolConfig, Protocol, Upstream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::config::Bounds;
use crate::endpoints::{Address, Endpoints, ServiceKey};
use crate::revision::{Revision, RevisionKey};
use crate::settings::RevisionSettings;
use crate::throttler::Throttler;
use crate::watch::{Change, ObjectKey};

/// One connection pool per address, shared by all who send there.
#[derive(Debug, Clone, Default)]
pub struct Upstreams {
    pools: Arc<Mutex<HashMap<SocketAddr, Weak<Upstream>>>>,
    config: PoolConfig,
}

impl Upstreams {
    /// The pool of an address; it lives for as long as somebody holds it.
    pub fn get(&self, addr: SocketAddr) -> Arc<Upstream> {
        let mut pools = self.pools.lock();
        if let Some(upstream) = pools.get(&addr).and_then(Weak::upgrade) {
            return upstream;
        }
        let upstream = Upstream::new(addr, self.config.clone());
        pools.insert(addr, Arc::downgrade(&upstream));
        upstream
    }

    /// Closes idle connections and forgets addresses nobody uses.
    pub fn expire_idle(&self) {
        let mut live = Vec::new();
        self.pools.lock().retain(|_, upstream| match upstream.upgrade() {
            Some(upstream) => {
                live.push(upstream);
                true
            }
            None => false,
        });
        for upstream in live {
            upstream.expire_idle();
        }
    }
}

type ServiceListener = Box<dyn Fn(&ServiceKey) + Send + Sync>;

/// What is known now.
pub struct Model {
    revisions: RwLock<HashMap<RevisionKey, Arc<Revision>>>,
    endpoints: Mutex<Endpoints>,
    /// Private Service of each revision.
    private_services: RwLock<HashMap<ServiceKey, RevisionKey>>,
    upstreams: Upstreams,
    bounds: Bounds,
    total_bytes: Arc<AtomicUsize>,
    own_ip: Option<IpAddr>,
    tasks: TaskTracker,
    /// Counts changes of the set of revisions, for those who wait for one to appear.
    revision_changes: watch::Sender<u64>,
    synced: watch::Sender<(bool, bool)>,
    listeners: Mutex<Vec<ServiceListener>>,
}

impl Model {
    pub(crate) fn new(bounds: Bounds, own_ip: Option<IpAddr>) -> Self {
        Self {
            revisions: RwLock::default(),
            endpoints: Mutex::default(),
            private_services: RwLock::default(),
            upstreams: Upstreams::default(),
            bounds,
            total_bytes: Arc::default(),
            own_ip,
            tasks: TaskTracker::new(),
            revision_changes: watch::Sender::new(0),
            synced: watch::Sender::new((false, false)),
            listeners: Mutex::default(),
        }
    }

    /// The revision, if it exists.
    pub fn revision(&self, key: &RevisionKey) -> Option<Arc<Revision>> {
        self.revisions.read().get(key).cloned()
    }

    /// The revision, waiting for it to become known: a route may be told before the revision it names.
    pub async fn revision_within(&self, key: &RevisionKey, patience: Duration) -> Option<Arc<Revision>> {
        let mut changes = self.revision_changes.subscribe();
        let wait = async {
            loop {
                if let Some(revision) = self.revision(key) {
                    return Some(revision);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, wait).await.ok().flatten()
    }

    pub fn revisions(&self) -> Vec<Arc<Revision>> {
        self.revisions.read().values().cloned().collect()
    }

    pub fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// The addresses of a Service by the name of one of its ports; see [`Endpoints::addresses`].
    pub fn addresses(&self, service: &ServiceKey, ports: &[&str], default: Option<u16>) -> Vec<Address> {
        self.endpoints.lock().addresses(service, ports, default)
    }

    /// Calls `listener` whenever the addresses of a Service changed.
    pub fn on_service_change(&self, listener: impl Fn(&ServiceKey) + Send + Sync + 'static) {
        self.listeners.lock().push(Box::new(listener));
    }

    /// Waits until revisions and endpoints were listed once.
    pub async fn synced(&self) {
        // The sender lives as long as we do.
        let _ = self
            .synced
            .subscribe()
            .wait_for(|(revisions, endpoints)| *revisions && *endpoints)
            .await;
    }

    pub(crate) fn apply_revision(&self, change: Change<crds::serving::Revision>) -> Option<RevisionKey> {
        match change {
            Change::Applied(key, object) => {
                let settings = RevisionSettings::from(&object);
                let known = self.revision(&key);
                match &known {
                    Some(revision) => revision.configure(settings),
                    None => self.add_revision(&key, settings),
                }
                self.refresh_pods(&key);
                self.refresh_share(&key);
                if known.is_none() {
                    self.revision_changes.send_modify(|count| *count += 1);
                }
                None
            }
            Change::Deleted(key) => {
                self.private_services.write().remove(&private_service(&key));
                let removed = self.revisions.write().remove(&key);
                if let Some(revision) = removed {
                    revision.throttler().close();
                }
                self.revision_changes.send_modify(|count| *count += 1);
                Some(key)
            }
            Change::Synced => {
                self.synced.send_modify(|synced| synced.0 = true);
                None
            }
        }
    }

    pub(crate) fn apply_slice(&self, change: Change<EndpointSlice>) {
        let changed = match change {
            Change::Applied(key, slice) => self.endpoints.lock().apply(&key, &slice),
            Change::Deleted(key) => self.endpoints.lock().remove(&key).into_iter().collect(),
            Change::Synced => {
                self.synced.send_modify(|synced| synced.1 = true);
                return;
            }
        };
        for service in changed {
            let revision = self.private_services.read().get(&service).cloned();
            if let Some(revision) = revision {
                self.refresh_pods(&revision);
            }
            // The public Service is named like its revision.
            self.refresh_share(&service);
            for listener in self.listeners.lock().iter() {
                listener(&service);
            }
        }
    }

    fn add_revision(&self, key: &RevisionKey, settings: RevisionSettings) {
        let throttler = Throttler::new(
            &settings,
            self.bounds,
            self.total_bytes.clone(),
            self.upstreams.clone(),
            self.tasks.clone(),
        );
        self.private_services
            .write()
            .insert(private_service(key), key.clone());
        self.revisions
            .write()
            .insert(key.clone(), Revision::new(key.clone(), settings, throttler));
    }

    fn refresh_pods(&self, key: &RevisionKey) {
        let Some(revision) = self.revision(key) else {
            return;
        };
        let (name, port) = match revision.settings().protocol {
            Protocol::Http1 => (NAME_HTTP, BACKEND_HTTP),
            Protocol::H2c => (NAME_HTTP2, BACKEND_HTTP2),
        };
        let addresses = self.addresses(&private_service(key), &[name], Some(port));
        revision.throttler().set_pods(&addresses);
    }

    /// This activator's place among the addresses of the public Service, while activators are listed there.
    fn refresh_share(&self, key: &RevisionKey) {
        let (Some(own), Some(revision)) = (self.own_ip, self.revision(key)) else {
            return;
        };
        let listed = self.addresses(key, &[NAME_HTTP, NAME_HTTP2], Some(BACKEND_HTTP));
        let index = listed.iter().position(|address| address.addr.ip() == own);
        revision
            .throttler()
            .set_share(index.map(|index| (index, listed.len())));
    }
}

fn private_service(revision: &RevisionKey) -> ServiceKey {
    ObjectKey::new(revision.namespace.clone(), names::private_service(&revision.name))
}
