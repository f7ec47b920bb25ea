//! Where a Service's webhook listens, by what the API server itself stores.
//!
//! The API server is no pod: cluster DNS may not answer it, and virtual addresses may not be routed yet. Ready endpoints
//! are reachable from it in every set-up in which the node is, as with upstream's `--enable-aggregator-routing`.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use serde_json::Value;

use super::Target;
use crate::meta;
use crate::store::Store;

/// Resolves the one host of a webhook.
#[derive(Clone)]
pub(crate) struct Resolver {
    pub(crate) store: Store,
    pub(crate) target: Target,
}

/// Where a Service leads.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Addresses(Vec<SocketAddr>),
    /// `type: ExternalName`.
    Host(String),
}

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = match &self.target {
            Target::Url(_) => Ok((Found::Host(name.as_str().to_owned()), 0)),
            Target::Service {
                namespace,
                name,
                port,
                ..
            } => find(&self.store, namespace, name, *port).map(|found| (found, *port)),
        };
        Box::pin(async move {
            let (host, port) = match found.map_err(std::io::Error::other)? {
                (Found::Addresses(mut addresses), _) => {
                    // Each connection starts at another replica.
                    let first = rand::random_range(0..addresses.len().max(1));
                    addresses.rotate_left(first);
                    return Ok(addresses.into_iter());
                }
                (Found::Host(host), port) => (host, port),
            };
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            Ok(addresses.into_iter())
        })
    }
}

fn find(store: &Store, namespace: &str, name: &str, port: u16) -> Result<Found, String> {
    let service = store
        .get(&format!("/services/{namespace}/{name}"))
        .ok_or_else(|| format!("service \"{name}\" not found"))?;
    let (_, slices) = store.list(&format!("discovery.k8s.io/endpointslices/{namespace}/"));
    let slices: Vec<Value> = slices.iter().map(|(_, slice)| slice.value()).collect();
    addresses(&service.value(), &slices, port)
}

/// Returns the ready endpoints behind a port of a Service. `slices` are those of its namespace.
fn addresses(service: &Value, slices: &[Value], port: u16) -> Result<Found, String> {
    let name = meta::name(service);
    if meta::text(service, "/spec/type") == "ExternalName" {
        return Ok(Found::Host(meta::text(service, "/spec/externalName").to_owned()));
    }
    let ports = service["spec"]["ports"].as_array();
    let port_name = ports
        .into_iter()
        .flatten()
        .find(|candidate| candidate["port"] == port)
        .map(|found| meta::text(found, "/name"))
        .ok_or_else(|| format!("no service port {port} found for service \"{name}\""))?;
    let of_service =
        |slice: &&Value| slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str() == Some(name);
    let found: Vec<SocketAddr> = slices
        .iter()
        .filter(of_service)
        .flat_map(|slice| endpoints(slice, port_name))
        .collect();
    if found.is_empty() {
        return Err(format!("no endpoints available for service \"{name}\""));
    }
    Ok(Found::Addresses(found))
}

fn endpoints(slice: &Value, port_name: &str) -> Vec<SocketAddr> {
    let ports = slice["ports"].as_array();
    let port = ports
        .into_iter()
        .flatten()
        .find(|port| meta::text(port, "/name") == port_name)
        .and_then(|port| port["port"].as_u64())
        .and_then(|port| u16::try_from(port).ok());
    let Some(port) = port else {
        return Vec::new();
    };
    let ready = |endpoint: &&Value| endpoint["conditions"]["ready"] != false;
    let endpoints = slice["endpoints"].as_array().into_iter().flatten().filter(ready);
    endpoints
        .flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten())
        .filter_map(|address| address.as_str()?.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, port))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ready_endpoints_of_the_named_port_are_found() {
        let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [
            {"name": "http", "port": 80}, {"name": "https", "port": 443},
        ]}});
        let slice = |service: &str| {
            json!({
                "metadata": {"labels": {"kubernetes.io/service-name": service}},
                "endpoints": [
                    {"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
                    {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
                    {"addresses": ["10.0.0.3"]},
                ],
                "ports": [{"name": "http", "port": 8080}, {"name": "https", "port": 8443}],
            })
        };
        let slices = [slice("web"), slice("other")];
        assert_eq!(
            addresses(&service, &slices, 443),
            Ok(Found::Addresses(vec![
                "10.0.0.1:8443".parse().unwrap(),
                "10.0.0.3:8443".parse().unwrap()
            ]))
        );
        assert_eq!(
            addresses(&service, &slices, 444).unwrap_err(),
            "no service port 444 found for service \"web\""
        );
        assert_eq!(
            addresses(&service, &[], 443).unwrap_err(),
            "no endpoints available for service \"web\""
        );
        let external =
            json!({"metadata": {"name": "web"}, "spec": {"type": "ExternalName", "externalName": "a.b"}});
        assert_eq!(addresses(&external, &[], 443), Ok(Found::Host("a.b".into())));
    }
}
