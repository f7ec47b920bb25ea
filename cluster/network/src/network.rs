//! The pod network of one instance: a bridge, one veth pair per pod, addresses that survive a restart.
//!
//! ClusterIPs need no kernel translation: the service range is a `local` route, so its addresses belong to this host
//! and the service proxies listen on them. Pods reach them through their default route.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tracing::{debug, info, warn};

use crate::cidr::Cidr;
use crate::error::NetworkError;
use crate::ipam::Ipam;
use crate::netlink::{Netlink, PodAddress, Route};
use crate::range::{self, Ranges};
use crate::{netns, outbound, resolv};

/// The device inside every pod.
const POD_DEVICE: &str = "eth0";

/// Serialises the choice of ranges between instances that start at the same time.
const RANGE_LOCK: &str = "/run/spindrift-network.lock";

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
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    netlink: Netlink,
    bridge: u32,
    bridge_name: String,
    state_path: PathBuf,
    ranges: Ranges,
    gateway: Ipv4Addr,
    ipam: Mutex<Ipam>,
}

impl Network {
    /// Makes the bridge and the route of the service range, or takes over those of an earlier run.
    ///
    /// Pods of an earlier run stay attached; call [`Network::retain`] once it is known which of them still live.
    ///
    /// # Errors
    /// [`NetworkError`]; `Lacking` when the machine cannot have a pod network at all.
    pub fn start(config: Config) -> BoxFuture<'static, Result<Self, NetworkError>> {
        // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
        Box::pin(Self::start_parts(config))
    }

    async fn start_parts(config: Config) -> Result<Self, NetworkError> {
        let bridge_name = bridge_name(&config.name);
        let state_path = config.data_dir.join("network.json");
        std::fs::create_dir_all(&config.data_dir).map_err(|source| NetworkError::State {
            action: "create",
            path: config.data_dir.clone(),
            source,
        })?;
        let netlink = Netlink::open()?;
        let saved = Ipam::load(&state_path)?;
        let lock = lock_ranges().await;
        let own_bridge = netlink.link_index(&bridge_name).await?;
        let taken = taken(&netlink.routes().await?, own_bridge, saved.as_ref());
        let ipam = settle(&config, saved, &taken)?;
        let gateway = ipam.gateway();
        let bridge = netlink
            .ensure_bridge(&bridge_name, gateway, ipam.pod_cidr.prefix())
            .await?;
        netlink.add_local_route(ipam.service_cidr).await?;
        ipam.save(&state_path)?;
        drop(lock);
        if let Err(error) = outbound::open(&bridge_name, ipam.pod_cidr) {
            warn!(
                %error,
                "Pods cannot reach other networks: the kernel does not translate their addresses (nf_tables with masquerade, and /proc/sys/net/ipv4/ip_forward)"
            );
        }
        let ranges = Ranges {
            pods: ipam.pod_cidr,
            services: ipam.service_cidr,
        };
        info!(bridge = %bridge_name, pods = %ranges.pods, services = %ranges.services, "Pod network ready");
        let ipam = Mutex::new(ipam);
        let inner = Inner {
            netlink,
            bridge,
            bridge_name,
            state_path,
            ranges,
            gateway,
            ipam,
        };
        let network = Self {
            inner: Arc::new(inner),
        };
        network.delete_unknown_ports().await?;
        Ok(network)
    }

    /// Connects the network namespace at `netns` as pod `pod` (any stable id, such as its uid) and returns its address.
    /// Inside it are then `lo`, `eth0` and a default route. Attaching again gives the same address.
    ///
    /// # Errors
    /// [`NetworkError::NoFreeAddress`], [`NetworkError::Namespace`], [`NetworkError::Netlink`].
    pub async fn attach(&self, pod: &str, netns: &Path) -> Result<Ipv4Addr, NetworkError> {
        let namespace = netns::open(netns)?;
        let address = self.reserve(pod)?;
        match self.connect(address, netns, namespace).await {
            Ok(()) => Ok(address),
            Err(error) => {
                // The address must not stay behind with a pod that never starts; the first error is the one to tell.
                if let Err(cleanup) = self.detach(pod).await {
                    debug!(pod, error = %cleanup, "Half-attached pod could not be detached");
                }
                Err(error)
            }
        }
    }

    /// Removes the pod's device and frees its address; unknown pods are fine.
    ///
    /// # Errors
    /// [`NetworkError::Netlink`], [`NetworkError::State`].
    pub async fn detach(&self, pod: &str) -> Result<(), NetworkError> {
        let Some(address) = self.address(pod) else {
            return Ok(());
        };
        self.delete_device(&host_device(address)).await?;
        let mut ipam = self.inner.ipam.lock();
        ipam.release(pod);
        ipam.save(&self.inner.state_path)
    }

    /// Detaches every pod that is not in `pods`: leftovers of a run that was killed. Returns how many there were.
    ///
    /// # Errors
    /// As [`Network::detach`].
    pub async fn retain(&self, pods: &HashSet<String>) -> Result<usize, NetworkError> {
        let gone: Vec<String> = {
            let ipam = self.inner.ipam.lock();
            ipam.pods()
                .filter(|(pod, _)| !pods.contains(*pod))
                .map(|(pod, _)| pod.to_owned())
                .collect()
        };
        for pod in &gone {
            self.detach(pod).await?;
        }
        Ok(gone.len())
    }

    /// The address of an attached pod.
    pub fn address(&self, pod: &str) -> Option<Ipv4Addr> {
        self.inner.ipam.lock().address(pod)
    }

    /// How many pods are attached.
    pub fn attached(&self) -> usize {
        self.inner.ipam.lock().pods().count()
    }

    /// The host's address on the bridge: the pods' gateway and name server.
    pub fn gateway_ip(&self) -> Ipv4Addr {
        self.inner.gateway
    }

    /// The range pods get their addresses from.
    pub fn pod_cidr(&self) -> Cidr {
        self.inner.ranges.pods
    }

    /// The range ClusterIPs are allocated from.
    pub fn service_cidr(&self) -> Cidr {
        self.inner.ranges.services
    }

    /// Removes the bridge, all pods' devices, the service route and the pods' addresses; the ranges stay remembered,
    /// because Services keep the ClusterIPs they were given out of them.
    ///
    /// # Errors
    /// [`NetworkError::Netlink`].
    pub async fn stop(&self) -> Result<(), NetworkError> {
        let inner = &self.inner;
        for port in inner.netlink.ports(inner.bridge).await? {
            inner.netlink.delete_link(port.index).await?;
        }
        inner.netlink.delete_link(inner.bridge).await?;
        if let Err(error) = outbound::close(&inner.bridge_name) {
            debug!(%error, table = %inner.bridge_name, "The rule for outbound traffic could not be removed");
        }
        inner.netlink.delete_local_route(inner.ranges.services).await?;
        let empty = Ipam::new(inner.ranges.pods, inner.ranges.services);
        let mut ipam = inner.ipam.lock();
        *ipam = empty;
        ipam.save(&inner.state_path)?;
        info!(bridge = %inner.bridge_name, "Pod network removed");
        Ok(())
    }

    /// The address is saved before the device exists, so every device on the bridge can be told from a stray one.
    fn reserve(&self, pod: &str) -> Result<Ipv4Addr, NetworkError> {
        let mut ipam = self.inner.ipam.lock();
        let known = ipam.address(pod).is_some();
        let address = ipam
            .allocate(pod)
            .ok_or(NetworkError::NoFreeAddress(self.inner.ranges.pods))?;
        if !known {
            ipam.save(&self.inner.state_path)?;
        }
        Ok(address)
    }

    async fn connect(
        &self,
        address: Ipv4Addr,
        path: &Path,
        namespace: std::fs::File,
    ) -> Result<(), NetworkError> {
        let device = host_device(address);
        self.delete_device(&device).await?;
        let netlink = &self.inner.netlink;
        netlink
            .add_pod_link(&device, self.inner.bridge, POD_DEVICE, address, namespace.as_fd())
            .await?;
        let pod = PodAddress {
            address,
            prefix: self.inner.ranges.pods.prefix(),
            gateway: self.inner.gateway,
        };
        netns::run_in(path.into(), namespace, move || async move {
            Netlink::open()?.configure_pod(POD_DEVICE, pod).await
        })
        .await
    }

    async fn delete_device(&self, name: &str) -> Result<(), NetworkError> {
        match self.inner.netlink.link_index(name).await? {
            Some(index) => self.inner.netlink.delete_link(index).await,
            None => Ok(()),
        }
    }

    async fn delete_unknown_ports(&self) -> Result<(), NetworkError> {
        let known: HashSet<String> = self
            .inner
            .ipam
            .lock()
            .pods()
            .map(|(_, address)| host_device(address))
            .collect();
        for port in self.inner.netlink.ports(self.inner.bridge).await? {
            if !known.contains(&port.name) {
                info!(device = %port.name, "Removing a device left by an earlier run");
                self.inner.netlink.delete_link(port.index).await?;
            }
        }
        Ok(())
    }
}

