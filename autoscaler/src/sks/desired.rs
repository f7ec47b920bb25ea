//! The Services and the slice that a ServerlessService should have.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crds::labels;
use crds::names;
use crds::networking::{ProtocolType, ServerlessService, ServerlessServiceMode};
use crds::ports;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::SLICE_SERVICE;

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "serverlessservice.spindrift.dev";
/// Tells ingresses that a port speaks clear HTTP/2.
const H2C: &str = "kubernetes.io/h2c";

fn metadata(sks: &ServerlessService, name: String, kind: &str) -> ObjectMeta {
    let mut all = sks.metadata.labels.clone().unwrap_or_default();
    all.insert(
        labels::SERVERLESS_SERVICE.to_owned(),
        sks.metadata.name.clone().unwrap_or_default(),
    );
    all.insert(labels::SERVICE_TYPE.to_owned(), kind.to_owned());
    ObjectMeta {
        name: Some(name),
        namespace: sks.metadata.namespace.clone(),
        labels: Some(all),
        annotations: sks.metadata.annotations.clone(),
        ..ObjectMeta::default()
    }
}

fn name_of(sks: &ServerlessService) -> String {
    sks.metadata.name.clone().unwrap_or_default()
}

fn port(name: &str, number: u16, target: u16, h2c: bool) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::Int(i32::from(target))),
        app_protocol: h2c.then(|| H2C.to_owned()),
        ..ServicePort::default()
    }
}

/// Port name, Service port and backend port of a protocol.
fn serving_port(protocol: ProtocolType) -> (&'static str, u16, u16) {
    match protocol {
        ProtocolType::Http1 => (ports::NAME_HTTP, ports::SERVICE_HTTP, ports::BACKEND_HTTP),
        ProtocolType::H2c => (ports::NAME_HTTP2, ports::SERVICE_HTTP2, ports::BACKEND_HTTP2),
    }
}

