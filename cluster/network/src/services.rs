//! Service addresses: a listener per `VIP:port` that forwards to a ready endpoint.
//!
//! A listener exists while its Service has endpoints. Without any, the kernel itself refuses connections at once, as
//! kube-proxy's reject rules do. Idle listeners cost a socket and a small task, open connections no buffer: data goes
//! through one buffer per thread.

mod balance;
mod plan;
mod tcp;
mod udp;

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{debug, warn};

use self::balance::Backend;
use self::plan::{Binding, Plan};
use crate::catalog::{Catalog, Protocol, ServiceKey};

/// Wait before listeners that could not be opened are tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What the proxies may use.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// Where node ports listen; `None` for none. `0.0.0.0` opens them to the network.
    pub node_ports: Option<Ipv4Addr>,
    /// Where ports of LoadBalancer Services listen; `None` for none.
    pub load_balancer: Option<Ipv4Addr>,
    /// TCP connections and UDP flows at a time over all Services; further ones are closed at once.
    pub max_connections: usize,
}

impl Default for ProxyConfig {
    /// Node ports on all addresses (as upstream), no load balancer, 16 384 connections.
    fn default() -> Self {
        Self {
            node_ports: Some(Ipv4Addr::UNSPECIFIED),
            load_balancer: None,
            max_connections: 16_384,
        }
    }
}

/// The running proxies. Dropping it closes all listeners and connections.
#[derive(Debug)]
pub struct ServiceProxy {
    shared: Arc<Shared>,
    driver: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    config: ProxyConfig,
    connections: Arc<Semaphore>,
    listeners: AtomicUsize,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A listener and the end of its task.
struct Open {
    backend: Arc<Backend>,
    stop: CancellationToken,
    listening: JoinHandle<()>,
}

impl Open {
    /// Comes back when the address is free again: the next listener may want the same one.
    async fn close(self) {
        self.stop.cancel();
        let _ = self.listening.await;
    }
}

impl ServiceProxy {
    /// Starts to follow `catalog`.
    pub fn start(catalog: Catalog, config: ProxyConfig) -> Self {
        let shared = Arc::new(Shared {
            connections: Arc::new(Semaphore::new(config.max_connections)),
            config,
            listeners: AtomicUsize::new(0),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let driver = AbortOnDropHandle::new(tokio::spawn(Driver::new(catalog, Arc::clone(&shared)).run()));
        Self { shared, driver }
    }

    /// Open listeners.
    pub fn listeners(&self) -> usize {
        self.shared.listeners.load(Ordering::Relaxed)
    }

    /// Open connections and flows, to hold against [`ProxyConfig::max_connections`].
    pub fn connections(&self) -> usize {
        self.shared
            .config
            .max_connections
            .saturating_sub(self.shared.connections.available_permits())
    }

    /// Closes all listeners and connections and waits for them.
    pub async fn stop(self) {
        self.driver.abort();
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for ServiceProxy {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

struct Driver {
    catalog: Catalog,
    shared: Arc<Shared>,
    open: HashMap<Binding, Open>,
    /// The bindings each service has now.
    of_service: HashMap<ServiceKey, HashSet<Binding>>,
    /// Services with a binding that could not be opened.
    failed: HashSet<ServiceKey>,
}

impl Driver {
    fn new(catalog: Catalog, shared: Arc<Shared>) -> Self {
        Self {
            catalog,
            shared,
            open: HashMap::new(),
            of_service: HashMap::new(),
            failed: HashSet::new(),
        }
    }

    async fn run(mut self) {
        let changes = self.catalog.changes();
        loop {
            let retry = async {
                match self.failed.is_empty() {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(RETRY).await,
                }
            };
            let keys = tokio::select! {
                keys = changes.next() => keys,
                () = retry => std::mem::take(&mut self.failed),
            };
            for key in keys {
                let wanted = plan::plan(&self.catalog.read(), &key, &self.shared.config);
                self.reconcile(key, wanted).await;
            }
            self.shared.listeners.store(self.open.len(), Ordering::Relaxed);
        }
    }

    async fn reconcile(&mut self, key: ServiceKey, wanted: Vec<Plan>) {
        let old = self.of_service.remove(&key).unwrap_or_default();
        let bindings: HashSet<Binding> = wanted.iter().map(|plan| plan.binding).collect();
        for binding in old.difference(&bindings) {
            if let Some(open) = self.open.remove(binding) {
                open.close().await;
            }
        }
        self.failed.remove(&key);
        let mut mine = HashSet::new();
        for plan in wanted {
            if old.contains(&plan.binding)
                && let Some(open) = self.open.get(&plan.binding)
            {
                open.backend.set(plan.targets, plan.client_affinity);
                mine.insert(plan.binding);
                continue;
            }
            if self.open.contains_key(&plan.binding) {
                warn!(namespace = %key.namespace, name = %key.name, address = %plan.binding, "Another Service has this port");
                self.failed.insert(key.clone());
                continue;
            }
            match self.listen(&plan) {
                Ok(open) => {
                    self.open.insert(plan.binding, open);
                    mine.insert(plan.binding);
                }
                Err(error) => {
                    warn!(namespace = %key.namespace, name = %key.name, address = %plan.binding, %error, "Cannot listen for a Service");
                    self.failed.insert(key.clone());
                }
            }
        }
        if !mine.is_empty() {
            self.of_service.insert(key, mine);
        }
    }

    fn listen(&self, plan: &Plan) -> std::io::Result<Open> {
        let backend = Arc::new(Backend::new(plan.targets.clone(), plan.client_affinity));
        let stop = self.shared.stop.child_token();
        let address = plan.binding.address;
        let listening = match plan.binding.protocol {
            Protocol::Tcp => tcp::start(address, Arc::clone(&backend), &self.shared, stop.clone())?,
            Protocol::Udp => udp::start(address, Arc::clone(&backend), &self.shared, stop.clone())?,
        };
        debug!(address = %plan.binding, "Listening for a Service");
        Ok(Open {
            backend,
            stop,
            listening,
        })
    }
}

#[cfg(test)]
mod tests;
