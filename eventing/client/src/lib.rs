//! Connections to where events go, and to whatever else somebody may name by a URL.
//!
//! An [`Endpoint`] is a URL that events are sent to; endpoints of one scheme, host and port share a [`Target`]: its idle
//! connections and its [`Circuit`]. A request is driven by the task that waits for it, connection included: nothing
//! hops between tasks, and nothing is left behind when that task is dropped.
//!
//! Nobody is trusted. Names are resolved, the addresses checked ([`Allowed`]), and a checked one connected to. Every
//! wait and every size has a limit in [`Config`]. Redirects are answers like others.

mod address;
mod circuit;
mod connection;
mod credential;
mod dns;
mod endpoint;
mod pool;
mod resolver;
mod send;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

pub use address::{Allowed, Refusal};
pub use circuit::Circuit;
pub use credential::{Account, Credential, Credentials, Shown};
pub use endpoint::{Endpoint, EndpointError};
pub use send::{Answer, BrokenBody, SendError, Want};
pub use tls::Anchors;

use endpoint::{Target, TargetKey};
use resolver::Resolver;

/// What a client may do, and for how long.
#[derive(Debug, Clone)]
pub struct Config {
    /// The DNS server of the cluster. `None`: the system resolves all names, as in a pod.
    pub dns: Option<SocketAddr>,
    /// The cluster's domain; its names are asked of `dns`.
    pub cluster_domain: String,
    /// Addresses that events may be sent to although they are special.
    pub allowed: Allowed,
    /// For resolving, connecting and the TLS handshake together.
    pub connect_timeout: Duration,
    /// For one attempt, when its policy sets no shorter one: no attempt may last for ever.
    pub attempt_timeout: Duration,
    /// For the body of an answer, once its head was read.
    pub body_timeout: Duration,
    /// An idle connection older than this is not used again.
    pub idle_timeout: Duration,
    /// Idle connections kept for each target.
    pub max_idle: usize,
    /// What senders show to receivers. `None`: nothing.
    pub credentials: Option<Arc<dyn Credentials>>,
    /// What is trusted beside the system's roots.
    pub anchors: Anchors,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dns: None,
            cluster_domain: "cluster.local".to_owned(),
            allowed: Allowed::default(),
            connect_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(600),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            max_idle: 128,
            credentials: None,
            anchors: Anchors::default(),
        }
    }
}

/// Where endpoints come from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    resolver: Resolver,
    tls: Arc<tls::Trust>,
    targets: Mutex<HashMap<TargetKey, Weak<Target>>>,
}

impl Client {
    pub fn new(config: Config) -> Self {
        let resolver = Resolver::new(config.dns, &config.cluster_domain);
        Self(Arc::new(Inner {
            resolver,
            tls: Arc::new(tls::Trust::new(config.anchors.clone())),
            targets: Mutex::default(),
            config,
        }))
    }

    /// The endpoint of a URL. `ca_certs` (PEM) are trusted beside the system's roots, by this endpoint.
    ///
    /// # Errors
    /// When events cannot be sent to such a URL.
    pub fn endpoint(&self, url: &str, ca_certs: Option<&str>) -> Result<Endpoint, EndpointError> {
        Endpoint::new(self, url, ca_certs, None)
    }

    /// Like [`Client::endpoint`], to which `account` sends: if the receiver has an audience, with a credential for it.
    ///
    /// # Errors
    /// When events cannot be sent to such a URL.
    pub fn endpoint_as(
        &self,
        account: Option<&Account>,
        url: &str,
        ca_certs: Option<&str>,
        audience: Option<&str>,
    ) -> Result<Endpoint, EndpointError> {
        let credential = match (&self.0.config.credentials, account, audience) {
            (Some(known), Some(account), Some(audience)) => Some(known.of(account, audience)),
            _ => None,
        };
        Endpoint::new(self, url, ca_certs, credential)
    }

    /// The addresses of a host that may be connected to, for those who connect by other means.
    ///
    /// # Errors
    /// When it has no address, or one that is refused.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, SendError> {
        let found = match host.parse() {
            Ok(address) => [address].into(),
            Err(_) => {
                let resolving = self.0.resolver.resolve(host);
                let limit = self.0.config.connect_timeout;
                let resolved = tokio::time::timeout(limit, resolving).await;
                let resolved = resolved.map_err(|_| SendError::ConnectTimeout(limit))?;
                resolved.map_err(SendError::Resolve)?
            }
        };
        let mut refused = None;
        let mut allowed = Vec::new();
        for &address in found.iter() {
            match self.0.config.allowed.check(address) {
                Ok(()) => allowed.push(address),
                Err(refusal) => refused = Some(SendError::Refused { address, refusal }),
            }
        }
        match refused.filter(|_| allowed.is_empty()) {
            Some(refused) => Err(refused),
            None => Ok(allowed),
        }
    }

    /// Closes connections that were idle for longer than they may be, and forgets targets without endpoints. Call it
    /// every few seconds: nothing else does.
    pub fn expire_idle(&self) {
        let mut targets = self.0.targets.lock();
        targets.retain(|_, target| match target.upgrade() {
            Some(target) => {
                target.idle.expire(self.0.config.idle_timeout);
                true
            }
            None => false,
        });
    }

    /// Idle connections now, over all targets.
    pub fn idle_connections(&self) -> usize {
        let targets = self.0.targets.lock();
        targets
            .values()
            .filter_map(Weak::upgrade)
            .map(|target| target.idle.len())
            .sum()
    }

    /// Targets whose circuit is open.
    pub fn open_circuits(&self) -> usize {
        let targets = self.0.targets.lock();
        let open = |target: Arc<Target>| target.circuit.is_open();
        targets
            .values()
            .filter_map(Weak::upgrade)
            .filter(|target| open(target.clone()))
            .count()
    }
}