/// The Service that selects the revision's pods, ready or not, for the data plane and the scraper.
pub fn private_service(sks: &ServerlessService, selector: BTreeMap<String, String>) -> Service {
    let (name, _, backend) = serving_port(sks.spec.protocol_type);
    let h2c = sks.spec.protocol_type == ProtocolType::H2c;
    Service {
        metadata: metadata(
            sks,
            names::private_service(&name_of(sks)),
            labels::SERVICE_TYPE_PRIVATE,
        ),
        spec: Some(ServiceSpec {
            selector: Some(selector),
            ports: Some(vec![
                port(name, ports::SERVICE_HTTP, backend, h2c),
                port(
                    ports::NAME_HTTPS,
                    ports::SERVICE_HTTPS,
                    ports::BACKEND_HTTPS,
                    false,
                ),
                port(
                    ports::NAME_AUTOSCALING_METRICS,
                    ports::AUTOSCALING_METRICS,
                    ports::AUTOSCALING_METRICS,
                    false,
                ),
                port(
                    ports::NAME_USER_METRICS,
                    ports::USER_METRICS,
                    ports::USER_METRICS,
                    false,
                ),
                port(&format!("{name}-istio"), backend, backend, h2c),
            ]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// The Service that requests go to; its endpoints are [`public_slice`].
pub fn public_service(sks: &ServerlessService) -> Service {
    let (name, number, backend) = serving_port(sks.spec.protocol_type);
    let h2c = sks.spec.protocol_type == ProtocolType::H2c;
    Service {
        metadata: metadata(sks, name_of(sks), labels::SERVICE_TYPE_PUBLIC),
        spec: Some(ServiceSpec {
            ports: Some(vec![
                port(name, number, backend, h2c),
                port(
                    ports::NAME_HTTPS,
                    ports::SERVICE_HTTPS,
                    ports::BACKEND_HTTPS,
                    false,
                ),
            ]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Who stands behind the public Service.
#[derive(Debug, PartialEq)]
pub struct Backends {
    /// Ready pods.
    pub pods: Vec<Endpoint>,
    /// Activators to use.
    pub activators: Vec<Endpoint>,
    /// Whether the activators are in the path.
    pub proxied: bool,
}

/// Chooses between pods and activators: as the mode says, except that no ready pod forces the activators, and no
/// activator the pods.
pub fn backends(
    sks: &ServerlessService,
    private: &[Arc<EndpointSlice>],
    activators: &[Arc<EndpointSlice>],
) -> Backends {
    let pods = ready(private);
    let wanted = usize::try_from(sks.spec.num_activators.unwrap_or(0)).unwrap_or(0);
    let activators = subset(ready(activators), wanted, &name_of(sks));
    let proxied =
        pods.is_empty() || (sks.spec.mode == ServerlessServiceMode::Proxy && !activators.is_empty());
    Backends {
        pods,
        activators,
        proxied,
    }
}

fn ready(slices: &[Arc<EndpointSlice>]) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = slices
        .iter()
        .flat_map(|slice| slice.endpoints.iter().flatten())
        .filter(|endpoint| {
            endpoint
                .conditions
                .as_ref()
                .is_none_or(|c| c.ready != Some(false))
        })
        .map(|endpoint| Endpoint {
            addresses: endpoint.addresses.clone(),
            conditions: Some(EndpointConditions {
                ready: Some(true),
                ..EndpointConditions::default()
            }),
            node_name: endpoint.node_name.clone(),
            target_ref: endpoint.target_ref.clone(),
            ..Endpoint::default()
        })
        .collect();
    endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
    endpoints
}

/// `wanted` of `all` (0 means all), always the same ones for a name while they exist: rendezvous hashing moves as few
/// revisions as possible when an activator comes or goes.
fn subset(mut all: Vec<Endpoint>, wanted: usize, name: &str) -> Vec<Endpoint> {
    if wanted == 0 || all.len() <= wanted {
        return all;
    }
    all.sort_by_cached_key(|endpoint| {
        let mut hasher = DefaultHasher::new();
        (name, &endpoint.addresses).hash(&mut hasher);
        hasher.finish()
    });
    all.truncate(wanted);
    all.sort_by(|a, b| a.addresses.cmp(&b.addresses));
    all
}

/// The endpoints of the public Service.
pub fn public_slice(sks: &ServerlessService, backends: &Backends) -> EndpointSlice {
    let (name, _, backend) = serving_port(sks.spec.protocol_type);
    let port = |name: &str, number: u16| EndpointPort {
        name: Some(name.to_owned()),
        port: Some(i32::from(number)),
        protocol: Some("TCP".to_owned()),
        ..EndpointPort::default()
    };
    let mut metadata = metadata(
        sks,
        names::child_name(&name_of(sks), "-public"),
        labels::SERVICE_TYPE_PUBLIC,
    );
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(SLICE_SERVICE.to_owned(), name_of(sks));
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let endpoints = if backends.proxied {
        &backends.activators
    } else {
        &backends.pods
    };
    EndpointSlice {
        metadata,
        address_type: "IPv4".to_owned(),
        endpoints: Some(endpoints.clone()),
        ports: Some(vec![
            port(name, backend),
            port(ports::NAME_HTTPS, ports::BACKEND_HTTPS),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sks(mode: &str, activators: i32) -> ServerlessService {
        serde_json::from_value(json!({
            "apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "ServerlessService",
            "metadata": { "name": "rev", "namespace": "ns" },
            "spec": { "mode": mode, "protocolType": "http1", "numActivators": activators,
                      "objectRef": { "name": "rev-deployment" } },
        }))
        .unwrap()
    }

    fn slice(addresses: &[(&str, bool)]) -> Arc<EndpointSlice> {
        let endpoints: Vec<_> = addresses
            .iter()
            .map(|(ip, ready)| json!({ "addresses": [ip], "conditions": { "ready": ready } }))
            .collect();
        Arc::new(serde_json::from_value(json!({ "addressType": "IPv4", "endpoints": endpoints })).unwrap())
    }

    fn addresses(slice: &EndpointSlice) -> Vec<String> {
        slice
            .endpoints
            .iter()
            .flatten()
            .flat_map(|endpoint| endpoint.addresses.clone())
            .collect()
    }

    #[test]
    fn who_stands_behind_the_public_service() {
        let two = [slice(&[("10.0.0.9", true), ("10.0.0.8", true)])];
        let pod = [slice(&[("10.0.1.1", true), ("10.0.1.2", false)])];
        let none: [Arc<EndpointSlice>; 0] = [];
        let cases = [
            (
                "serve",
                sks("Serve", 0),
                &pod[..],
                &two[..],
                vec!["10.0.1.1"],
                false,
            ),
            (
                "proxy",
                sks("Proxy", 0),
                &pod,
                &two,
                vec!["10.0.0.8", "10.0.0.9"],
                true,
            ),
            (
                "no pod forces the activators",
                sks("Serve", 0),
                &none,
                &two,
                vec!["10.0.0.8", "10.0.0.9"],
                true,
            ),
            (
                "no activator forces the pods",
                sks("Proxy", 0),
                &pod,
                &none,
                vec!["10.0.1.1"],
                false,
            ),
            ("nobody", sks("Proxy", 0), &none, &none, vec![], true),
        ];
        for (name, sks, private, activators, expected, proxied) in cases {
            let backends = backends(&sks, private, activators);
            assert_eq!(backends.proxied, proxied, "{name}");
            assert_eq!(addresses(&public_slice(&sks, &backends)), expected, "{name}");
        }
    }

    #[test]
    fn a_subset_of_activators_is_stable() {
        let many: Vec<(String, bool)> = (0..10).map(|i| (format!("10.0.0.{i}"), true)).collect();
        let many: Vec<(&str, bool)> = many.iter().map(|(ip, ready)| (ip.as_str(), *ready)).collect();
        let chosen = backends(&sks("Proxy", 3), &[], &[slice(&many)]).activators;
        assert_eq!(chosen.len(), 3);
        let left = chosen[0].addresses[0].clone();
        let fewer: Vec<_> = many.iter().filter(|(ip, _)| *ip != left).copied().collect();
        let after = backends(&sks("Proxy", 3), &[], &[slice(&fewer)]).activators;
        assert!(
            chosen[1..].iter().all(|kept| after.contains(kept)),
            "only the lost one is replaced"
        );
    }

    #[test]
    fn ports_follow_the_protocol() {
        let mut h2c = sks("Serve", 0);
        h2c.spec.protocol_type = ProtocolType::H2c;
        let public = public_service(&h2c).spec.unwrap();
        let first = &public.ports.unwrap()[0];
        assert_eq!((first.name.as_deref(), first.port), (Some("http2"), 81));
        assert_eq!(first.app_protocol.as_deref(), Some(H2C));
        let private = private_service(&sks("Serve", 0), BTreeMap::new()).spec.unwrap();
        let ports: Vec<_> = private
            .ports
            .unwrap()
            .into_iter()
            .map(|p| (p.name.unwrap(), p.port))
            .collect();
        assert_eq!(ports[0], ("http".to_owned(), 80));
        assert_eq!(ports[4], ("http-istio".to_owned(), 8012));
    }
}
