//! Services and endpoints by name and address.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Namespace and name of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ServiceKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// Namespace and name of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SliceKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// Transport of a port. SCTP is not proxied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

/// What kind of address a Service has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServiceKind {
    /// Its IPv4 ClusterIPs.
    ClusterIp(Vec<Ipv4Addr>),
    Headless,
    /// The external name, without a trailing dot.
    External(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) kind: ServiceKind,
    pub(crate) ports: Vec<ServicePort>,
    /// `sessionAffinity: ClientIP`.
    pub(crate) client_affinity: bool,
    /// `type: LoadBalancer`.
    pub(crate) load_balancer: bool,
    /// `publishNotReadyAddresses`.
    pub(crate) publish_not_ready: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServicePort {
    /// Empty for the only port of a Service.
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    /// Of NodePort and LoadBalancer Services.
    pub(crate) node_port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) service: String,
    pub(crate) ports: Vec<SlicePort>,
    pub(crate) endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlicePort {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: Ipv4Addr,
    pub(crate) ready: bool,
    /// Answers although it is on its way out.
    pub(crate) serving: bool,
    pub(crate) hostname: Option<String>,
}

/// All that is known. Every change returns the services it may concern.
#[derive(Debug, Default)]
pub(crate) struct State {
    services: HashMap<ServiceKey, Service>,
    slices: HashMap<SliceKey, Slice>,
    slices_of: HashMap<ServiceKey, HashSet<SliceKey>>,
    by_address: HashMap<Ipv4Addr, ServiceKey>,
    /// Namespaces with at least one service, counted: their names exist in DNS.
    namespaces: BTreeMap<String, usize>,
}

impl State {
    pub(crate) fn len(&self) -> usize {
        self.services.len()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = ServiceKey> {
        self.services.keys().cloned()
    }

    pub(super) fn slice_keys(&self) -> impl Iterator<Item = SliceKey> {
        self.slices.keys().cloned()
    }

    pub(crate) fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(key)
    }

    /// The service that owns a ClusterIP.
    pub(crate) fn service_at(&self, address: Ipv4Addr) -> Option<&ServiceKey> {
        self.by_address.get(&address)
    }

    pub(crate) fn has_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    pub(crate) fn headless(&self) -> impl Iterator<Item = &ServiceKey> {
        self.services
            .iter()
            .filter(|(_, service)| service.kind == ServiceKind::Headless)
            .map(|(key, _)| key)
    }

    pub(crate) fn put_service(&mut self, key: ServiceKey, service: Service) -> HashSet<ServiceKey> {
        if self.services.get(&key) == Some(&service) {
            return HashSet::new();
        }
        self.remove_service(&key);
        if let ServiceKind::ClusterIp(addresses) = &service.kind {
            self.by_address
                .extend(addresses.iter().map(|address| (*address, key.clone())));
        }
        *self.namespaces.entry(key.namespace.clone()).or_insert(0) += 1;
        self.services.insert(key.clone(), service);
        HashSet::from([key])
    }

    pub(crate) fn remove_service(&mut self, key: &ServiceKey) -> HashSet<ServiceKey> {
        let Some(service) = self.services.remove(key) else {
            return HashSet::new();
        };
        if let ServiceKind::ClusterIp(addresses) = &service.kind {
            for address in addresses {
                // A service made anew may have got the address before the old one's end was seen.
                if self.by_address.get(address) == Some(key) {
                    self.by_address.remove(address);
                }
            }
        }
        if let Some(count) = self.namespaces.get_mut(&key.namespace) {
            *count -= 1;
            if *count == 0 {
                self.namespaces.remove(&key.namespace);
            }
        }
        HashSet::from([key.clone()])
    }

    pub(crate) fn put_slice(&mut self, key: SliceKey, slice: Slice) -> HashSet<ServiceKey> {
        if self.slices.get(&key) == Some(&slice) {
            return HashSet::new();
        }
        let mut changed = self.remove_slice(&key);
        let service = ServiceKey {
            namespace: key.namespace.clone(),
            name: slice.service.clone(),
        };
        self.slices_of
            .entry(service.clone())
            .or_default()
            .insert(key.clone());
        self.slices.insert(key, slice);
        changed.insert(service);
        changed
    }

    pub(crate) fn remove_slice(&mut self, key: &SliceKey) -> HashSet<ServiceKey> {
        let Some(slice) = self.slices.remove(key) else {
            return HashSet::new();
        };
        let service = ServiceKey {
            namespace: key.namespace.clone(),
            name: slice.service,
        };
        if let Some(slices) = self.slices_of.get_mut(&service) {
            slices.remove(key);
            if slices.is_empty() {
                self.slices_of.remove(&service);
            }
        }
        HashSet::from([service])
    }

    fn slices_of(&self, key: &ServiceKey) -> impl Iterator<Item = &Slice> {
        self.slices_of
            .get(key)
            .into_iter()
            .flatten()
            .filter_map(|slice| self.slices.get(slice))
    }

    /// Where connections to a port go: the ready endpoints, or while there are none, the ones that still serve while
    /// they end (as kube-proxy does). Sorted, without repeats.
    pub(crate) fn targets(&self, key: &ServiceKey, port: &ServicePort) -> Vec<SocketAddrV4> {
        let collect = |wanted: fn(&Endpoint) -> bool| {
            let mut found = Vec::new();
            for slice in self.slices_of(key) {
                let matching = slice
                    .ports
                    .iter()
                    .filter(|p| p.name == port.name && p.protocol == port.protocol);
                for slice_port in matching {
                    let endpoints = slice.endpoints.iter().filter(|endpoint| wanted(endpoint));
                    found.extend(
                        endpoints.map(|endpoint| SocketAddrV4::new(endpoint.address, slice_port.port)),
                    );
                }
            }
            found.sort_unstable();
            found.dedup();
            found
        };
        let ready = collect(|endpoint| endpoint.ready);
        if ready.is_empty() {
            collect(|endpoint| endpoint.serving)
        } else {
            ready
        }
    }

    /// The endpoints DNS tells of, with the ports they have.
    pub(crate) fn published(&self, key: &ServiceKey) -> Vec<(&Endpoint, &[SlicePort])> {
        let all = self
            .services
            .get(key)
            .is_some_and(|service| service.publish_not_ready);
        let mut found: Vec<(&Endpoint, &[SlicePort])> = self
            .slices_of(key)
            .flat_map(|slice| {
                slice
                    .endpoints
                    .iter()
                    .map(|endpoint| (endpoint, slice.ports.as_slice()))
            })
            .filter(|(endpoint, _)| endpoint.ready || all)
            .collect();
        found.sort_by_key(|(endpoint, ports)| (endpoint.address, ports.len()));
        found
    }
}
