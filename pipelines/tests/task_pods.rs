//! Pods of TaskRuns against an API server, whose controller is the real one.

use std::time::Duration;

use crds::tekton::TaskRun;
use k8s_openapi::api::core::v1::{LimitRange, Pod};
use kube::api::{Api, PostParams};
use reconciler::Caches;
use serde_json::{Value, json};
use test_api::TestApi;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn steps_share_what_the_limit_range_of_their_namespace_gives() {
    let api = TestApi::start().await;
    api.define(&crds::tekton_definitions()).await;
    let client = api.client();
    let ranges: Api<LimitRange> = Api::namespaced(client.clone(), "default");
    let range = json!({
        "metadata": {"name": "defaults"},
        "spec": {"limits": [{"type": "Container", "defaultRequest": {"cpu": "200m"}, "default": {"cpu": "1"}}]},
    });
    let range = serde_json::from_value(range).unwrap();
    ranges.create(&PostParams::default(), &range).await.unwrap();
    let config = pipelines::Config::new("entrypoint");
    let controller = tokio::spawn(pipelines::run_with(Caches::new(client.clone()), config));

    let step = |name: &str| json!({"name": name, "image": "i", "command": ["true"]});
    let run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": "r"},
        "spec": {"taskSpec": {"steps": [step("a"), step("b")]}},
    });
    let runs: Api<TaskRun> = Api::namespaced(client.clone(), "default");
    let run = serde_json::from_value(run).unwrap();
    runs.create(&PostParams::default(), &run).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let pod = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(pod) = pods.get_opt("r-pod").await.unwrap() {
                return pod;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let pod = pod.await.unwrap();
    controller.abort();
    let needs: Vec<Value> = pod
        .spec
        .unwrap()
        .containers
        .iter()
        .map(|container| serde_json::to_value(&container.resources).unwrap())
        .collect();
    let each = json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}});
    assert_eq!(needs, [each.clone(), each]);
}
