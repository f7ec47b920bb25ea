//! Steps that refer to what resolvers find, against an API server whose controller is the real one; the test is the
//! resolver.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::tekton::{ResolutionRequest, TaskRun};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use reconciler::Caches;
use serde_json::{Value, json};
use test_api::TestApi;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the install allows, and what the task asks for.
const AT_ONCE: usize = 2;
const STEPS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn no_more_references_of_steps_are_resolved_at_once_than_is_allowed() {
    let api = TestApi::start().await;
    api.define(&crds::tekton_definitions()).await;
    let client = api.client();
    let parsed = |object: Value| serde_json::from_value(object).unwrap();
    let system: Namespace =
        serde_json::from_value(json!({"metadata": {"name": "tekton-pipelines"}})).unwrap();
    Api::all(client.clone())
        .create(&PostParams::default(), &system)
        .await
        .unwrap();
    let defaults = parsed(json!({
        "metadata": {"name": "config-defaults"},
        "data": {"default-step-ref-concurrency-limit": AT_ONCE.to_string()},
    }));
    let configs: Api<ConfigMap> = Api::namespaced(client.clone(), "tekton-pipelines");
    configs.create(&PostParams::default(), &defaults).await.unwrap();
    let config = pipelines::Config::new("entrypoint");
    let controller = tokio::spawn(pipelines::run_with(Caches::new(client.clone()), config));

    let step = |index: usize| {
        let params = json!([{"name": "url", "value": format!("http://example.com/{index}")}]);
        json!({"name": format!("s{index}"), "ref": {"resolver": "http", "params": params}})
    };
    let steps: Vec<Value> = (0..STEPS).map(step).collect();
    let run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": "r"}, "spec": {"taskSpec": {"steps": steps}},
    });
    let runs: Api<TaskRun> = Api::namespaced(client.clone(), "default");
    let run: TaskRun = serde_json::from_value(run).unwrap();
    runs.create(&PostParams::default(), &run).await.unwrap();

    let action = json!({
        "apiVersion": "tekton.dev/v1beta1", "kind": "StepAction", "metadata": {"name": "a"},
        "spec": {"image": "i", "command": ["true"]},
    });
    let found = json!({"status": {
        "data": STANDARD.encode(action.to_string()), "conditions": [{"type": "Succeeded", "status": "True"}],
    }});
    let requests: Api<ResolutionRequest> = Api::namespaced(client.clone(), "default");
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let mut asked = BTreeSet::new();
    let (mut most, mut answered) = (0, 0);
    let answering = async {
        loop {
            let all = requests.list(&ListParams::default()).await.unwrap().items;
            asked.extend(all.iter().map(ResourceExt::name_any));
            let is_open = |request: &&ResolutionRequest| request.status.is_none();
            let open: Vec<&ResolutionRequest> = all.iter().filter(is_open).collect();
            most = most.max(open.len());
            if pods.get_opt("r-pod").await.unwrap().is_some() {
                return;
            }
            // While all that are allowed are open, nobody asks for more; so one of them is answered.
            let full = open.len() == AT_ONCE || answered + open.len() == STEPS;
            if let Some(first) = open.first().filter(|_| full) {
                requests
                    .patch_status(&first.name_any(), &PatchParams::default(), &Patch::Merge(&found))
                    .await
                    .unwrap();
                answered += 1;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answering = tokio::time::timeout(PATIENCE, answering).await;
    controller.abort();
    assert!(answering.is_ok(), "no pod: {answered} of {asked:?} answered");
    assert_eq!((asked.len(), most), (STEPS, AT_ONCE));
}
