//! One pod, its health, and the slots on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use proxy::Upstream;
use tokio::time::Instant;

use super::Throttler;

/// A pod as its running requests see it.
#[derive(Debug)]
pub(super) struct Pod {
    upstream: Arc<Upstream>,
    /// Changed under the throttler's lock when a slot is given, without it when one comes back.
    in_flight: AtomicUsize,
    probed_at: Mutex<Option<Instant>>,
}

impl Pod {
    pub(super) fn new(upstream: Arc<Upstream>) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            in_flight: AtomicUsize::new(0),
            probed_at: Mutex::new(None),
        })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.upstream.addr()
    }

    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(super) fn note_probed(&self, at: Instant) {
        *self.probed_at.lock() = Some(at);
    }
}

/// What is known about a pod's readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// Kubernetes calls it ready.
    Ready,
    /// It answered our probe before Kubernetes called it ready.
    Probed,
    /// Neither.
    NotReady,
    /// It was ready but could not be reached.
    Suspect,
}

/// A pod as the throttler sees it.
#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) pod: Arc<Pod>,
    pub(super) health: Health,
    /// Whether the endpoints still name it.
    pub(super) listed: bool,
    /// Whether it is in this activator's share.
    pub(super) own: bool,
    /// Whether a task probes it.
    pub(super) probing: bool,
}

impl Tracker {
    pub(super) fn new(pod: Arc<Pod>, ready: bool) -> Self {
        let health = if ready { Health::Ready } else { Health::NotReady };
        Self {
            pod,
            health,
            listed: true,
            own: true,
            probing: false,
        }
    }

    /// Takes over what the endpoints say. A pod that falls from ready to not ready must answer a probe again.
    pub(super) fn update(&mut self, ready: bool) {
        self.listed = true;
        self.health = match (self.health, ready) {
            (_, true) => Health::Ready,
            (Health::Probed, false) => Health::Probed,
            (Health::Ready | Health::NotReady | Health::Suspect, false) => Health::NotReady,
        };
    }

    pub(super) fn usable(&self) -> bool {
        self.listed && matches!(self.health, Health::Ready | Health::Probed)
    }
}

/// The right to have one pod run one request; dropping it serves the next in line.
#[derive(Debug)]
pub struct Slot {
    throttler: Arc<Throttler>,
    pod: Arc<Pod>,
    waited: bool,
}

impl Slot {
    pub(super) fn new(throttler: &Arc<Throttler>, pod: &Arc<Pod>, waited: bool) -> Self {
        pod.in_flight.fetch_add(1, Ordering::AcqRel);
        Self {
            throttler: throttler.clone(),
            pod: pod.clone(),
            waited,
        }
    }

    /// Where to send the request.
    pub fn upstream(&self) -> &Arc<Upstream> {
        self.pod.upstream()
    }

    /// Whether the request had to wait.
    pub fn waited(&self) -> bool {
        self.waited
    }

    /// When our probe found the pod ready, if it did.
    pub fn probed_at(&self) -> Option<Instant> {
        *self.pod.probed_at.lock()
    }

    /// Gives the slot back and keeps requests away from the pod until it answers a probe: it could not be reached.
    pub fn suspect(self) {
        self.throttler.suspect(&self.pod);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pod.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.throttler.release();
    }
}
