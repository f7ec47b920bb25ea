//! Binds pods to nodes. With one node the choice is between "it fits" and saying why it does not.

mod fit;

use std::sync::Arc;
use std::time::Duration;

use cluster_events::{Recorder, Severity, reference};
use informer::{Cache, Key, Queue};
use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::worker::{Next, Setup, is_conflict, is_not_found};
use fit::Decision;

/// The scheduler name of pods that do not ask for another one.
const NAME: &str = "default-scheduler";
/// A pod that did not fit is looked at again when something leaves, and at the latest after this time.
const UNSCHEDULABLE_RECHECK: Duration = Duration::from_secs(60);

struct Context {
    client: Client,
    events: Recorder,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
}

pub fn spawn(setup: &mut Setup) {
    let queue = Queue::new("scheduler");
    let context = Arc::new(Context {
        client: setup.client.clone(),
        events: setup.recorder(NAME),
        pods: setup.caches.cache(),
        nodes: setup.caches.cache(),
    });
    let (on_pod, waiting) = (queue.clone(), Arc::downgrade(&context));
    context.pods.on_change(move |change| {
        if let Some(pod) = change.new.as_ref().filter(|pod| waits(pod)) {
            on_pod.add(Key::of(pod.as_ref()));
        }
        // Room was made: those that did not fit may fit now.
        let active = |pod: &Arc<Pod>| crate::pod::is_active(pod);
        let freed = change.old.as_ref().is_some_and(active) && !change.new.as_ref().is_some_and(active);
        if freed && let Some(context) = waiting.upgrade() {
            context.waiting().into_iter().for_each(|key| on_pod.add(key));
        }
    });
    let (on_node, waiting) = (queue.clone(), Arc::downgrade(&context));
    context.nodes.on_change(move |_| {
        if let Some(context) = waiting.upgrade() {
            context.waiting().into_iter().for_each(|key| on_node.add(key));
        }
    });
    let all = context.clone();
    setup.controller("scheduler", &queue, move || all.waiting(), &context, reconcile);
}

impl Context {
    /// The pods that have no node yet.
    fn waiting(&self) -> Vec<Key> {
        let pods = self.pods.list();
        pods.iter()
            .filter(|pod| waits(pod))
            .map(|pod| Key::of(pod.as_ref()))
            .collect()
    }
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
    let Some(pod) = context.pods.get(&key).filter(|pod| waits(pod)) else {
        return Ok(Next::Wait);
    };
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.namespace);
    match fit::decide(&pod, &context.nodes.list(), &context.pods.list()) {
        Decision::Bind(node) => bind(&context, &key, &pod, node).await,
        Decision::Unschedulable(message) => {
            report(&context, &api, &pod, &message).await?;
            Ok(Next::After(UNSCHEDULABLE_RECHECK))
        }
    }
}

async fn bind(context: &Context, key: &Key, pod: &Pod, node: String) -> Result<Next, kube::Error> {
    let mut binding = Binding {
        target: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.clone()),
            ..ObjectReference::default()
        },
        ..Binding::default()
    };
    binding.metadata.name = Some(key.name.clone());
    binding.metadata.namespace = Some(key.namespace.clone());
    binding.metadata.uid = pod.uid();
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.namespace);
    let bound: Result<serde_json::Value, _> = api
        .create_subresource("binding", &key.name, &PostParams::default(), &binding)
        .await;
    match bound {
        // Bound by a worker before us, or deleted: its next event tells.
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(Next::Wait),
        Err(error) => Err(error),
        Ok(_) => {
            let message = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
            context
                .events
                .record(reference(pod), Severity::Normal, "Scheduled", message);
            Ok(Next::Wait)
        }
    }
}

/// Says on the pod why it has no node.
async fn report(context: &Context, api: &Api<Pod>, pod: &Pod, message: &str) -> Result<(), kube::Error> {
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
    context
        .events
        .record(reference(pod), Severity::Warning, "FailedScheduling", message);
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
