//! What the data plane is started with.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use event_store::Store;
use informer::Caches;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::client::Allowed;
use crate::model::Backend;

/// All that [`run`](crate::run) needs.
pub struct Config {
    /// Watches of brokers, triggers, channels and policies; shared with whoever else reads them.
    pub caches: Caches,
    /// Where the ConfigMaps are that steer brokers.
    pub system_namespace: String,
    /// Where events are accepted.
    pub listeners: Vec<TcpListener>,
    /// Where events are accepted over TLS.
    pub secure_listeners: Vec<TcpListener>,
    pub stores: Stores,
    /// Resolves the names under the cluster domain; `None`: the system's resolver does, as for all other names.
    pub dns: Option<SocketAddr>,
    /// `cluster.local` unless the cluster has another one.
    pub cluster_domain: String,
    /// Kinds of addresses that events may be sent to although they are refused by default.
    pub allowed: Allowed,
    pub registry: Registry,
    /// Ends the data plane.
    pub shutdown: CancellationToken,
    /// Time for requests and deliveries in flight to finish after that.
    pub grace: Duration,
    pub limits: Limits,
    /// Set once the brokers and triggers are known; until then events are answered with 503.
    pub serving: Arc<AtomicBool>,
}

/// Where events are kept, by what their broker asks for. Brokers whose store is not here are answered with 500.
pub type Stores = HashMap<Backend, Arc<dyn Store>>;

/// Bounds of what is accepted.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a request's body; more is answered with 413. Not more than the store takes at once.
    pub body_bytes: usize,
    /// Events of one batch; more are answered with 413.
    pub batch_events: usize,
    /// Requests that are read or stored at the same time; further ones are answered with 503.
    pub requests: usize,
    /// Bytes of bodies that are held at the same time, over all requests; beyond it, 503.
    pub held_bytes: usize,
    /// Connections open at once; more wait in the kernel's backlog.
    pub connections: usize,
    /// Time for a body to arrive (upstream's read timeout).
    pub body_timeout: Duration,
    /// Longest wait for the store; what it then still stores was answered with 503.
    pub append_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 4 << 20,
            batch_events: 1_000,
            requests: 4_096,
            held_bytes: 64 << 20,
            connections: 16_384,
            body_timeout: Duration::from_secs(10),
            append_timeout: Duration::from_secs(30),
        }
    }
}