/// Says in one sentence what this machine lacks for a pod network, by making one in a throw-away namespace.
///
/// # Errors
/// [`NetworkError::Lacking`] with the sentence.
pub async fn preflight() -> Result<(), NetworkError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(NetworkError::Lacking(
            "the pod network needs root (CAP_NET_ADMIN): run as root or in a user namespace".into(),
        ));
    }
    let trial = netns::run_in_new(|| async {
        let netlink = Netlink::open()?;
        let address = Ipv4Addr::new(10, 64, 0, 1);
        let bridge = netlink.ensure_bridge("trial", address, 16).await?;
        let own = netns::open(Path::new("/proc/thread-self/ns/net"))?;
        netlink
            .add_pod_link("trial-host", bridge, POD_DEVICE, address, own.as_fd())
            .await?;
        if let Some(cidr) = Cidr::containing(Ipv4Addr::new(10, 65, 0, 0), 16) {
            // `lo` is down in a new namespace, and routes go to devices that are up.
            let pod = PodAddress {
                address: Ipv4Addr::new(10, 64, 0, 2),
                prefix: 16,
                gateway: address,
            };
            netlink.configure_pod(POD_DEVICE, pod).await?;
            netlink.add_local_route(cidr).await?;
        }
        Ok(())
    });
    trial.await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        NetworkError::Lacking(format!(
            "this machine cannot make a pod network ({error}{cause}): it needs a kernel with network namespaces, bridge and veth"
        ))
    })
}

