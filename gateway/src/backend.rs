//! Services that are no revisions: their addresses by port, and which revisions are served without an activator.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use activator::{Change, Model, RevisionKey, ServiceKey};
use crds::networking::{ServerlessService, ServerlessServiceMode};
use k8s_openapi::api::core::v1::{Service, ServicePort as KubeServicePort};
use parking_lot::RwLock;
use proxy::{Protocol, Upstream};

use crate::route::ServicePort;

/// What is known of Services and ServerlessServices.
pub(crate) struct Backends {
    model: Arc<Model>,
    services: RwLock<HashMap<ServiceKey, Arc<KnownService>>>,
    /// Resolved on first use, dropped when the Service or its addresses change.
    resolved: RwLock<HashMap<ServiceKey, HashMap<ServicePort, Arc<Resolved>>>>,
    modes: RwLock<HashMap<RevisionKey, ServerlessServiceMode>>,
}

#[derive(Debug)]
struct KnownService {
    ports: Vec<KubeServicePort>,
    /// The other name of an ExternalName Service.
    external_name: Option<String>,
}

/// A Service on one port.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) protocol: Protocol,
    upstreams: Vec<Arc<Upstream>>,
    cursor: AtomicUsize,
    external: Option<(String, u16)>,
}

impl Resolved {
    /// The addresses to try, each once, beginning with the next in turn.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        let count = self.upstreams.len().max(1);
        let start = self.cursor.fetch_add(1, Ordering::Relaxed) % count;
        let (before, after) = self.upstreams.split_at(start.min(self.upstreams.len()));
        after.iter().chain(before)
    }
}

impl Backends {
    pub(crate) fn new(model: Arc<Model>) -> Arc<Self> {
        let backends = Arc::new(Self {
            model: model.clone(),
            services: RwLock::default(),
            resolved: RwLock::default(),
            modes: RwLock::default(),
        });
        let weak = Arc::downgrade(&backends);
        model.on_service_change(move |service| {
            if let Some(backends) = weak.upgrade() {
                backends.resolved.write().remove(service);
            }
        });
        backends
    }

    pub(crate) fn apply_service(&self, change: Change<Service>) {
        match change {
            Change::Applied(key, service) => {
                let spec = service.spec.unwrap_or_default();
                let known = KnownService {
                    ports: spec.ports.unwrap_or_default(),
                    external_name: spec
                        .external_name
                        .filter(|_| spec.type_.as_deref() == Some("ExternalName")),
                };
                self.services.write().insert(key.clone(), Arc::new(known));
                self.resolved.write().remove(&key);
            }
            Change::Deleted(key) => {
                self.services.write().remove(&key);
                self.resolved.write().remove(&key);
            }
            Change::Synced => {}
        }
    }

    pub(crate) fn apply_mode(&self, change: Change<ServerlessService>) {
        match change {
            Change::Applied(key, service) => drop(self.modes.write().insert(key, service.spec.mode)),
            Change::Deleted(key) => drop(self.modes.write().remove(&key)),
            Change::Synced => {}
        }
    }

    /// Whether the revision's pods take requests without an activator between.
    pub(crate) fn serves(&self, revision: &RevisionKey) -> bool {
        self.modes.read().get(revision) == Some(&ServerlessServiceMode::Serve)
    }

    pub(crate) fn knows(&self, service: &ServiceKey) -> bool {
        self.services.read().contains_key(service)
    }

    /// The addresses of a Service on a port; `None` for a Service or port that does not exist.
    pub(crate) async fn resolve(&self, service: &ServiceKey, port: &ServicePort) -> Option<Arc<Resolved>> {
        let cached = self
            .resolved
            .read()
            .get(service)
            .and_then(|ports| ports.get(port))
            .cloned();
        let resolved = match cached {
            Some(resolved) => resolved,
            None => {
                let resolved = Arc::new(self.look_up(service, port)?);
                self.resolved
                    .write()
                    .entry(service.clone())
                    .or_default()
                    .insert(port.clone(), resolved.clone());
                resolved
            }
        };
        let Some((name, port)) = &resolved.external else {
            return Some(resolved);
        };
        // Names outside are asked for each time: their addresses change without telling.
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), *port))
            .await
            .ok()?
            .collect();
        Some(Arc::new(Resolved {
            protocol: resolved.protocol,
            upstreams: addresses
                .into_iter()
                .map(|addr| self.model.upstreams().get(addr))
                .collect(),
            cursor: AtomicUsize::new(0),
            external: None,
        }))
    }

    fn look_up(&self, service: &ServiceKey, port: &ServicePort) -> Option<Resolved> {
        let known = self.services.read().get(service).cloned()?;
        let wanted = |candidate: &&KubeServicePort| match port {
            ServicePort::Number(number) => candidate.port == i32::from(*number),
            ServicePort::Name(name) => candidate.name.as_deref() == Some(name),
        };
        let found = known.ports.iter().find(wanted);
        let protocol = found.map_or(Protocol::Http1, protocol);
        if let Some(name) = &known.external_name {
            let number = match port {
                ServicePort::Number(number) => *number,
                ServicePort::Name(_) => u16::try_from(found?.port).ok()?,
            };
            let external = Some((name.clone(), number));
            return Some(Resolved {
                protocol,
                upstreams: Vec::new(),
                cursor: AtomicUsize::new(0),
                external,
            });
        }
        let name = found?.name.clone().unwrap_or_default();
        let addresses = self.model.addresses(service, &[&name], None);
        let ready = addresses.into_iter().filter(|address| address.ready);
        let upstreams = ready
            .map(|address| self.model.upstreams().get(address.addr))
            .collect();
        Some(Resolved {
            protocol,
            upstreams,
            cursor: AtomicUsize::new(0),
            external: None,
        })
    }
}

/// The protocol that a Service's port speaks, by its appProtocol, else by its name.
fn protocol(port: &KubeServicePort) -> Protocol {
    let h2c = match port.app_protocol.as_deref() {
        Some(protocol) => protocol == "kubernetes.io/h2c",
        None => {
            let name = port.name.as_deref().unwrap_or_default();
            ["h2c", "http2", "grpc"]
                .iter()
                .any(|prefix| name == *prefix || name.starts_with(&format!("{prefix}-")))
        }
    };
    if h2c { Protocol::H2c } else { Protocol::Http1 }
}
