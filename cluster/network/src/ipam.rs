//! Pod addresses: which pod has which, remembered across restarts.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cidr::Cidr;
use crate::error::NetworkError;

/// Network and gateway addresses come first in the range and are never given out.
const RESERVED: u32 = 2;

/// The saved state of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ipam {
    pub(crate) pod_cidr: Cidr,
    pub(crate) service_cidr: Cidr,
    /// Pod id to address.
    pods: BTreeMap<String, Ipv4Addr>,
    /// Where the search for a free address starts: after the last one given, so that a freed address rests for a
    /// while and late packets to a gone pod do not reach a new one.
    next: u32,
}

impl Ipam {
    pub(crate) fn new(pod_cidr: Cidr, service_cidr: Cidr) -> Self {
        Self {
            pod_cidr,
            service_cidr,
            pods: BTreeMap::new(),
            next: RESERVED,
        }
    }

    /// The host's address in the pod range.
    pub(crate) fn gateway(&self) -> Ipv4Addr {
        self.pod_cidr.nth(1).unwrap_or_else(|| self.pod_cidr.network())
    }

    /// The pod's address: the one it has, or a free one. `None` when the range is used up.
    pub(crate) fn allocate(&mut self, pod: &str) -> Option<Ipv4Addr> {
        if let Some(address) = self.pods.get(pod) {
            return Some(*address);
        }
        let used: std::collections::HashSet<Ipv4Addr> = self.pods.values().copied().collect();
        let end = u32::from(self.pod_cidr.last()).checked_sub(u32::from(self.pod_cidr.network()))?;
        let start = if (RESERVED..end).contains(&self.next) {
            self.next
        } else {
            RESERVED
        };
        let (index, address) = (start..end)
            .chain(RESERVED..start)
            .filter_map(|index| Some((index, self.pod_cidr.nth(index)?)))
            .find(|(_, address)| !used.contains(address))?;
        self.next = index + 1;
        self.pods.insert(pod.to_owned(), address);
        Some(address)
    }

    pub(crate) fn release(&mut self, pod: &str) -> Option<Ipv4Addr> {
        self.pods.remove(pod)
    }

    pub(crate) fn address(&self, pod: &str) -> Option<Ipv4Addr> {
        self.pods.get(pod).copied()
    }

    pub(crate) fn pods(&self) -> impl Iterator<Item = (&str, Ipv4Addr)> {
        self.pods.iter().map(|(pod, address)| (pod.as_str(), *address))
    }

    /// Reads saved state; `None` when there is none.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, NetworkError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(NetworkError::State {
                    action: "read",
                    path: path.into(),
                    source,
                });
            }
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| NetworkError::DamagedState {
                path: path.into(),
                reason: error.to_string(),
            })
    }

    /// Replaces the saved state in one rename. It is not synced: the page cache outlives a killed process, and after
    /// a crash of the machine no namespace is left that could hold an address.
    pub(crate) fn save(&self, path: &Path) -> Result<(), NetworkError> {
        let fail = |source| NetworkError::State {
            action: "write",
            path: path.into(),
            source,
        };
        let text = serde_json::to_vec(self).map_err(|error| fail(error.into()))?;
        let temporary = path.with_extension("json.new");
        let mut file = std::fs::File::create(&temporary).map_err(fail)?;
        file.write_all(&text).map_err(fail)?;
        std::fs::rename(&temporary, path).map_err(fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipam(cidr: &str) -> Ipam {
        Ipam::new(cidr.parse().unwrap(), "10.65.0.0/16".parse().unwrap())
    }

    #[test]
    fn gives_each_pod_its_own_address_and_keeps_it() {
        let mut ipam = ipam("10.64.0.0/16");
        assert_eq!(ipam.gateway(), Ipv4Addr::new(10, 64, 0, 1));
        assert_eq!(ipam.allocate("a"), Some(Ipv4Addr::new(10, 64, 0, 2)));
        assert_eq!(ipam.allocate("b"), Some(Ipv4Addr::new(10, 64, 0, 3)));
        assert_eq!(ipam.allocate("a"), Some(Ipv4Addr::new(10, 64, 0, 2)));
    }

    #[test]
    fn a_freed_address_rests_until_the_range_wraps() {
        let mut ipam = ipam("10.64.0.0/29");
        let first = ipam.allocate("a").unwrap();
        ipam.release("a");
        assert_ne!(ipam.allocate("b"), Some(first));
        let more: Vec<_> = ["c", "d", "e"]
            .iter()
            .map(|pod| ipam.allocate(pod).unwrap())
            .collect();
        assert_eq!(ipam.allocate("f"), Some(first), "{more:?}");
        assert_eq!(
            ipam.allocate("g"),
            None,
            "network, gateway and broadcast are never given"
        );
    }

    #[test]
    fn saved_state_comes_back_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("network.json");
        assert_eq!(Ipam::load(&path).unwrap(), None);
        let mut ipam = ipam("10.64.0.0/16");
        ipam.allocate("a");
        ipam.save(&path).unwrap();
        assert_eq!(Ipam::load(&path).unwrap(), Some(ipam));
        std::fs::write(&path, b"{").unwrap();
        assert!(Ipam::load(&path).unwrap_err().to_string().contains("damaged"));
    }
}
