//! Whether a pod fits a node.
//!
//! Memory requests and the number of pods add up; CPU requests do not: each pod's is only compared with the whole node.
//! On one machine CPU is shared by weight, and refusing the three-hundredth idle sidecar because 300 × 25m exceeds two
//! cores would help nobody (`docs/decisions/0003-scheduling-on-one-node.md`).

use std::collections::BTreeMap;
use std::sync::Arc;

use formats::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Node, NodeSelectorTerm, Pod, PodSpec, Taint, Toleration};
use kube::ResourceExt;

use super::affinity::{self, Surroundings};

/// Where a pod goes.
#[derive(Debug, PartialEq)]
pub enum Decision {
    Bind(String),
    /// The sentence that the pod's PodScheduled condition shows.
    Unschedulable(String),
}

/// Chooses the first node that `pod` fits.
pub fn decide(pod: &Pod, around: &Surroundings) -> Decision {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for node in around.nodes {
        let name = node.name_any();
        let there = around.pods.iter().filter(|other| {
            crate::pod::is_active(other)
                && other.spec.as_ref().and_then(|s| s.node_name.as_deref()) == Some(name.as_str())
        });
        match misfit(pod, node, there).or_else(|| affinity::misfit(pod, node, around).map(str::to_owned)) {
            None => return Decision::Bind(name),
            Some(reason) => *reasons.entry(reason).or_default() += 1,
        }
    }
    let detail: Vec<String> = reasons
        .into_iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let detail = if detail.is_empty() {
        "no nodes are registered".to_owned()
    } else {
        detail.join(", ")
    };
    Decision::Unschedulable(format!("0/{} nodes are available: {detail}.", around.nodes.len()))
}

/// Why `pod` cannot go on `node`; `None` if it can.
fn misfit<'a>(pod: &Pod, node: &Node, there: impl Iterator<Item = &'a Arc<Pod>>) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let node_spec = node.spec.as_ref();
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    if node_spec.and_then(|s| s.unschedulable) == Some(true)
        && !tolerations.iter().any(|t| tolerates(t, &cordon()))
    {
        return Some("node(s) were unschedulable".to_owned());
    }
    if is_short_of_disk(node) && !is_of_the_system(spec) {
        return Some("node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }".to_owned());
    }
    let taints = node_spec.and_then(|s| s.taints.as_deref()).unwrap_or_default();
    if let Some(taint) = taints.iter().find(|taint| {
        matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
            && !tolerations.iter().any(|t| tolerates(t, taint))
    }) {
        let value = taint.value.as_deref().unwrap_or_default();
        return Some(format!(
            "node(s) had untolerated taint {{{}: {value}}}",
            taint.key
        ));
    }
    let selector = spec.node_selector.iter().flatten();
    let affinity = spec
        .affinity
        .as_ref()
        .and_then(|a| a.node_affinity.as_ref())
        .and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    if !selector
        .into_iter()
        .all(|(key, value)| node.labels().get(key) == Some(value))
        || affinity.is_some_and(|a| !a.node_selector_terms.iter().any(|term| matches_term(term, node)))
    {
        return Some("node(s) didn't match Pod's node affinity/selector".to_owned());
    }

    let allocatable = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
    let room = |resource: &str| {
        allocatable
            .and_then(|a| a.get(resource))
            .and_then(|q| q.0.parse::<Quantity>().ok())
            .map(|q| q.milli())
    };
    let (mut count, mut memory) = (0_i128, 0_i128);
    for other in there {
        count += 1;
        memory += requests(other, "memory");
    }
    let wanted = [
        ("cpu", "Insufficient cpu", requests(pod, "cpu")),
        ("memory", "Insufficient memory", memory + requests(pod, "memory")),
        (
            "ephemeral-storage",
            "Insufficient ephemeral-storage",
            requests(pod, "ephemeral-storage"),
        ),
        ("pods", "Too many pods", (count + 1) * 1000),
    ];
    wanted
        .into_iter()
        .find(|(resource, _, amount)| room(resource).is_some_and(|room| *amount > room))
        .map(|(_, reason, _)| reason.to_owned())
}

/// What a node that is cordoned would be tainted with: pods of every node tolerate it.
fn cordon() -> Taint {
    Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    }
}

fn is_short_of_disk(node: &Node) -> bool {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|one| one.type_ == "DiskPressure" && one.status == "True")
}

fn is_of_the_system(spec: &PodSpec) -> bool {
    let class = spec.priority_class_name.as_deref();
    matches!(class, Some("system-cluster-critical" | "system-node-critical"))
}

/// What `pod` asks of `resource`, in thousandths: the sum over containers, or the largest init container if that is more.
fn requests(pod: &Pod, resource: &str) -> i128 {
    let Some(spec) = &pod.spec else { return 0 };
    let of = |container: &Container| {
        container
            .resources
            .as_ref()
            .and_then(|r| r.requests.as_ref())
            .and_then(|r| r.get(resource))
            .and_then(|q| q.0.parse::<Quantity>().ok())
            .map_or(0, |q| q.milli())
    };
    let running: i128 = spec.containers.iter().map(of).sum();
    let starting = spec.init_containers.iter().flatten().map(of).max().unwrap_or(0);
    running.max(starting)
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    (effect.is_empty() || effect == taint.effect)
        && (key == taint.key || (key.is_empty() && exists))
        && (exists
            || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default())
}

