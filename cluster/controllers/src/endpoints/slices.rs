//! The EndpointSlices and Endpoints that a Service should have, from its pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort as CorePort, EndpointSubset, Endpoints, ObjectReference, Pod, Service,
    ServicePort,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};

pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";
/// Endpoints in one slice (upstream default of `--max-endpoints-per-slice`).
const MAX_PER_SLICE: usize = 100;

/// Whether this controller keeps the endpoints of `service`: it has a selector and is not a name for something else.
pub fn is_ours(service: &Service) -> bool {
    service.spec.as_ref().is_some_and(|spec| {
        spec.type_.as_deref() != Some("ExternalName") && spec.selector.as_ref().is_some_and(|s| !s.is_empty())
    })
}

/// Whether `service` selects `pod`.
pub fn selects(service: &Service, pod: &Pod) -> bool {
    is_ours(service)
        && service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref())
            .is_some_and(|selector| {
                selector
                    .iter()
                    .all(|(key, value)| pod.labels().get(key) == Some(value))
            })
}

/// The slices for `service` over `pods` that it selects. A service without endpoints has one empty slice. Pods on which
/// a named port resolves differently are in different slices, since ports belong to the slice.
pub fn desired(service: &Service, pods: &[Arc<Pod>]) -> Vec<EndpointSlice> {
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let publish = spec.publish_not_ready_addresses == Some(true);
    let service_ports = spec.ports.as_deref().unwrap_or_default();
    let mut groups: BTreeMap<String, (Vec<EndpointPort>, Vec<Endpoint>)> = BTreeMap::new();
    for pod in pods {
        let Some(endpoint) = endpoint(service, pod, publish) else {
            continue;
        };
        let ports: Vec<EndpointPort> = service_ports
            .iter()
            .filter_map(|port| resolve(port, pod))
            .collect();
        let group = serde_json::to_string(&ports).unwrap_or_default();
        groups
            .entry(group)
            .or_insert_with(|| (ports, Vec::new()))
            .1
            .push(endpoint);
    }
    if groups.is_empty() {
        groups.insert(String::new(), (Vec::new(), Vec::new()));
    }
    let mut slices = Vec::new();
    for (ports, endpoints) in groups.into_values() {
        let chunks: Vec<&[Endpoint]> = if endpoints.is_empty() {
            vec![&[]]
        } else {
            endpoints.chunks(MAX_PER_SLICE).collect()
        };
        for chunk in chunks {
            slices.push(slice(service, slices.len(), ports.clone(), chunk.to_vec()));
        }
    }
    slices
}

fn slice(
    service: &Service,
    index: usize,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
) -> EndpointSlice {
    let mut labels = service.labels().clone();
    labels.insert(SERVICE_NAME.to_owned(), service.name_any());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if service.spec.as_ref().and_then(|s| s.cluster_ip.as_deref()) == Some("None") {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    let mut slice = EndpointSlice {
        address_type: "IPv4".to_owned(),
        endpoints: Some(endpoints),
        ports: Some(ports),
        ..EndpointSlice::default()
    };
    slice.metadata.name = Some(format!("{}-{}", service.name_any(), suffix(service, index)));
    slice.metadata.namespace = service.namespace();
    slice.metadata.labels = Some(labels);
    slice.metadata.owner_references = service.controller_owner_ref(&()).map(|owner| vec![owner]);
    slice
}

/// Five letters that are the same each time, so that a create after a stale read meets the slice it forgot.
fn suffix(service: &Service, index: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let uid = service.uid().unwrap_or_default();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in uid.bytes().chain(index.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut text = String::new();
    for _ in 0..5 {
        text.push(char::from(LETTERS[usize::try_from(hash % 27).unwrap_or(0)]));
        hash /= 27;
    }
    text
}

/// `None` while the pod has no address, and when it has finished.
fn endpoint(service: &Service, pod: &Pod, publish_not_ready: bool) -> Option<Endpoint> {
    let status = pod.status.as_ref()?;
    let address = status.pod_ip.clone().filter(|ip| !ip.is_empty())?;
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let terminating = pod.meta().deletion_timestamp.is_some();
    let serving = crate::pod::ready_since(pod).is_some();
    let spec = pod.spec.as_ref()?;
    let hostname = spec
        .hostname
        .clone()
        .filter(|_| spec.subdomain.as_deref() == Some(service.name_any().as_str()));
    Some(Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some((serving && !terminating) || publish_not_ready),
            serving: Some(serving || publish_not_ready),
            terminating: Some(terminating),
        }),
        hostname,
        node_name: spec.node_name.clone(),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    })
}

/// The port of `pod` that `port` leads to; `None` if the pod has no port of that name.
fn resolve(port: &ServicePort, pod: &Pod) -> Option<EndpointPort> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let number = match &port.target_port {
        None => port.port,
        Some(IntOrString::Int(0)) => port.port,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(name)) => {
            pod.spec
                .as_ref()?
                .containers
                .iter()
                .flat_map(|container| container.ports.iter().flatten())
                .find(|p| {
                    p.name.as_ref() == Some(name) && p.protocol.as_deref().unwrap_or("TCP") == protocol
                })?
                .container_port
        }
    };
    Some(EndpointPort {
        app_protocol: port.app_protocol.clone(),
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(number),
        protocol: Some(protocol.to_owned()),
    })
}

