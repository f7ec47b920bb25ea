//! Binds pods to nodes. With one node the choice is between "it fits" and saying why it does not.
//!
//! Decisions are made one after another, each on what the ones before have decided: a pod that is bound is taken to be on
//! its node before the watch shows it there, or two pods that keep away from each other would both be let in.

mod affinity;
mod fit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster_events::{Recorder, Severity, reference};
use informer::{Cache, Key, Queue};
use k8s_openapi::api::core::v1::{Binding, Namespace, Node, ObjectReference, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use serde_json::json;

use crate::worker::{Next, Setup, is_conflict, is_not_found};
use affinity::Surroundings;
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
    namespaces: Cache<Namespace>,
    /// Pods that were looked at and have no node, and whether they have to go where others are.
    waiting: Mutex<BTreeMap<Key, bool>>,
    /// Pods that are given a node which the cache does not show yet.
    assumed: Mutex<BTreeMap<Key, Assumed>>,
}

struct Assumed {
    uid: Option<String>,
    node: String,
}

pub fn spawn(setup: &mut Setup) {
    let queue = Queue::new("scheduler");
    let context = Arc::new(Context {
        client: setup.client.clone(),
        events: setup.recorder(NAME),
        pods: setup.caches.cache(),
        nodes: setup.caches.cache(),
        namespaces: setup.caches.cache(),
        waiting: Mutex::default(),
        assumed: Mutex::default(),
    });
    let (on_pod, weak) = (queue.clone(), Arc::downgrade(&context));
    context.pods.on_change(move |change| {
        if let Some(pod) = change.new.as_ref().filter(|pod| waits(pod)) {
            on_pod.add(Key::of(pod.as_ref()));
        } else if let (Some(pod), Some(context)) = (change.latest(), weak.upgrade()) {
            // It is where the cache shows it now.
            let mut assumed = context.assumed.lock();
            if !assumed.is_empty() {
                assumed.remove(&Key::of(pod.as_ref()));
            }
        }
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        if let Some(context) = weak.upgrade() {
            context.wake(&on_pod, affected(old, new));
        }
    });
    let (on_node, weak) = (queue.clone(), Arc::downgrade(&context));
    context.nodes.on_change(move |_| {
        if let Some(context) = weak.upgrade() {
            context.wake(&on_node, Affected::All);
        }
    });
    let all = context.pods.clone();
    let everything = move || {
        let pods = all.list();
        pods.iter()
            .filter(|pod| waits(pod))
            .map(|pod| Key::of(pod.as_ref()))
            .collect()
    };
    setup.controller("scheduler", &queue, everything, &context, reconcile);
}

/// Which of the waiting pods a change of another pod may help.
#[derive(Debug, PartialEq)]
enum Affected {
    Nobody,
    /// Those that have to go where others are.
    Followers,
    All,
}

fn affected(old: Option<&Pod>, new: Option<&Pod>) -> Affected {
    let active = |pod: Option<&Pod>| pod.is_some_and(crate::pod::is_active);
    let (was, is) = (placed_labels(old), placed_labels(new));
    match (was, is) {
        // Room was made.
        _ if active(old) && !active(new) => Affected::All,
        (None, Some(_)) => Affected::Followers,
        _ if was != is => Affected::All,
        _ => Affected::Nobody,
    }
}

/// The labels of a pod that others look at.
fn placed_labels(pod: Option<&Pod>) -> Option<&Option<BTreeMap<String, String>>> {
    let placed = pod.filter(|pod| affinity::counts(pod))?;
    Some(&placed.metadata.labels)
}

impl Context {
    /// Has the waiting pods that are affected looked at again.
    fn wake(&self, queue: &Queue, affected: Affected) {
        if affected == Affected::Nobody {
            return;
        }
        let waiting = self.waiting.lock();
        let woken = waiting
            .iter()
            .filter(|(_, follows)| **follows || affected == Affected::All);
        woken.for_each(|(key, _)| queue.add(key.clone()));
    }

