//! Which pods a pod must and must not be placed with: the required halves of `podAffinity` and `podAntiAffinity`.
//!
//! Preferences choose between nodes that fit, and there is one node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod, PodAffinityTerm};
use kube::ResourceExt;
use kube::core::{Expression, Selector, SelectorExt};

/// What decisions about one pod look at.
pub struct Surroundings<'a> {
    pub nodes: &'a [Arc<Node>],
    /// All pods of the cluster.
    pub pods: &'a [Arc<Pod>],
    pub namespaces: &'a [Arc<Namespace>],
}

/// Whether `pod` has to go where others are.
pub fn follows(pod: &Pod) -> bool {
    !together(pod).is_empty()
}

/// Whether others look at `pod`: it has a node, and is not over. One that terminates still runs there.
pub fn counts(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    node_of(pod).is_some() && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Why `pod` cannot go on `node`, in upstream's words; `None` if it can.
pub fn misfit(pod: &Pod, node: &Node, around: &Surroundings) -> Option<&'static str> {
    let placed = || {
        around
            .pods
            .iter()
            .map(AsRef::as_ref)
            .filter(|pod: &&Pod| counts(pod))
    };
    let there = |other: &Pod, key: &str| same_place(node, other, key, around.nodes);

    // The group is the pods that match all terms, and each term has to find one of them where the node is.
    let terms = rules(pod, together(pod), around);
    let mut group = placed()
        .filter(|other| terms.iter().all(|term| term.matches(other)))
        .peekable();
    if !terms.is_empty() {
        // The first pod of a group that it belongs to itself has nobody to go to.
        let first = group.peek().is_none() && terms.iter().all(|term| term.matches(pod));
        let group: Vec<&Pod> = group.collect();
        let is_found = |term: &Rule| {
            node.labels().contains_key(term.key)
                && (first || group.iter().any(|other| there(other, term.key)))
        };
        if !terms.iter().all(is_found) {
            return Some("node(s) didn't match pod affinity rules");
        }
    }
    let terms = rules(pod, apart(pod), around);
    let disturbs = |other: &Pod| {
        terms
            .iter()
            .any(|term| term.matches(other) && there(other, term.key))
    };
    if !terms.is_empty() && placed().any(disturbs) {
        return Some("node(s) didn't match pod anti-affinity rules");
    }
    let is_disturbed = |other: &Pod| {
        let terms = rules(other, apart(other), around);
        terms
            .iter()
            .any(|term| term.matches(pod) && there(other, term.key))
    };
    placed()
        .any(is_disturbed)
        .then_some("node(s) didn't satisfy existing pods anti-affinity rules")
}

/// A term as the pod that has it means it.
struct Rule<'a> {
    /// The label that tells places apart.
    key: &'a str,
    selector: Selector,
    /// `None` for all namespaces.
    namespaces: Option<Vec<String>>,
}

impl Rule<'_> {
    fn matches(&self, pod: &Pod) -> bool {
        let namespace = pod.namespace().unwrap_or_default();
        self.namespaces
            .as_ref()
            .is_none_or(|all| all.contains(&namespace))
            && self.selector.matches(pod.labels())
    }
}

/// The `terms` of `pod`. One that selects nothing stays: a pod that has to go to nobody goes nowhere.
fn rules<'a>(pod: &Pod, terms: &'a [PodAffinityTerm], around: &Surroundings) -> Vec<Rule<'a>> {
    let rule = |term: &'a PodAffinityTerm| Rule {
        key: &term.topology_key,
        selector: selector(pod, term),
        namespaces: namespaces(pod, term, around.namespaces),
    };
    terms.iter().map(rule).collect()
}

fn selector(pod: &Pod, term: &PodAffinityTerm) -> Selector {
    // Without a selector nothing is selected, which is what a value out of none says.
    let nothing = || Selector::from(Expression::In(String::new(), Default::default()));
    let Some(selector) = &term.label_selector else {
        return nothing();
    };
    let Ok(mut selector) = Selector::try_from(selector.clone()) else {
        return nothing();
    };
    let value = |key: &String| Some((key.clone(), [pod.labels().get(key)?.clone()].into()));
    let matching = term.match_label_keys.iter().flatten().filter_map(value);
    selector.extend(matching.map(|(key, values)| Expression::In(key, values)));
    let differing = term.mismatch_label_keys.iter().flatten().filter_map(value);
    selector.extend(differing.map(|(key, values)| Expression::NotIn(key, values)));
    selector
}

