//! The Kubernetes Services that stand in for a Route's hosts, so that its local names resolve to the ingress.

use crds::labels;
use crds::networking::{Ingress, LoadBalancerIngressStatus};
use crds::serving::Route;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::hosts::Host;
use crate::shared::{Map, annotations_of, labels_of, name_of};

const HTTP2: &str = "http2";
const H2C: &str = "kubernetes.io/h2c";

/// Where the ingress is to be found from inside of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// Nobody has said yet.
    Unknown,
    /// A DNS name.
    Name(String),
    Ip(String),
    /// The mesh delivers.
    Mesh,
}

/// # Errors
/// Says what is wrong with the status of the ingress.
pub(super) fn address(ingress: Option<&Ingress>) -> Result<Address, String> {
    let status = ingress.and_then(|ingress| ingress.status.as_ref());
    // Clients inside of the cluster use the private address; some ingresses have one for everybody.
    let balancer = status.and_then(|s| {
        s.private_load_balancer
            .as_ref()
            .or(s.public_load_balancer.as_ref())
    });
    let addresses = balancer
        .map(|balancer| balancer.ingress.as_slice())
        .unwrap_or_default();
    match addresses {
        [] => Ok(Address::Unknown),
        [one] => one_address(one),
        _ => Err("the ingress reports several load balancer addresses, exactly one is expected".to_owned()),
    }
}

fn one_address(found: &LoadBalancerIngressStatus) -> Result<Address, String> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(name) = given(&found.domain_internal).or_else(|| given(&found.domain)) {
        return Ok(Address::Name(name));
    }
    if found.mesh_only == Some(true) {
        return Ok(Address::Mesh);
    }
    given(&found.ip)
        .map(Address::Ip)
        .ok_or_else(|| "the ingress reports an empty load balancer address".to_owned())
}

pub(super) fn service(route: &Route, host: &Host, address: &Address) -> Service {
    let spec = match address {
        Address::Unknown => external(host.domain.clone()),
        Address::Name(name) => external(name.clone()),
        Address::Ip(_) => ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            ports: Some(vec![http2_port()]),
            ..ServiceSpec::default()
        },
        Address::Mesh => ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: 80,
                target_port: Some(IntOrString::Int(80)),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        },
    };
    Service {
        metadata: metadata(route, host),
        spec: Some(spec),
        status: None,
    }
}

/// The endpoint of a Service that is an address.
pub(super) fn endpoints(route: &Route, host: &Host, address: &Address) -> Option<EndpointSlice> {
    let Address::Ip(ip) = address else { return None };
    let mut metadata = metadata(route, host);
    let service = ("kubernetes.io/service-name".to_owned(), host.name.clone());
    metadata.labels.get_or_insert_default().extend([service]);
    Some(EndpointSlice {
        metadata,
        address_type: if ip.contains(':') { "IPv6" } else { "IPv4" }.to_owned(),
        endpoints: Some(vec![Endpoint {
            addresses: vec![ip.clone()],
            conditions: Some(EndpointConditions {
                ready: Some(true),
                ..EndpointConditions::default()
            }),
            ..Endpoint::default()
        }]),
        ports: Some(vec![EndpointPort {
            name: Some(HTTP2.to_owned()),
            port: Some(80),
            protocol: Some("TCP".to_owned()),
            app_protocol: Some(H2C.to_owned()),
        }]),
    })
}

fn external(name: String) -> ServiceSpec {
    ServiceSpec {
        type_: Some("ExternalName".to_owned()),
        external_name: Some(name),
        session_affinity: Some("None".to_owned()),
        ports: Some(vec![http2_port()]),
        ..ServiceSpec::default()
    }
}

fn http2_port() -> ServicePort {
    ServicePort {
        name: Some(HTTP2.to_owned()),
        port: 80,
        target_port: Some(IntOrString::Int(80)),
        app_protocol: Some(H2C.to_owned()),
        ..ServicePort::default()
    }
}

fn metadata(route: &Route, host: &Host) -> ObjectMeta {
    // Visibility is set on a placeholder by users, per tag: the Route's own must not look like theirs.
    let mut labels: Map = labels_of(&route.metadata);
    labels.remove(labels::VISIBILITY);
    labels.insert(labels::ROUTE.to_owned(), name_of(&route.metadata).to_owned());
    let mut annotations = annotations_of(&route.metadata);
    annotations.remove(crds::annotations::KUBECTL_LAST_APPLIED);
    ObjectMeta {
        name: Some(host.name.clone()),
        namespace: route.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}
