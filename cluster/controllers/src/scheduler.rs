//! Binds pods to nodes. With one node the choice is between "it fits" and saying why it does not.

mod fit;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;

use crate::informer::{Informer, Key, key_of};
use crate::queue::Queue;
use crate::worker::{self, Next, is_conflict, is_not_found};
use fit::Decision;

/// The scheduler name of pods that do not ask for another one.
const NAME: &str = "default-scheduler";
/// A pod that did not fit is looked at again when something leaves, and at the latest after this time.
const UNSCHEDULABLE_RECHECK: Duration = Duration::from_secs(60);

struct Context {
    client: Client,
    pods: Arc<Informer<Pod>>,
    nodes: Arc<Informer<Node>>,
}

pub fn spawn(
    tasks: &mut JoinSet<()>,
    client: &Client,
    pods: &Arc<Informer<Pod>>,
    nodes: &Arc<Informer<Node>>,
) {
    let queue: Arc<Queue<Key>> = Arc::new(Queue::new());
    let (on_pod, all) = (queue.clone(), Arc::downgrade(pods));
    pods.on_change(move |change| {
        if let Some(pod) = change.new.filter(|pod| waits(pod)) {
            on_pod.add(key_of(pod.as_ref()));
        }
        // Room was made: those that did not fit may fit now.
        let freed = change.old.is_some_and(|old| crate::pod::is_active(old))
            && change.new.is_none_or(|new| !crate::pod::is_active(new));
        if freed && let Some(pods) = all.upgrade() {
            pods.all()
                .iter()
                .filter(|pod| waits(pod))
                .for_each(|pod| on_pod.add(key_of(pod.as_ref())));
        }
    });
    let (on_node, all) = (queue.clone(), pods.clone());
    nodes.on_change(move |_| {
        all.all()
            .iter()
            .filter(|pod| waits(pod))
            .for_each(|pod| on_node.add(key_of(pod.as_ref())));
    });
    let context = Arc::new(Context {
        client: client.clone(),
        pods: pods.clone(),
        nodes: nodes.clone(),
    });
    worker::spawn(tasks, "scheduler", &queue, &context, reconcile);
}

/// Whether `pod` is ours to place.
fn waits(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    spec.node_name.as_deref().unwrap_or_default().is_empty()
        && spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME
        && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
        && crate::pod::is_active(pod)
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    if !(context.pods.synced() && context.nodes.synced()) {
        return Ok(Next::After(Duration::from_millis(20)));
    }
    let Some(pod) = context.pods.get(&key).filter(|pod| waits(pod)) else {
        return Ok(Next::Wait);
    };
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.0);
    match fit::decide(&pod, &context.nodes.all(), &context.pods.all()) {
        Decision::Bind(node) => bind(&context, &key, &pod, node).await,
        Decision::Unschedulable(message) => {
            report(&api, &pod, &message).await?;
            Ok(Next::After(UNSCHEDULABLE_RECHECK))
        }
    }
}

async fn bind(context: &Context, key: &Key, pod: &Pod, node: String) -> Result<Next, kube::Error> {
    let mut binding = Binding {
        target: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node),
            ..ObjectReference::default()
        },
        ..Binding::default()
    };
    binding.metadata.name = Some(key.1.clone());
    binding.metadata.namespace = Some(key.0.clone());
    binding.metadata.uid = pod.uid();
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.0);
    let bound: Result<serde_json::Value, _> = api
        .create_subresource("binding", &key.1, &PostParams::default(), &binding)
        .await;
    match bound {
        // Bound by a worker before us, or deleted: its next event tells.
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(Next::Wait),
        other => other.map(|_| Next::Wait),
    }
}

/// Says on the pod why it has no node.
async fn report(api: &Api<Pod>, pod: &Pod, message: &str) -> Result<(), kube::Error> {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|s| s.conditions.clone())
        .unwrap_or_default();
    let known = conditions
        .iter()
        .any(|c| c.type_ == "PodScheduled" && c.status == "False" && c.message.as_deref() == Some(message));
    if known {
        return Ok(());
    }
    let mut conditions: Vec<serde_json::Value> = conditions
        .iter()
        .filter(|c| c.type_ != "PodScheduled")
        .map(|c| json!(c))
        .collect();
    conditions.push(json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastTransitionTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }));
    let patch = json!({ "metadata": { "uid": pod.uid() }, "status": { "conditions": conditions } });
    match api
        .patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Err(error) if !is_not_found(&error) && !is_conflict(&error) => Err(error),
        _ => Ok(()),
    }
}