fn namespaces(pod: &Pod, term: &PodAffinityTerm, known: &[Arc<Namespace>]) -> Option<Vec<String>> {
    let mut all = term.namespaces.clone().unwrap_or_default();
    match term.namespace_selector.clone().map(Selector::try_from) {
        None if all.is_empty() => all.push(pod.namespace().unwrap_or_default()),
        None | Some(Err(_)) => {}
        Some(Ok(selector)) if selector.selects_all() => return None,
        Some(Ok(selector)) => {
            let selected = known
                .iter()
                .filter(|namespace| selector.matches(namespace.labels()));
            all.extend(selected.map(|namespace| namespace.name_any()));
        }
    }
    Some(all)
}

/// Whether `pod` is on a node that has the same value of the label `key` as `node`.
fn same_place(node: &Node, pod: &Pod, key: &str, nodes: &[Arc<Node>]) -> bool {
    let its = nodes
        .iter()
        .find(|node| node.metadata.name.as_deref() == node_of(pod));
    let value = node.labels().get(key);
    value.is_some() && its.and_then(|its| its.labels().get(key)) == value
}

fn node_of(pod: &Pod) -> Option<&str> {
    let node = pod.spec.as_ref()?.node_name.as_deref();
    node.filter(|name| !name.is_empty())
}

fn together(pod: &Pod) -> &[PodAffinityTerm] {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    affinity
        .and_then(|affinity| affinity.pod_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_deref()
        })
        .unwrap_or_default()
}