    fn is_assumed(&self, key: &Key, pod: &Pod) -> bool {
        let assumed = self.assumed.lock();
        assumed.get(key).is_some_and(|known| known.uid == pod.uid())
    }

    /// Where `pod` goes; with a node, it is taken to be there from now on.
    fn decide(&self, key: &Key, pod: &Pod) -> Decision {
        let mut assumed = self.assumed.lock();
        let mut pods = self.pods.list();
        for pod in &mut pods {
            if assumed.is_empty() {
                break;
            }
            if let Some(known) = assumed
                .get(&Key::of(pod.as_ref()))
                .filter(|known| known.uid == pod.uid())
            {
                let spec = Arc::make_mut(pod).spec.get_or_insert_default();
                spec.node_name = Some(known.node.clone());
            }
        }
        let decision = fit::decide(
            pod,
            &Surroundings {
                nodes: &self.nodes.list(),
                pods: &pods,
                namespaces: &self.namespaces.list(),
            },
        );
        if let Decision::Bind(node) = &decision {
            let (uid, node) = (pod.uid(), node.clone());
            assumed.insert(key.clone(), Assumed { uid, node });
        }
        decision
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
        context.waiting.lock().remove(&key);
        return Ok(Next::Wait);
    };
    if context.is_assumed(&key, &pod) {
        return Ok(Next::Wait);
    }
    // Before the decision: what happens meanwhile may change it.
    let follows = affinity::follows(&pod);
    context.waiting.lock().insert(key.clone(), follows);
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.namespace);
    match context.decide(&key, &pod) {
        Decision::Bind(node) => {
            let mut assumption = Assumption {
                context: &context,
                key: &key,
                holds: false,
            };
            assumption.holds = bind(&context, &key, &pod, node).await?;
            context.waiting.lock().remove(&key);
            Ok(Next::Wait)
        }
        Decision::Unschedulable(message) => {
            report(&context, &api, &pod, &message).await?;
            Ok(Next::After(UNSCHEDULABLE_RECHECK))
        }
    }
}

/// Takes an assumption back that did not come true, also when the attempt is given up in the middle.
struct Assumption<'a> {
    context: &'a Context,
    key: &'a Key,
    holds: bool,
}

impl Drop for Assumption<'_> {
    fn drop(&mut self) {
        if !self.holds {
            self.context.assumed.lock().remove(self.key);
        }
    }
}

/// Returns whether the pod has the node by this.
async fn bind(context: &Context, key: &Key, pod: &Pod, node: String) -> Result<bool, kube::Error> {
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
        // Bound before, or deleted: its next event tells.
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(false),
        Err(error) => Err(error),
        Ok(_) => {
            let message = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
            context
                .events
                .record(reference(pod), Severity::Normal, "Scheduled", message);
            Ok(true)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_wakes_those_whom_it_may_help() {
        let pod = |node: &str, phase: &str, label: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": { "labels": { "a": label } }, "spec": { "containers": [], "nodeName": node },
                "status": { "phase": phase },
            }))
            .unwrap()
        };
        let mut leaving = pod("n", "Running", "x");
        leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let (waiting, running) = (pod("", "Pending", "x"), pod("n", "Running", "x"));
        let (over, labelled) = (pod("n", "Failed", "x"), pod("n", "Running", "y"));
        for (old, new, expected) in [
            (None, Some(&waiting), Affected::Nobody),
            (Some(&waiting), Some(&running), Affected::Followers),
            (Some(&running), Some(&running), Affected::Nobody),
            (Some(&running), Some(&labelled), Affected::All),
            (Some(&running), Some(&leaving), Affected::All),
            (Some(&leaving), None, Affected::All),
            (Some(&running), Some(&over), Affected::All),
            (Some(&over), None, Affected::Nobody),
        ] {
            assert_eq!(affected(old, new), expected, "{old:?} {new:?}");
        }
    }
}
