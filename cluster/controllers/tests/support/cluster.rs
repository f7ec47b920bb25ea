//! The cluster that the controllers are tested in.

use cluster_controllers::{Config, Controllers};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use test_api::TestApi;
pub use test_api::eventually;

/// Starts the controllers.
pub fn controllers(client: &Client) -> Controllers {
    let config = Config {
        ca_pem: "PEM".into(),
        volumes: None,
    };
    cluster_controllers::start(client.clone(), config)
}

/// Starts an API server with a node that pods fit on.
pub async fn api() -> TestApi {
    let api = TestApi::start().await;
    let client = api.client();
    create::<Node>(&Api::all(client.clone()), json!({ "metadata": { "name": "n" } })).await;
    let patch = json!({ "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "100" } } });
    let nodes: Api<Node> = Api::all(client.clone());
    nodes
        .patch_status("n", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    // A real server taints new nodes; what takes the taint off is not here.
    let patch = json!({ "spec": { "taints": null } });
    nodes
        .patch("n", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    api
}

pub async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap())
        .await
        .unwrap()
}
