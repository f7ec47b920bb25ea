//! Cluster DNS: authoritative for the cluster's zone, forwarding for the rest.
//!
//! Names of the cluster never leave the machine: what the resolvers of pods try along their search list is answered
//! here, also when it does not exist. Answers live five seconds, so nobody holds a gone address for long.

mod forward;
mod reply;
mod server;
mod zone;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use self::forward::Forwarder;
use self::server::Shared;
use self::zone::Zone;
use crate::catalog::Catalog;
use crate::cidr::Cidr;
use crate::error::NetworkError;
use crate::resolv;

/// The port of DNS.
pub const PORT: u16 = 53;

/// What the name server knows and where it listens.
#[derive(Debug, Clone)]
pub struct DnsConfig {
    /// Addresses to listen on, UDP and TCP; the bridge's [`gateway_ip`](crate::Network::gateway_ip) with [`PORT`].
    pub listen: Vec<SocketAddr>,
    /// The cluster's domain (upstream default: `cluster.local`).
    pub domain: String,
    /// Pod range: `a-b-c-d.<namespace>.pod` names and reverse lookups.
    pub pod_cidr: Cidr,
    /// Service range: reverse lookups.
    pub service_cidr: Cidr,
    /// Who answers for other names; `None` for the host's own resolvers.
    pub upstreams: Option<Vec<SocketAddr>>,
}

/// The running name server. Dropping it ends it.
#[derive(Debug)]
pub struct Dns {
    shared: Arc<Shared>,
    listening: Vec<SocketAddr>,
}

impl Dns {
    /// Starts to answer from `catalog`. Until the catalog is synced, queries for the cluster get SERVFAIL, which
    /// clients try again.
    ///
    /// # Errors
    /// [`NetworkError::Listen`] when an address is taken.
    pub async fn start(catalog: Catalog, config: DnsConfig) -> Result<Self, NetworkError> {
        let upstreams = config.upstreams.clone().unwrap_or_else(|| {
            resolv::host_nameservers()
                .into_iter()
                .map(|ip| SocketAddr::new(IpAddr::V4(ip), PORT))
                .collect()
        });
        // A host that asks us would be asked in turn, for ever.
        let upstreams: Vec<SocketAddr> = upstreams
            .into_iter()
            .filter(|ip| !config.listen.contains(ip))
            .collect();
        let shared = Arc::new(Shared {
            catalog,
            zone: Zone::new(&config.domain, config.pod_cidr, config.service_cidr)?,
            forwarder: Forwarder::new(upstreams),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let mut listening = Vec::new();
        for address in &config.listen {
            listening.push(server::listen(&shared, *address).await?);
        }
        info!(domain = %config.domain, "Cluster DNS ready");
        Ok(Self { shared, listening })
    }

    /// The addresses it listens on, with the ports the system chose.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Queries waiting for other name servers.
    pub fn forwarding(&self) -> usize {
        self.shared.forwarder.in_flight()
    }

    /// Stops listening and waits for what is in progress to end.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

#[cfg(test)]
mod tests;