fn matches_term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let (Some(expressions), fields) = (&term.match_expressions, term.match_fields.as_ref()) else {
        return term.match_fields.is_some();
    };
    fields.is_none_or(|f| {
        f.iter().all(|field| {
            field
                .values
                .iter()
                .flatten()
                .any(|value| *value == node.name_any())
        })
    }) && expressions.iter().all(|e| {
        let value = node.labels().get(&e.key);
        let listed = |value: &String| e.values.iter().flatten().any(|v| v == value);
        let compare = |than: fn(&i64, &i64) -> bool| {
            let left = value.and_then(|v| v.parse::<i64>().ok());
            let right = e
                .values
                .iter()
                .flatten()
                .next()
                .and_then(|v| v.parse::<i64>().ok());
            left.zip(right).is_some_and(|(left, right)| than(&left, &right))
        };
        match e.operator.as_str() {
            "In" => value.is_some_and(listed),
            "NotIn" => !value.is_some_and(listed),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => compare(|a, b| a > b),
            "Lt" => compare(|a, b| a < b),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(extra: Value) -> Arc<Node> {
        let mut value = json!({
            "metadata": { "name": "n", "labels": { "disk": "ssd" } },
            "status": { "allocatable": { "cpu": "2", "memory": "4Gi", "pods": "3" } },
        });
        if let (Some(value), Some(extra)) = (value.as_object_mut(), extra.as_object()) {
            value.extend(extra.clone());
        }
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn pod(requests: Value, extra: Value) -> Arc<Pod> {
        let mut spec = json!({ "nodeName": "n", "containers": [{ "name": "c", "resources": { "requests": requests } }] });
        if let (Some(spec), Some(extra)) = (spec.as_object_mut(), extra.as_object()) {
            spec.extend(extra.clone());
        }
        Arc::new(serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": spec })).unwrap())
    }

    fn decide_among(pod: &Pod, nodes: &[Arc<Node>], pods: &[Arc<Pod>]) -> Decision {
        let around = Surroundings {
            nodes,
            pods,
            namespaces: &[],
        };
        decide(pod, &around)
    }

    #[test]
    fn a_node_without_room_on_its_disk_takes_pods_of_the_system_only() {
        for (pressure, class, expected) in [
            ("False", json!({}), true),
            ("True", json!({}), false),
            ("True", json!({"priorityClassName": "mine"}), false),
            ("True", json!({"priorityClassName": "system-node-critical"}), true),
        ] {
            let conditions = json!([{"type": "DiskPressure", "status": pressure}]);
            let node = node(json!({"status": {"conditions": conditions}}));
            let decision = decide_among(&pod(json!({}), class.clone()), &[node], &[]);
            match decision {
                Decision::Bind(_) => assert!(expected, "{pressure} {class}"),
                Decision::Unschedulable(why) => {
                    assert!(
                        !expected && why.contains("disk-pressure"),
                        "{pressure} {class}: {why}"
                    );
                }
            }
        }
    }

    #[test]
    fn decisions() {
        let plain = || node(json!({}));
        let idle = || pod(json!({ "cpu": "1900m", "memory": "1Gi" }), json!({}));
        let none = json!({});
        let cases = [
            (
                "empty node",
                pod(none.clone(), none.clone()),
                plain(),
                vec![],
                None,
            ),
            ("cpu is not summed", idle(), plain(), vec![idle(), idle()], None),
            (
                "cpu beyond the node",
                pod(json!({ "cpu": "3" }), none.clone()),
                plain(),
                vec![],
                Some("1 Insufficient cpu"),
            ),
            (
                "memory is summed",
                pod(json!({ "memory": "3Gi" }), none.clone()),
                plain(),
                vec![idle(), idle()],
                Some("1 Insufficient memory"),
            ),
            (
                "pods are counted",
                idle(),
                plain(),
                vec![
                    pod(none.clone(), none.clone()),
                    idle(),
                    pod(none.clone(), none.clone()),
                ],
                Some("1 Too many pods"),
            ),
            (
                "selector",
                pod(none.clone(), json!({ "nodeSelector": { "disk": "hdd" } })),
                plain(),
                vec![],
                Some("1 node(s) didn't match Pod's node affinity/selector"),
            ),
            (
                "cordoned",
                idle(),
                node(json!({ "spec": { "unschedulable": true } })),
                vec![],
                Some("1 node(s) were unschedulable"),
            ),
            (
                "cordoned, for pods of every node",
                pod(
                    none.clone(),
                    json!({ "tolerations": [{ "key": "node.kubernetes.io/unschedulable", "operator": "Exists" }] }),
                ),
                node(json!({ "spec": { "unschedulable": true } })),
                vec![],
                None,
            ),
            (
                "apart",
                pod(
                    none.clone(),
                    json!({ "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
                        { "labelSelector": {}, "topologyKey": "disk" },
                    ]}}}),
                ),
                plain(),
                vec![idle()],
                Some("1 node(s) didn't match pod anti-affinity rules"),
            ),
            (
                "taint",
                idle(),
                node(json!({ "spec": { "taints": [{ "key": "k", "value": "v", "effect": "NoSchedule" }] } })),
                vec![],
                Some("1 node(s) had untolerated taint {k: v}"),
            ),
            (
                "tolerated",
                pod(
                    none.clone(),
                    json!({ "tolerations": [{ "key": "k", "operator": "Exists" }] }),
                ),
                node(json!({ "spec": { "taints": [{ "key": "k", "value": "v", "effect": "NoSchedule" }] } })),
                vec![],
                None,
            ),
        ];
        for (name, pod, node, there, expected) in cases {
            let decision = decide_among(&pod, &[node], &there);
            match expected {
                None => assert_eq!(decision, Decision::Bind("n".into()), "{name}"),
                Some(reason) => assert_eq!(
                    decision,
                    Decision::Unschedulable(format!("0/1 nodes are available: {reason}.")),
                    "{name}"
                ),
            }
        }
        assert_eq!(
            decide_among(&idle(), &[], &[]),
            Decision::Unschedulable("0/0 nodes are available: no nodes are registered.".into())
        );
    }
}
