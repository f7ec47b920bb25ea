//! The pod network of one instance: a bridge, one veth pair per pod, addresses that survive a restart.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::cidr::Cidr;
use crate::error::NetworkError;

/// What a network is made from.
#[derive(Debug, Clone)]
pub struct Config {
    /// Instance name; device names derive from it, so instances on one machine do not collide.
    pub name: String,
    /// Where addresses are remembered (`network.json`).
    pub data_dir: PathBuf,
    /// Pod range; `None` keeps the saved one, or picks a free /16.
    pub pod_cidr: Option<Cidr>,
    /// ClusterIP range; `None` keeps the saved one, or picks a free /16.
    pub service_cidr: Option<Cidr>,
}

/// A running pod network. Clones share it.
#[derive(Debug, Clone)]
pub struct Network {
    pod_cidr: Cidr,
    service_cidr: Cidr,
}

// The bodies of this impl follow in the next commits of this crate.
impl Network {
    /// Makes the bridge and the route of the service range, or takes over those of an earlier run.
    ///
    /// Pods of an earlier run stay attached; call [`Network::retain`] once it is known which of them still live.
    ///
    /// # Errors
    /// [`NetworkError`]; `Lacking` when the machine cannot have a pod network at all.
    pub async fn start(config: Config) -> Result<Self, NetworkError> {
        let (Some(pod_cidr), Some(service_cidr)) = (config.pod_cidr, config.service_cidr) else {
            return Err(NetworkError::NoFreeRange);
        };
        Ok(Self {
            pod_cidr,
            service_cidr,
        })
    }

    /// Connects the network namespace at `netns` as pod `pod` (any stable id, such as its uid) and returns its address.
    /// Inside it are then `lo`, `eth0` and a default route. Attaching again gives the same address.
    ///
    /// # Errors
    /// [`NetworkError::NoFreeAddress`], [`NetworkError::Namespace`], [`NetworkError::Netlink`].
    pub async fn attach(&self, pod: &str, netns: &Path) -> Result<Ipv4Addr, NetworkError> {
        let _ = (pod, netns);
        Err(NetworkError::NoFreeAddress(self.pod_cidr))
    }

    /// Removes the pod's device and frees its address; unknown pods are fine.
    ///
    /// # Errors
    /// [`NetworkError::Netlink`], [`NetworkError::State`].
    pub async fn detach(&self, pod: &str) -> Result<(), NetworkError> {
        let _ = pod;
        Ok(())
    }

    /// Detaches every pod that is not in `pods`: leftovers of a run that was killed. Returns how many there were.
    ///
    /// # Errors
    /// As [`Network::detach`].
    pub async fn retain(&self, pods: &HashSet<String>) -> Result<usize, NetworkError> {
        let _ = pods;
        Ok(0)
    }

    /// The address of an attached pod.
    pub fn address(&self, pod: &str) -> Option<Ipv4Addr> {
        let _ = pod;
        None
    }

    /// The host's address on the bridge: the pods' gateway and name server.
    pub fn gateway_ip(&self) -> Ipv4Addr {
        self.pod_cidr.nth(1).unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// The range pods get their addresses from.
    pub fn pod_cidr(&self) -> Cidr {
        self.pod_cidr
    }

    /// The range ClusterIPs are allocated from.
    pub fn service_cidr(&self) -> Cidr {
        self.service_cidr
    }

    /// Removes the bridge, all pods' devices, the service route and the saved addresses.
    ///
    /// # Errors
    /// [`NetworkError::Netlink`].
    pub async fn stop(&self) -> Result<(), NetworkError> {
        Ok(())
    }
}
