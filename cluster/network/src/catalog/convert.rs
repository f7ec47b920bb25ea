//! From API objects to the compact form.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service as ServiceObject;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::state::{
    Endpoint, Protocol, Service, ServiceKey, ServiceKind, ServicePort, Slice, SliceKey, SlicePort,
};

/// Label of a slice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// `clusterIP` of a headless Service.
const NO_CLUSTER_IP: &str = "None";

pub(super) fn key(metadata: &ObjectMeta) -> Option<ServiceKey> {
    Some(ServiceKey {
        namespace: metadata.namespace.clone()?,
        name: metadata.name.clone()?,
    })
}

pub(super) fn slice_key(metadata: &ObjectMeta) -> Option<SliceKey> {
    Some(SliceKey {
        namespace: metadata.namespace.clone()?,
        name: metadata.name.clone()?,
    })
}

pub(super) fn service(object: &ServiceObject) -> Option<(ServiceKey, Service)> {
    let key = key(&object.metadata)?;
    let spec = object.spec.as_ref()?;
    let kind = match (spec.type_.as_deref(), spec.cluster_ip.as_deref()) {
        (Some("ExternalName"), _) => {
            ServiceKind::External(spec.external_name.as_deref()?.trim_end_matches('.').into())
        }
        (_, Some(NO_CLUSTER_IP)) => ServiceKind::Headless,
        (_, first) => {
            let listed = spec.cluster_ips.iter().flatten().map(String::as_str);
            let mut addresses: Vec<Ipv4Addr> = first
                .into_iter()
                .chain(listed)
                .filter_map(|ip| ip.parse().ok())
                .collect();
            addresses.dedup();
            ServiceKind::ClusterIp(addresses)
        }
    };
    let ports = spec.ports.iter().flatten().filter_map(|port| {
        Some(ServicePort {
            name: port.name.clone().unwrap_or_default(),
            protocol: protocol(port.protocol.as_deref())?,
            port: number(port.port)?,
            node_port: port.node_port.and_then(number),
        })
    });
    let service = Service {
        kind,
        ports: ports.collect(),
        client_affinity: spec.session_affinity.as_deref() == Some("ClientIP"),
        load_balancer: spec.type_.as_deref() == Some("LoadBalancer"),
        publish_not_ready: spec.publish_not_ready_addresses.unwrap_or_default(),
    };
    Some((key, service))
}

pub(super) fn slice(object: &EndpointSlice) -> Option<(SliceKey, Slice)> {
    let key = slice_key(&object.metadata)?;
    let service = object.metadata.labels.as_ref()?.get(SERVICE_NAME)?.clone();
    if object.address_type != "IPv4" {
        return None;
    }
    let ports = object.ports.iter().flatten().filter_map(|port| {
        Some(SlicePort {
            name: port.name.clone().unwrap_or_default(),
            protocol: protocol(port.protocol.as_deref())?,
            port: number(port.port?)?,
        })
    });
    let endpoints = object.endpoints.iter().flatten().filter_map(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        // An unknown condition counts as true, for `serving` as the readiness (EndpointConditions).
        let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
        Some(Endpoint {
            // Only the first address counts (EndpointSlice: "consumers should use the first").
            address: endpoint.addresses.first()?.parse().ok()?,
            ready,
            serving: conditions
                .and_then(|conditions| conditions.serving)
                .unwrap_or(ready),
            hostname: endpoint
                .hostname
                .as_ref()
                .map(|hostname| hostname.to_ascii_lowercase()),
        })
    });
    Some((
        key,
        Slice {
            service,
            ports: ports.collect(),
            endpoints: endpoints.collect(),
        },
    ))
}

fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name.unwrap_or("TCP") {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        _ => None,
    }
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port > 0)
}
