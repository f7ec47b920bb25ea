//! The addresses behind every Service, put together from EndpointSlices.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::watch::ObjectKey;

/// Label by which a slice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Namespace and name of a Service.
pub type ServiceKey = ObjectKey;

/// All slices by Service.
#[derive(Debug, Default)]
pub struct Endpoints {
    services: HashMap<ServiceKey, BTreeMap<String, Slice>>,
    /// Where a slice was filed: its label may change.
    owners: HashMap<ObjectKey, ServiceKey>,
}

#[derive(Debug, PartialEq, Eq)]
struct Slice {
    ports: Vec<(String, u16)>,
    addresses: Vec<(IpAddr, bool)>,
}

/// One address of a Service on one of its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub addr: SocketAddr,
    /// Whether Kubernetes calls the pod ready.
    pub ready: bool,
}

impl Endpoints {
    /// Takes a slice in; returns the Services whose addresses changed.
    pub fn apply(&mut self, key: &ObjectKey, slice: &EndpointSlice) -> Vec<ServiceKey> {
        let name = slice
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(SERVICE_NAME));
        let Some(name) = name else {
            return self.remove(key).into_iter().collect();
        };
        let service = ServiceKey::new(key.namespace.clone(), name.clone());
        let mut changed = Vec::new();
        if self.owners.get(key).is_some_and(|owner| *owner != service) {
            changed.extend(self.remove(key));
        }
        self.owners.insert(key.clone(), service.clone());
        let slice = Slice::from(slice);
        let slices = self.services.entry(service.clone()).or_default();
        if slices.get(&key.name) != Some(&slice) {
            slices.insert(key.name.clone(), slice);
            changed.push(service);
        }
        changed
    }

    /// Takes a slice out; returns the Service that lost it.
    pub fn remove(&mut self, key: &ObjectKey) -> Option<ServiceKey> {
        let service = self.owners.remove(key)?;
        let slices = self.services.get_mut(&service)?;
        slices.remove(&key.name);
        if slices.is_empty() {
            self.services.remove(&service);
        }
        Some(service)
    }

    /// The addresses of a Service on the first of the named ports that each slice has, sorted, each once. A slice that
    /// has none of them serves `default`, if given.
    pub fn addresses(&self, service: &ServiceKey, ports: &[&str], default: Option<u16>) -> Vec<Address> {
        let slices = self.services.get(service).into_iter().flat_map(BTreeMap::values);
        let mut found: BTreeMap<SocketAddr, bool> = BTreeMap::new();
        for slice in slices {
            let named = ports
                .iter()
                .find_map(|name| slice.ports.iter().find(|(port, _)| port == name));
            let Some(port) = named.map(|(_, port)| *port).or(default) else {
                continue;
            };
            for (ip, ready) in &slice.addresses {
                *found.entry(SocketAddr::new(*ip, port)).or_default() |= ready;
            }
        }
        found
            .into_iter()
            .map(|(addr, ready)| Address { addr, ready })
            .collect()
    }
}

impl From<&EndpointSlice> for Slice {
    fn from(slice: &EndpointSlice) -> Self {
        let ports = slice.ports.iter().flatten();
        let ports = ports
            .filter_map(|port| {
                let number = u16::try_from(port.port?).ok().filter(|number| *number > 0)?;
                Some((port.name.clone().unwrap_or_default(), number))
            })
            .collect();
        let addresses = slice.endpoints.iter().flatten().filter_map(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            // A terminating pod still serves what it has, but gets nothing new.
            if conditions.is_some_and(|conditions| conditions.terminating == Some(true)) {
                return None;
            }
            // An absent condition means ready (Kubernetes API).
            let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
            Some(
                endpoint
                    .addresses
                    .iter()
                    .filter_map(move |ip| Some((ip.parse().ok()?, ready))),
            )
        });
        Self {
            ports,
            addresses: addresses.flatten().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(
        service: &str,
        addresses: &[(&str, Option<bool>, bool)],
        ports: &[(&str, i32)],
    ) -> EndpointSlice {
        serde_json::from_value(json!({
            "metadata": {"name": "s", "namespace": "n", "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "endpoints": addresses.iter().map(|(ip, ready, terminating)| json!({
                "addresses": [ip], "conditions": {"ready": ready, "terminating": terminating},
            })).collect::<Vec<_>>(),
            "ports": ports.iter().map(|(name, port)| json!({"name": name, "port": port})).collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("n", name)
    }

    #[test]
    fn slices_of_a_service_are_merged_and_terminating_pods_left_out() {
        let mut endpoints = Endpoints::default();
        let a = slice(
            "svc",
            &[("10.0.0.2", Some(true), false), ("10.0.0.1", Some(false), false)],
            &[("http", 8012)],
        );
        let b = slice(
            "svc",
            &[("10.0.0.3", None, false), ("10.0.0.4", Some(true), true)],
            &[("http", 8012)],
        );
        assert_eq!(endpoints.apply(&key("a"), &a), [key("svc")]);
        assert_eq!(endpoints.apply(&key("b"), &b), [key("svc")]);
        assert_eq!(endpoints.apply(&key("b"), &b), [], "nothing changed");
        let found = endpoints.addresses(&key("svc"), &["http"], None);
        let expected = [
            ("10.0.0.1:8012", false),
            ("10.0.0.2:8012", true),
            ("10.0.0.3:8012", true),
        ];
        assert_eq!(
            found,
            expected.map(|(addr, ready)| Address {
                addr: addr.parse().unwrap(),
                ready
            })
        );
        assert_eq!(endpoints.addresses(&key("svc"), &["http2"], None), []);
        assert_eq!(endpoints.addresses(&key("svc"), &["http2"], Some(9)).len(), 3);
        assert_eq!(endpoints.remove(&key("a")), Some(key("svc")));
        assert_eq!(endpoints.addresses(&key("svc"), &["http"], None).len(), 1);
    }

    #[test]
    fn a_slice_that_changes_its_service_leaves_the_old_one() {
        let mut endpoints = Endpoints::default();
        let one = slice("one", &[("10.0.0.1", Some(true), false)], &[("http", 1)]);
        let two = slice("two", &[("10.0.0.1", Some(true), false)], &[("http", 1)]);
        endpoints.apply(&key("a"), &one);
        assert_eq!(endpoints.apply(&key("a"), &two), [key("one"), key("two")]);
        assert_eq!(endpoints.addresses(&key("one"), &["http"], None), []);
    }
}
