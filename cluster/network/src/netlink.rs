//! Every netlink request of this crate: links, addresses and routes, in the words of `ip`.
//!
//! rtnetlink breaks its interface several times a year; nothing of it is named outside of this module.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use futures::TryStreamExt as _;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteScope, RouteType};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use tokio_util::task::AbortOnDropHandle;

use crate::cidr::Cidr;
use crate::error::NetworkError;

/// The loopback device's index in every namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// `RT_TABLE_LOCAL`: where the kernel looks for its own addresses.
const LOCAL_TABLE: u32 = 255;

/// A netlink socket of the namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Netlink {
    handle: Handle,
    _connection: AbortOnDropHandle<()>,
}

/// A route of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) destination: Cidr,
    pub(crate) device: Option<u32>,
}

/// A device enslaved to a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) index: u32,
    pub(crate) name: String,
}

/// The pod's half of a veth pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PodAddress {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
    pub(crate) gateway: Ipv4Addr,
}

impl Netlink {
    pub(crate) fn open() -> Result<Self, NetworkError> {
        let (connection, handle, _unsolicited) =
            rtnetlink::new_connection().map_err(|error| failed("open a netlink socket", &error))?;
        Ok(Self {
            handle,
            _connection: AbortOnDropHandle::new(tokio::spawn(connection)),
        })
    }

    /// `ip link add NAME type bridge` (unless it is there), `ip addr replace`, `ip link set up`; returns the index.
    ///
    /// The hardware address is fixed: otherwise the bridge takes the lowest one of its ports, and pods would lose
    /// their neighbour entry of the gateway whenever a pod comes or goes.
    pub(crate) async fn ensure_bridge(
        &self,
        name: &str,
        address: Ipv4Addr,
        prefix: u8,
    ) -> Result<u32, NetworkError> {
        let index = match self.link_index(name).await? {
            Some(index) => index,
            None => {
                let bridge = LinkBridge::new(name)
                    .address(hardware_address(address))
                    .up()
                    .build();
                self.handle
                    .link()
                    .add(bridge)
                    .execute()
                    .await
                    .map_err(|error| failed(&format!("create bridge {name}"), &error))?;
                self.link_index(name)
                    .await?
                    .ok_or_else(|| NetworkError::Netlink {
                        action: format!("create bridge {name}"),
                        reason: "it vanished at once".into(),
                    })?
            }
        };
        self.handle
            .address()
            .add(index, IpAddr::V4(address), prefix)
            .replace()
            .execute()
            .await
            .map_err(|error| failed(&format!("give {address}/{prefix} to bridge {name}"), &error))?;
        self.set_up(index, name).await?;
        Ok(index)
    }

    pub(crate) async fn link_index(&self, name: &str) -> Result<Option<u32>, NetworkError> {
        let found = self
            .handle
            .link()
            .get()
            .match_name(name)
            .execute()
            .try_next()
            .await;
        match found {
            Ok(link) => Ok(link.map(|link| link.header.index)),
            Err(error) if is(&error, nix::errno::Errno::ENODEV) => Ok(None),
            Err(error) => Err(failed(&format!("look up device {name}"), &error)),
        }
    }

