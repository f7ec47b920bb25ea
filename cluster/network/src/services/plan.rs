//! Which listeners a Service wants: a pure function of what is known.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::ProxyConfig;
use crate::catalog::{Protocol, ServiceKey, ServiceKind, State};

/// A listening address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Binding {
    pub(super) address: SocketAddrV4,
    pub(super) protocol: Protocol,
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}/{protocol}", self.address)
    }
}

/// A listener with where it forwards to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) binding: Binding,
    pub(super) targets: Vec<SocketAddrV4>,
    pub(super) client_affinity: bool,
}

/// Listeners for the service `key`: none for headless and external ones, none for ports without an endpoint.
pub(super) fn plan(state: &State, key: &ServiceKey, config: &ProxyConfig) -> Vec<Plan> {
    let Some(service) = state.service(key) else {
        return Vec::new();
    };
    let ServiceKind::ClusterIp(cluster_ips) = &service.kind else {
        return Vec::new();
    };
    let mut plans: Vec<Plan> = Vec::new();
    for port in &service.ports {
        let targets = state.targets(key, port);
        if targets.is_empty() {
            continue;
        }
        let node_port = config.node_ports.zip(port.node_port);
        let balanced = config
            .load_balancer
            .filter(|_| service.load_balancer)
            .map(|ip| (ip, port.port));
        let cluster = cluster_ips.iter().map(|ip: &Ipv4Addr| (*ip, port.port));
        for (ip, number) in cluster.chain(node_port).chain(balanced) {
            let binding = Binding {
                address: SocketAddrV4::new(ip, number),
                protocol: port.protocol,
            };
            if !plans.iter().any(|plan| plan.binding == binding) {
                plans.push(Plan {
                    binding,
                    targets: targets.clone(),
                    client_affinity: service.client_affinity,
                });
            }
        }
    }
    plans
}
