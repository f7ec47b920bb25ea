//! Where pods reach the API: the endpoints of the Service `kubernetes`.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";

/// Writes the one address and port at which the API listens for pods.
pub async fn publish_api(client: &Client, address: Ipv4Addr, port: u16) -> Result<(), kube::Error> {
    let params = PatchParams::apply("spindrift-cluster").force();
    let target = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": NAME },
        "spec": { "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": port }] },
    });
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    services.patch(NAME, &params, &Patch::Apply(target)).await?;
    let ports = json!([{ "name": "https", "port": port, "protocol": "TCP" }]);
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": NAME, "labels": { "kubernetes.io/service-name": NAME } },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
        "ports": ports,
    });
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
    slices.patch(NAME, &params, &Patch::Apply(slice)).await?;
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": { "name": NAME },
        "subsets": [{ "addresses": [{ "ip": address }], "ports": ports }],
    });
    let all: Api<Endpoints> = Api::namespaced(client.clone(), NAMESPACE);
    all.patch(NAME, &params, &Patch::Apply(endpoints)).await?;
    Ok(())
}