/// Ranges already used by others: all routes but our own, and the name servers, which are often reached through the
/// default route and would vanish behind a range that covers them.
fn taken(routes: &[Route], own_bridge: Option<u32>, saved: Option<&Ipam>) -> Vec<Cidr> {
    let own_services = saved.map(|ipam| ipam.service_cidr);
    routes
        .iter()
        .filter(|route| route.destination.prefix() > 0)
        .filter(|route| own_bridge.is_none() || route.device != own_bridge)
        .map(|route| route.destination)
        .filter(|cidr| Some(*cidr) != own_services)
        .chain(
            resolv::host_nameservers()
                .into_iter()
                .filter_map(|ip| Cidr::containing(ip, 32)),
        )
        .collect()
}

/// The saved state when it still fits, else a new one.
fn settle(config: &Config, saved: Option<Ipam>, taken: &[Cidr]) -> Result<Ipam, NetworkError> {
    let chosen = range::choose(range::seed(&config.name), taken);
    let pick =
        |configured: Option<Cidr>, saved: Option<Cidr>, chosen: Option<Cidr>| match configured.or(saved) {
            Some(wanted) => match taken.iter().find(|cidr| cidr.overlaps(&wanted)) {
                Some(other) => Err(NetworkError::RangeTaken {
                    wanted,
                    taken: *other,
                }),
                None => Ok(wanted),
            },
            None => chosen.ok_or(NetworkError::NoFreeRange),
        };
    let pods = pick(
        config.pod_cidr,
        saved.as_ref().map(|ipam| ipam.pod_cidr),
        chosen.map(|ranges| ranges.pods),
    )?;
    let services = pick(
        config.service_cidr,
        saved.as_ref().map(|ipam| ipam.service_cidr),
        chosen.map(|ranges| ranges.services),
    )?;
    if pods.overlaps(&services) {
        return Err(NetworkError::RangeTaken {
            wanted: services,
            taken: pods,
        });
    }
    Ok(saved
        .filter(|ipam| ipam.pod_cidr == pods && ipam.service_cidr == services)
        .unwrap_or_else(|| Ipam::new(pods, services)))
}

/// At most 15 bytes (`IFNAMSIZ`).
fn bridge_name(instance: &str) -> String {
    format!("sdb-{:08x}", range::seed(instance) & 0xffff_ffff)
}

/// Unique on the machine, as ranges of instances are disjoint.
fn host_device(address: Ipv4Addr) -> String {
    format!("sdv-{:08x}", u32::from(address))
}

/// Held while ranges are chosen. Without `/run` (in a user namespace) the kernel's own answers are all there is.
async fn lock_ranges() -> Option<std::fs::File> {
    tokio::task::spawn_blocking(|| {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(RANGE_LOCK)
            .ok()?;
        file.lock().ok()?;
        Some(file)
    })
    .await
    .ok()
    .flatten()
}

#[cfg(test)]
mod tests;
