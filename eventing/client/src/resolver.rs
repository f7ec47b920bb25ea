//! Addresses of names: those of the cluster from its DNS server, all others from the system.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::Instant;

use super::dns::{self, Found};

/// Names kept at most.
const MAX_NAMES: usize = 4_096;
/// Lookups at a time; the system's resolver occupies a thread for each.
const MAX_LOOKUPS: usize = 32;
/// Names asked for along a chain of aliases.
const MAX_STEPS: usize = 8;
/// How long what the system said is believed: it does not tell how long it may be.
const SYSTEM_TTL: Duration = Duration::from_secs(10);
/// How long a name that has no address is not asked for again.
const NOTHING_TTL: Duration = Duration::from_secs(1);
/// Bounds of what a server may ask for.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

#[derive(Debug)]
pub(super) struct Resolver {
    server: Option<SocketAddr>,
    domain: String,
    lookups: Semaphore,
    /// One lock per name, so that many who want the same name ask once.
    names: Mutex<HashMap<String, Arc<AsyncMutex<Option<Cached>>>>>,
}

#[derive(Debug, Clone)]
struct Cached {
    addresses: Arc<[IpAddr]>,
    until: Instant,
}

impl Resolver {
    /// Names that end with `domain` are asked of `server`, if there is one.
    pub(super) fn new(server: Option<SocketAddr>, domain: &str) -> Self {
        Self {
            server,
            domain: domain.trim_matches('.').to_ascii_lowercase(),
            lookups: Semaphore::new(MAX_LOOKUPS),
            names: Mutex::default(),
        }
    }

    /// The addresses of a host name, never none.
    ///
    /// # Errors
    /// When the name has no address, or nobody can be asked.
    pub(super) async fn resolve(&self, host: &str) -> io::Result<Arc<[IpAddr]>> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let entry = self.entry(&host);
        let mut cached = entry.lock().await;
        let now = Instant::now();
        if cached.as_ref().is_none_or(|cached| cached.until <= now) {
            let (addresses, ttl) = self.lookup(&host).await?;
            *cached = Some(Cached {
                addresses: addresses.into(),
                until: Instant::now() + ttl,
            });
        }
        match &*cached {
            Some(cached) if !cached.addresses.is_empty() => Ok(cached.addresses.clone()),
            _ => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{host} has no address"),
            )),
        }
    }

    fn entry(&self, host: &str) -> Arc<AsyncMutex<Option<Cached>>> {
        let mut names = self.names.lock();
        if let Some(entry) = names.get(host) {
            return entry.clone();
        }
        if names.len() >= MAX_NAMES {
            let now = Instant::now();
            names.retain(|_, entry| match entry.try_lock() {
                Ok(cached) => cached.as_ref().is_some_and(|cached| cached.until > now),
                Err(_) => true,
            });
        }
        if names.len() >= MAX_NAMES {
            names.clear();
        }
        names.entry(host.to_owned()).or_default().clone()
    }

    async fn lookup(&self, host: &str) -> io::Result<(Vec<IpAddr>, Duration)> {
        let _permit = self.lookups.acquire().await.map_err(io::Error::other)?;
        let mut host = host.to_owned();
        let mut least = TTL.1;
        for _ in 0..MAX_STEPS {
            let Some((server, name)) = self.asked_of_the_cluster(&host) else {
                return system(&host)
                    .await
                    .map(|(addresses, ttl)| (addresses, ttl.min(least)));
            };
            match dns::lookup(server, &name).await? {
                Found::Addresses { addresses, ttl } => return Ok((addresses, ttl.min(least).max(TTL.0))),
                Found::Alias { name, ttl } => (host, least) = (name, least.min(ttl).max(TTL.0)),
                Found::Nothing => break,
            }
        }
        Ok((Vec::new(), NOTHING_TTL))
    }

    /// The full name, if it is one of the cluster. `a.b.svc` is short for `a.b.svc.<domain>`, as in every pod.
    fn asked_of_the_cluster(&self, host: &str) -> Option<(SocketAddr, String)> {
        let server = self.server?;
        let inside = |name: &str| {
            name.strip_suffix(&self.domain)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        if inside(host) {
            return Some((server, host.to_owned()));
        }
        host.ends_with(".svc")
            .then(|| (server, format!("{host}.{}", self.domain)))
    }
}

async fn system(host: &str) -> io::Result<(Vec<IpAddr>, Duration)> {
    match tokio::net::lookup_host((host, 0)).await {
        Ok(found) => Ok((found.map(|address| address.ip()).collect(), SYSTEM_TTL)),
        // The system does not say whether the name is unknown or nobody could be asked; both are over soon.
        Err(error) => {
            tracing::debug!(%error, host, "Name not resolved");
            Ok((Vec::new(), NOTHING_TTL))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver() -> Resolver {
        Resolver::new(Some(([10, 0, 0, 10], 53).into()), "cluster.local.")
    }

    #[test]
    fn names_of_the_cluster_are_asked_of_its_server() {
        let rows = [
            ("a.b.svc.cluster.local", Some("a.b.svc.cluster.local")),
            ("a.b.svc", Some("a.b.svc.cluster.local")),
            ("cluster.local", None),
            ("evilcluster.local", None),
            ("example.com", None),
            ("a.localhost", None),
        ];
        for (host, name) in rows {
            let asked = resolver().asked_of_the_cluster(host).map(|(_, name)| name);
            assert_eq!(asked.as_deref(), name, "{host}");
        }
        assert_eq!(
            Resolver::new(None, "cluster.local").asked_of_the_cluster("a.b.svc"),
            None
        );
    }

    #[tokio::test]
    async fn the_system_is_asked_for_others() {
        let addresses = resolver().resolve("LOCALHOST.").await.unwrap();
        assert!(
            addresses.iter().all(|address| address.is_loopback()),
            "{addresses:?}"
        );
    }

    #[test]
    fn names_are_bounded() {
        let resolver = resolver();
        for number in 0..MAX_NAMES + 10 {
            resolver.entry(&format!("host-{number}"));
        }
        assert!(resolver.names.lock().len() <= MAX_NAMES);
    }
}