fn apart(pod: &Pod) -> &[PodAffinityTerm] {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    affinity
        .and_then(|affinity| affinity.pod_anti_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_deref()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HOST: &str = "kubernetes.io/hostname";
    const TOGETHER: &str = "node(s) didn't match pod affinity rules";
    const APART: &str = "node(s) didn't match pod anti-affinity rules";
    const DISTURBED: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

    fn object<K: serde::de::DeserializeOwned>(value: Value) -> Arc<K> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    /// A pod of `app` on the node `on`, if that is not empty.
    fn pod(app: &str, on: &str, affinity: Value) -> Arc<Pod> {
        object(json!({
            "metadata": { "name": app, "namespace": "default", "labels": { "app": app, "tier": "x" } },
            "spec": { "containers": [], "nodeName": on, "affinity": affinity },
        }))
    }

    fn term(app: &str, key: &str) -> Value {
        json!({ "labelSelector": { "matchLabels": { "app": app } }, "topologyKey": key })
    }

    fn with(kind: &str, terms: Value) -> Value {
        json!({ kind: { "requiredDuringSchedulingIgnoredDuringExecution": terms } })
    }

    fn check(name: &str, pod: &Pod, pods: &[Arc<Pod>], expected: Option<&str>) {
        let nodes = [
            object::<Node>(json!({ "metadata": { "name": "n", "labels": { HOST: "n", "zone": "z" } } })),
            object::<Node>(json!({ "metadata": { "name": "m", "labels": { HOST: "m", "zone": "z" } } })),
        ];
        let namespaces = [
            object::<Namespace>(json!({ "metadata": { "name": "default" } })),
            object::<Namespace>(json!({ "metadata": { "name": "team", "labels": { "team": "a" } } })),
        ];
        let around = Surroundings {
            nodes: &nodes,
            pods,
            namespaces: &namespaces,
        };
        assert_eq!(misfit(pod, &nodes[0], &around), expected, "{name}");
    }

    #[test]
    fn pods_go_to_those_they_belong_to() {
        let to = |terms: Value| pod("a", "", with("podAffinity", terms));
        let (here, there) = (pod("b", "n", json!({})), pod("b", "m", json!({})));
        let mut over = (*here).clone();
        over.status = serde_json::from_value(json!({ "phase": "Succeeded" })).unwrap();
        let mut leaving = (*here).clone();
        leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let (over, leaving) = (Arc::new(over), Arc::new(leaving));
        let of_b = json!([term("b", HOST)]);
        let table = [
            ("no rule", pod("a", "", json!({})), vec![], None),
            ("nobody is there", to(of_b.clone()), vec![], Some(TOGETHER)),
            ("one is there", to(of_b.clone()), vec![here.clone()], None),
            (
                "one is elsewhere",
                to(of_b.clone()),
                vec![there.clone()],
                Some(TOGETHER),
            ),
            (
                "elsewhere in the same zone",
                to(json!([term("b", "zone")])),
                vec![there.clone()],
                None,
            ),
            (
                "one waits itself",
                to(of_b.clone()),
                vec![pod("b", "", json!({}))],
                Some(TOGETHER),
            ),
            ("one is over", to(of_b.clone()), vec![over], Some(TOGETHER)),
            ("one terminates, and runs", to(of_b.clone()), vec![leaving], None),
            (
                "a label that the node lacks",
                to(json!([term("b", "rack")])),
                vec![here.clone()],
                Some(TOGETHER),
            ),
            (
                "the first of its group",
                to(json!([term("a", HOST)])),
                vec![],
                None,
            ),
            (
                "the first, where the label is missing",
                to(json!([term("a", "rack")])),
                vec![],
                Some(TOGETHER),
            ),
            (
                "the second of its group goes to the first",
                to(json!([term("a", HOST)])),
                vec![pod("a", "m", json!({}))],
                Some(TOGETHER),
            ),
            (
                "each term alone finds one, but none matches both",
                to(json!([term("b", HOST), term("c", HOST)])),
                vec![here.clone(), pod("c", "n", json!({}))],
                Some(TOGETHER),
            ),
            (
                "no selector selects nobody",
                to(json!([{ "topologyKey": HOST }])),
                vec![here.clone()],
                Some(TOGETHER),
            ),
            (
                "an empty selector selects everybody",
                to(json!([{ "labelSelector": {}, "topologyKey": HOST }])),
                vec![here.clone()],
                None,
            ),
        ];
        for (name, pod, pods, expected) in table {
            check(name, &pod, &pods, expected);
        }
    }

    #[test]
    fn pods_keep_away_from_those_they_disturb() {
        let from = |terms: Value| with("podAntiAffinity", terms);
        let here = pod("b", "n", json!({}));
        let table = [
            (
                "nobody is there",
                pod("a", "", from(json!([term("b", HOST)]))),
                vec![],
                None,
            ),
            (
                "one is there",
                pod("a", "", from(json!([term("b", HOST)]))),
                vec![here.clone()],
                Some(APART),
            ),
            (
                "one is elsewhere",
                pod("a", "", from(json!([term("b", HOST)]))),
                vec![pod("b", "m", json!({}))],
                None,
            ),
            (
                "a label that no node has",
                pod("a", "", from(json!([term("b", "rack")]))),
                vec![here.clone()],
                None,
            ),
            (
                "one that is there keeps away from it",
                pod("a", "", json!({})),
                vec![pod("b", "n", from(json!([term("a", HOST)])))],
                Some(DISTURBED),
            ),
            (
                "one that is there keeps away from others",
                pod("a", "", json!({})),
                vec![pod("b", "n", from(json!([term("c", HOST)])))],
                None,
            ),
            (
                "replicas that keep away from each other",
                pod("a", "", from(json!([term("a", HOST)]))),
                vec![pod("a", "n", from(json!([term("a", HOST)])))],
                Some(APART),
            ),
        ];
        for (name, pod, pods, expected) in table {
            check(name, &pod, &pods, expected);
        }
    }

    #[test]
    fn terms_say_which_namespaces_and_labels() {
        let to = |more: Value| {
            let mut term = term("b", HOST);
            for (key, value) in more.as_object().unwrap() {
                term[key] = value.clone();
            }
            pod("a", "", with("podAffinity", json!([term])))
        };
        let in_team = |tier: &str| {
            let mut pod = (*pod("b", "n", json!({}))).clone();
            pod.metadata.namespace = Some("team".into());
            pod.labels_mut().insert("tier".into(), tier.into());
            Arc::new(pod)
        };
        let table = [
            ("its own", json!({}), Some(TOGETHER)),
            ("named", json!({ "namespaces": ["team"] }), None),
            ("others", json!({ "namespaces": ["other"] }), Some(TOGETHER)),
            (
                "selected",
                json!({ "namespaceSelector": { "matchLabels": { "team": "a" } } }),
                None,
            ),
            (
                "not selected",
                json!({ "namespaceSelector": { "matchLabels": { "team": "b" } } }),
                Some(TOGETHER),
            ),
            ("all", json!({ "namespaceSelector": {} }), None),
            (
                "the same tier",
                json!({ "namespaceSelector": {}, "matchLabelKeys": ["tier"] }),
                None,
            ),
            (
                "another tier",
                json!({ "namespaceSelector": {}, "mismatchLabelKeys": ["tier"] }),
                Some(TOGETHER),
            ),
            (
                "a label that it lacks",
                json!({ "namespaceSelector": {}, "matchLabelKeys": ["none"] }),
                None,
            ),
        ];
        for (name, more, expected) in table {
            check(name, &to(more), &[in_team("x")], expected);
        }
    }
}