    /// `ip link show master INDEX`.
    pub(crate) async fn ports(&self, bridge: u32) -> Result<Vec<Port>, NetworkError> {
        let links: Vec<LinkMessage> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| failed("list devices", &error))?;
        Ok(links
            .into_iter()
            .filter_map(|link| port_of(&link, bridge))
            .collect())
    }

    /// `ip link del`; an absent device is fine.
    pub(crate) async fn delete_link(&self, index: u32) -> Result<(), NetworkError> {
        match self.handle.link().del(index).execute().await {
            Err(error) if !is(&error, nix::errno::Errno::ENODEV) => {
                Err(failed(&format!("delete device {index}"), &error))
            }
            _ => Ok(()),
        }
    }

    /// All IPv4 routes with a destination, of every table.
    pub(crate) async fn routes(&self) -> Result<Vec<Route>, NetworkError> {
        let all = RouteMessageBuilder::<Ipv4Addr>::new().table_id(0).build();
        let routes: Vec<RouteMessage> = self
            .handle
            .route()
            .get(all)
            .execute()
            .try_collect()
            .await
            .map_err(|error| failed("list routes", &error))?;
        Ok(routes.iter().filter_map(route_of).collect())
    }

    /// `ip route replace local CIDR dev lo`: the whole range is this host, without an address per service.
    pub(crate) async fn add_local_route(&self, cidr: Cidr) -> Result<(), NetworkError> {
        self.handle
            .route()
            .add(local_route(cidr))
            .replace()
            .execute()
            .await
            .map_err(|error| failed(&format!("route {cidr} to this host"), &error))
    }

    /// Undoes [`Netlink::add_local_route`]; an absent route is fine.
    pub(crate) async fn delete_local_route(&self, cidr: Cidr) -> Result<(), NetworkError> {
        match self.handle.route().del(local_route(cidr)).execute().await {
            Err(error) if !is(&error, nix::errno::Errno::ESRCH) => {
                Err(failed(&format!("delete the route of {cidr}"), &error))
            }
            _ => Ok(()),
        }
    }

    /// Creates a veth pair in one request: `host` up on the bridge, the other end inside `netns` as `peer`, still down:
    /// the kernel opens the peer before the pair is tied and would refuse (`ENOTCONN`).
    pub(crate) async fn add_pod_link(
        &self,
        host: &str,
        bridge: u32,
        peer: &str,
        address: Ipv4Addr,
        netns: BorrowedFd<'_>,
    ) -> Result<(), NetworkError> {
        let inside = LinkMessageBuilder::<LinkUnspec>::new()
            .name(peer)
            .address(hardware_address(address))
            .setns_by_fd(netns.as_raw_fd())
            .build();
        let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(host)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(inside)))
            .controller(bridge)
            .up()
            .build();
        self.handle
            .link()
            .add(pair)
            .execute()
            .await
            .map_err(|error| failed(&format!("create device {host} for a pod"), &error))
    }

    /// Inside the pod's namespace: `lo` up, `device` up with its address, default route.
    pub(crate) async fn configure_pod(&self, device: &str, pod: PodAddress) -> Result<(), NetworkError> {
        self.set_up(LOOPBACK, "lo").await?;
        let index = self
            .link_index(device)
            .await?
            .ok_or_else(|| NetworkError::Netlink {
                action: format!("configure {device} in the pod"),
                reason: "it is not there".into(),
            })?;
        self.handle
            .address()
            .add(index, IpAddr::V4(pod.address), pod.prefix)
            .replace()
            .execute()
            .await
            .map_err(|error| failed(&format!("give {} to the pod", pod.address), &error))?;
        self.set_up(index, device).await?;
        let default = RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(pod.gateway)
            .output_interface(index)
            .build();
        self.handle
            .route()
            .add(default)
            .replace()
            .execute()
            .await
            .map_err(|error| failed("set the pod's default route", &error))
    }

    async fn set_up(&self, index: u32, name: &str) -> Result<(), NetworkError> {
        let up = LinkMessageBuilder::<LinkUnspec>::new().index(index).up().build();
        self.handle
            .link()
            .change(up)
            .execute()
            .await
            .map_err(|error| failed(&format!("bring {name} up"), &error))
    }
}

fn local_route(cidr: Cidr) -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(cidr.network(), cidr.prefix())
        .output_interface(LOOPBACK)
        .kind(RouteType::Local)
        .scope(RouteScope::Host)
        .table_id(LOCAL_TABLE)
        .build()
}

/// Locally administered, derived from the address, so an address that is reused keeps its neighbour entries valid.
fn hardware_address(address: Ipv4Addr) -> Vec<u8> {
    let mut hardware = vec![0x0a, 0x58];
    hardware.extend(address.octets());
    hardware
}

fn port_of(link: &LinkMessage, bridge: u32) -> Option<Port> {
    let mut name = None;
    let mut enslaved = false;
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Controller(index) => enslaved = *index == bridge,
            _ => {}
        }
    }
    name.filter(|_| enslaved).map(|name| Port {
        index: link.header.index,
        name,
    })
}

fn route_of(route: &RouteMessage) -> Option<Route> {
    let prefix = route.header.destination_prefix_length;
    let mut destination = None;
    let mut device = None;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                destination = Cidr::containing(*address, prefix);
            }
            RouteAttribute::Oif(index) => device = Some(*index),
            _ => {}
        }
    }
    destination.map(|destination| Route { destination, device })
}

fn is(error: &rtnetlink::Error, errno: nix::errno::Errno) -> bool {
    matches!(error, rtnetlink::Error::NetlinkError(message) if message.raw_code() == -(errno as i32))
}

fn failed(action: &str, error: &dyn std::fmt::Display) -> NetworkError {
    NetworkError::Netlink {
        action: action.to_owned(),
        reason: error.to_string(),
    }
}