/// Whether `live` already says what `wanted` says.
pub fn same(live: &EndpointSlice, wanted: &EndpointSlice) -> bool {
    let labels = wanted.metadata.labels.iter().flatten();
    live.endpoints.as_deref().unwrap_or_default() == wanted.endpoints.as_deref().unwrap_or_default()
        && live.ports.as_deref().unwrap_or_default() == wanted.ports.as_deref().unwrap_or_default()
        && labels
            .into_iter()
            .all(|(key, value)| live.labels().get(key) == Some(value))
}

/// The same facts in the older Endpoints form.
pub fn desired_endpoints(service: &Service, slices: &[EndpointSlice]) -> Endpoints {
    let mut subsets = Vec::new();
    for slice in slices {
        let (ready, not_ready): (Vec<&Endpoint>, Vec<&Endpoint>) = slice
            .endpoints
            .iter()
            .flatten()
            .filter(|e| e.conditions.as_ref().and_then(|c| c.terminating) != Some(true))
            .partition(|e| e.conditions.as_ref().and_then(|c| c.ready) == Some(true));
        let addresses = |endpoints: Vec<&Endpoint>| {
            let list: Vec<EndpointAddress> = endpoints
                .into_iter()
                .map(|endpoint| EndpointAddress {
                    hostname: endpoint.hostname.clone(),
                    ip: endpoint.addresses.first().cloned().unwrap_or_default(),
                    node_name: endpoint.node_name.clone(),
                    target_ref: endpoint.target_ref.clone(),
                })
                .collect();
            if list.is_empty() { None } else { Some(list) }
        };
        let ports = slice.ports.iter().flatten().map(|port| CorePort {
            app_protocol: port.app_protocol.clone(),
            name: port.name.clone().filter(|name| !name.is_empty()),
            port: port.port.unwrap_or(0),
            protocol: port.protocol.clone(),
        });
        let subset = EndpointSubset {
            addresses: addresses(ready),
            not_ready_addresses: addresses(not_ready),
            ports: Some(ports.collect()),
        };
        if subset.addresses.is_some() || subset.not_ready_addresses.is_some() {
            subsets.push(subset);
        }
    }
    let mut endpoints = Endpoints {
        subsets: (!subsets.is_empty()).then_some(subsets),
        ..Endpoints::default()
    };
    endpoints.metadata.name = service.metadata.name.clone();
    endpoints.metadata.namespace = service.metadata.namespace.clone();
    endpoints.metadata.labels = service.metadata.labels.clone();
    endpoints.metadata.owner_references = service.controller_owner_ref(&()).map(|owner| vec![owner]);
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service() -> Service {
        serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "default", "uid": "u-1" },
            "spec": { "selector": { "app": "web" }, "clusterIP": "10.0.0.5", "ports": [
                { "name": "http", "port": 80, "targetPort": "front" }, { "name": "metrics", "port": 9090 } ] },
        }))
        .unwrap()
    }

    fn pod(name: &str, ip: Option<&str>, ready: bool, port: i32) -> Arc<Pod> {
        let status = if ready { "True" } else { "False" };
        Arc::new(
            serde_json::from_value(json!({
                "metadata": { "name": name, "namespace": "default", "labels": { "app": "web" } },
                "spec": { "nodeName": "n", "containers": [{ "name": "c", "ports": [{ "name": "front", "containerPort": port }] }] },
                "status": { "phase": "Running", "podIP": ip, "conditions": [{ "type": "Ready", "status": status }] },
            }))
            .unwrap(),
        )
    }

    #[test]
    fn an_address_is_published_before_the_pod_is_ready() {
        let slices = desired(
            &service(),
            &[
                pod("a", Some("10.1.0.2"), false, 8080),
                pod("b", None, false, 8080),
            ],
        );
        assert_eq!(slices.len(), 1);
        let endpoint = &slices[0].endpoints.as_ref().unwrap()[0];
        assert_eq!(endpoint.addresses, ["10.1.0.2"]);
        assert_eq!(endpoint.conditions.as_ref().unwrap().ready, Some(false));
        let endpoints = desired_endpoints(&service(), &slices);
        let subset = &endpoints.subsets.unwrap()[0];
        assert!(subset.addresses.is_none() && subset.not_ready_addresses.is_some());
    }

    #[test]
    fn named_ports_that_resolve_differently_make_two_slices() {
        let slices = desired(
            &service(),
            &[
                pod("a", Some("10.1.0.2"), true, 8080),
                pod("b", Some("10.1.0.3"), true, 9999),
            ],
        );
        let ports: Vec<i32> = slices
            .iter()
            .map(|s| s.ports.as_ref().unwrap()[0].port.unwrap())
            .collect();
        assert_eq!(ports, [8080, 9999]);
        assert_ne!(slices[0].name_any(), slices[1].name_any());
    }

    #[test]
    fn more_than_a_hundred_endpoints_are_split() {
        let pods: Vec<_> = (0..250)
            .map(|i| {
                pod(
                    &format!("p{i}"),
                    Some(&format!("10.1.{}.{}", i / 200, i % 200)),
                    true,
                    80,
                )
            })
            .collect();
        let sizes: Vec<usize> = desired(&service(), &pods)
            .iter()
            .map(|s| s.endpoints.as_ref().unwrap().len())
            .collect();
        assert_eq!(sizes, [100, 100, 50]);
    }

    #[test]
    fn no_pods_leave_one_empty_slice() {
        let slices = desired(&service(), &[]);
        assert_eq!(slices.len(), 1);
        assert!(slices[0].endpoints.as_ref().unwrap().is_empty());
        assert!(same(&slices[0], &desired(&service(), &[])[0]));
    }
}
