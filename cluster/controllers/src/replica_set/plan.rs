//! Which pods a ReplicaSet creates and deletes.

use std::cmp::Reverse;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt};

use crate::pod::ready_since;
use crate::template;

/// What to do about the number of pods.
#[derive(Debug, PartialEq)]
pub enum Plan {
    Keep,
    Create(usize),
    Delete(Vec<Arc<Pod>>),
}

/// Compares `wanted` with the `active` pods.
pub fn plan(wanted: usize, active: &[Arc<Pod>]) -> Plan {
    let have = active.len();
    if have < wanted {
        return Plan::Create(wanted - have);
    }
    let surplus = have - wanted;
    if surplus == 0 {
        return Plan::Keep;
    }
    let mut ranked = active.to_vec();
    ranked.sort_by_cached_key(|pod| deletion_rank(pod));
    ranked.truncate(surplus);
    Plan::Delete(ranked)
}

/// Pods with the lowest rank go first, in the order that Kubernetes documents for ReplicaSets: unscheduled, pending,
/// not ready, cheapest by `controller.kubernetes.io/pod-deletion-cost`, most recently ready, most restarts, youngest.
fn deletion_rank(pod: &Pod) -> impl Ord + use<> {
    let status = pod.status.as_ref();
    let phase = match status.and_then(|s| s.phase.as_deref()) {
        Some("Running") => 2,
        Some("Unknown") => 1,
        _ => 0,
    };
    let cost = pod
        .annotations()
        .get("controller.kubernetes.io/pod-deletion-cost")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let restarts = status
        .and_then(|s| s.container_statuses.as_ref())
        .and_then(|all| all.iter().map(|c| c.restart_count).max())
        .unwrap_or(0);
    (
        pod.spec.as_ref().is_some_and(|s| s.node_name.is_some()),
        phase,
        ready_since(pod).is_some(),
        cost,
        Reverse(ready_since(pod)),
        Reverse(restarts),
        Reverse(pod.creation_timestamp().map(|t| t.0)),
        pod.name_any(),
    )
}

/// The pod that `set` wants one more of; `None` for a set without template.
pub fn pod_from(set: &ReplicaSet) -> Option<Pod> {
    let owner = set.controller_owner_ref(&())?;
    let mut pod = template::pod_from(set.spec.template.as_ref()?, owner);
    // The API server appends five characters; 58 leaves room for them.
    let prefix: String = set.name_any().chars().take(57).collect();
    pod.metadata.generate_name = Some(format!("{prefix}-"));
    Some(pod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, node: bool, phase: &str, ready: Option<&str>, cost: Option<&str>) -> Arc<Pod> {
        let mut value = json!({
            "metadata": { "name": name, "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "containers": [] },
            "status": { "phase": phase },
        });
        if node {
            value["spec"]["nodeName"] = json!("n");
        }
        if let Some(at) = ready {
            value["status"]["conditions"] =
                json!([{ "type": "Ready", "status": "True", "lastTransitionTime": at }]);
        }
        if let Some(cost) = cost {
            value["metadata"]["annotations"] = json!({ "controller.kubernetes.io/pod-deletion-cost": cost });
        }
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn counts_unseen_pods_as_existing() {
        let running = [pod("a", true, "Running", None, None)];
        assert_eq!(plan(3, &running), Plan::Create(2));
        assert_eq!(plan(1, &running), Plan::Keep);
    }

    #[test]
    fn deletes_the_least_useful_pods_first() {
        let pods = [
            pod("old-ready", true, "Running", Some("2026-01-01T00:00:01Z"), None),
            pod("new-ready", true, "Running", Some("2026-01-01T00:00:09Z"), None),
            pod(
                "costly",
                true,
                "Running",
                Some("2026-01-01T00:00:09Z"),
                Some("10"),
            ),
            pod("starting", true, "Running", None, None),
            pod("pending", true, "Pending", None, None),
            pod("unscheduled", false, "Pending", None, None),
        ];
        let Plan::Delete(victims) = plan(0, &pods) else {
            panic!("expected deletions")
        };
        let names: Vec<String> = victims.iter().map(|p| p.name_any()).collect();
        assert_eq!(
            names,
            [
                "unscheduled",
                "pending",
                "starting",
                "new-ready",
                "old-ready",
                "costly"
            ]
        );
    }
}
