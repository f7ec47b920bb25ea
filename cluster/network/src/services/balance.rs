//! The choice of an endpoint.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

/// Endpoints tried for one connection.
pub(super) const ATTEMPTS: usize = 3;

/// Current endpoints of a port.
#[derive(Debug)]
pub(super) struct Backend {
    targets: ArcSwap<Targets>,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Targets {
    addresses: Vec<SocketAddrV4>,
    client_affinity: bool,
}

impl Backend {
    pub(super) fn new(addresses: Vec<SocketAddrV4>, client_affinity: bool) -> Self {
        let targets = ArcSwap::from_pointee(Targets {
            addresses,
            client_affinity,
        });
        Self {
            targets,
            turn: AtomicUsize::new(rand::random_range(0..1 << 16)),
        }
    }

    pub(super) fn set(&self, addresses: Vec<SocketAddrV4>, client_affinity: bool) {
        self.targets.store(std::sync::Arc::new(Targets {
            addresses,
            client_affinity,
        }));
    }

    pub(super) fn contains(&self, target: SocketAddrV4) -> bool {
        self.targets.load().addresses.contains(&target)
    }

    /// Endpoints in the order they should be tried, at most [`ATTEMPTS`]: by turns, or with client affinity by
    /// rendezvous hashing, so that a client moves only when its own endpoint goes.
    pub(super) fn choose(&self, client: Ipv4Addr) -> Vec<SocketAddrV4> {
        let targets = self.targets.load();
        let mut addresses = targets.addresses.clone();
        if targets.client_affinity {
            addresses.sort_by_cached_key(|address| weight(client, *address));
        } else if !addresses.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % addresses.len();
            addresses.rotate_left(first);
        }
        addresses.truncate(ATTEMPTS);
        addresses
    }
}

fn weight(client: Ipv4Addr, target: SocketAddrV4) -> u64 {
    let mut hasher = DefaultHasher::new();
    (client, target).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(count: u8) -> Vec<SocketAddrV4> {
        (0..count)
            .map(|n| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, n), 80))
            .collect()
    }

    #[test]
    fn turns_reach_every_endpoint_equally() {
        let backend = Backend::new(targets(4), false);
        let mut first: Vec<_> = (0..8).map(|_| backend.choose(Ipv4Addr::LOCALHOST)[0]).collect();
        first.sort();
        let expected: Vec<_> = targets(4)
            .into_iter()
            .flat_map(|target| [target, target])
            .collect();
        assert_eq!(first, expected);
        assert_eq!(backend.choose(Ipv4Addr::LOCALHOST).len(), ATTEMPTS);
        assert!(Backend::new(vec![], false).choose(Ipv4Addr::LOCALHOST).is_empty());
    }

    #[test]
    fn a_client_stays_until_its_endpoint_goes() {
        let backend = Backend::new(targets(5), true);
        let clients: Vec<Ipv4Addr> = (0..50).map(|n| Ipv4Addr::new(10, 9, 9, n)).collect();
        let before: Vec<_> = clients.iter().map(|client| backend.choose(*client)[0]).collect();
        let gone = targets(5)[2];
        backend.set(
            targets(5).into_iter().filter(|target| *target != gone).collect(),
            true,
        );
        for (client, old) in clients.iter().zip(before) {
            let now = backend.choose(*client)[0];
            assert!(now == old || old == gone, "{client} moved from {old} to {now}");
        }
    }
}
