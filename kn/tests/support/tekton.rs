//! Makes objects of tasks, pipelines and builds as their controllers would.
#![allow(dead_code, reason = "each test binary uses what it needs")]

use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::cluster::Cluster;

pub const TASK_RUNS: &str = "tekton.dev/v1/taskruns";
pub const PIPELINE_RUNS: &str = "tekton.dev/v1/pipelineruns";

/// Group, version and plural of a kind: a Pod, a Repository, a Service, or one of Tekton's.
fn path(kind: &str) -> (&'static str, &'static str, String) {
    let plural = format!("{}s", kind.to_lowercase());
    match kind {
        "Pod" => ("", "v1", plural),
        "Repository" => ("spindrift.dev", "v1alpha1", "repositories".to_owned()),
        "Service" => ("serving.knative.dev", "v1", plural),
        _ => ("tekton.dev", "v1", plural),
    }
}

/// The objects of such a kind.
pub fn api(cluster: &Cluster, kind: &str) -> Api<DynamicObject> {
    let (group, version, plural) = path(kind);
    let kind = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, &plural);
    Api::namespaced_with(cluster.client.clone(), "default", &resource)
}

/// Makes an object, with its status if it has one.
pub async fn make(cluster: &Cluster, kind: &str, mut object: Value) {
    let (group, version, _) = path(kind);
    object["apiVersion"] = json!([group, version].join("/").trim_start_matches('/'));
    object["kind"] = json!(kind);
    let made: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let api = api(cluster, kind);
    api.create(&PostParams::default(), &made).await.unwrap();
    if !object["status"].is_null() {
        let name = object["metadata"]["name"].as_str().unwrap();
        set_status(cluster, kind, name, object["status"].clone()).await;
    }
}

/// Changes the status of an object.
pub async fn set_status(cluster: &Cluster, kind: &str, name: &str, status: Value) {
    let patch = Patch::Merge(json!({ "status": status }));
    let api = api(cluster, kind);
    api.patch_status(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

/// The conditions of a run.
pub fn condition(status: &str, reason: &str, message: &str) -> Value {
    json!([{ "type": "Succeeded", "status": status, "reason": reason, "message": message }])
}
