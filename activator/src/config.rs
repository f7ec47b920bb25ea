//! What an activator is started with.

use std::net::IpAddr;
use std::time::Duration;

/// Settings of one activator.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name under which this activator reports.
    pub pod_name: String,
    /// Address by which the public endpoints list this activator; `None` makes it serve all pods of a revision.
    pub pod_ip: Option<IpAddr>,
    /// `ws://host:port` of the autoscaler; `None` reports nothing.
    pub autoscaler: Option<String>,
    pub bounds: Bounds,
    /// How long existing requests may go on when the server stops.
    pub grace: Duration,
    /// Time between SIGTERM and closing the listeners, in which kubelet and the endpoints take notice (upstream: 45 s).
    pub drain: Duration,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Requests waiting per revision (upstream value: 10 000).
    pub requests: usize,
    /// Estimated bytes of the waiting requests per revision.
    pub bytes: usize,
    /// Estimated bytes of all waiting requests.
    pub total_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            requests: 10_000,
            bytes: 192 << 20,
            total_bytes: 512 << 20,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pod_name: "activator".into(),
            pod_ip: None,
            autoscaler: None,
            bounds: Bounds::default(),
            grace: Duration::from_secs(600),
            drain: Duration::from_secs(45),
        }
    }
}
