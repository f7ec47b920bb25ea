use std::collections::BTreeSet;

use crate::kind::{builtin, by_kind, by_resource, groups};

#[test]
fn each_resource_appears_once() {
    let mut seen = BTreeSet::new();
    for kind in builtin() {
        assert!(
            seen.insert((kind.group, kind.version, kind.plural)),
            "{kind:?} appears twice"
        );
        assert_eq!(by_resource(kind.group, kind.version, kind.plural), Some(kind));
        assert_eq!(by_kind(&kind.api_version(), kind.kind), Some(kind));
    }
}

#[test]
fn short_names_are_unique_within_a_group_version() {
    let mut seen = BTreeSet::new();
    for kind in builtin() {
        for short in kind.short_names {
            assert!(
                seen.insert((kind.group, kind.version, *short)),
                "{short} is used twice"
            );
        }
    }
}

#[test]
fn verbs_and_subresources_are_sorted() {
    for kind in builtin() {
        assert!(kind.verbs.is_sorted(), "{}", kind.plural);
        assert!(
            kind.subresources.is_sorted_by_key(|sub| sub.name),
            "{}",
            kind.plural
        );
        for sub in kind.subresources {
            assert!(sub.verbs.is_sorted(), "{}/{}", kind.plural, sub.name);
        }
    }
}

#[test]
fn get_all_expands_to_the_kinds_of_kubectl() {
    let all: Vec<_> = builtin()
        .iter()
        .filter(|kind| kind.preferred && kind.categories.contains(&"all"))
        .map(|kind| kind.plural)
        .collect();
    let expected = [
        "pods",
        "replicationcontrollers",
        "services",
        "daemonsets",
        "deployments",
        "replicasets",
        "statefulsets",
        "cronjobs",
        "jobs",
        "horizontalpodautoscalers",
    ];
    assert_eq!(all, expected);
}

#[test]
fn the_preferred_version_comes_first() {
    let autoscaling = groups()
        .into_iter()
        .find(|group| group.name == "autoscaling")
        .unwrap();
    assert_eq!(autoscaling.versions, ["v2", "v1"]);
}

#[test]
fn views_of_the_same_objects_are_stored_once() {
    let event = by_resource("events.k8s.io", "v1", "events").unwrap();
    assert_eq!(event.storage(), by_resource("", "v1", "events").unwrap());
    let hpa = by_resource("autoscaling", "v1", "horizontalpodautoscalers").unwrap();
    assert_eq!(hpa.storage().version, "v2");
    let pod = by_resource("", "v1", "pods").unwrap();
    assert_eq!(pod.storage(), pod);
}

#[test]
fn workloads_answer_scale_with_an_autoscaling_scale() {
    for plural in ["deployments", "replicasets", "statefulsets"] {
        let scale = by_resource("apps", "v1", plural)
            .unwrap()
            .subresource("scale")
            .unwrap();
        assert_eq!(
            (scale.api_version().as_str(), scale.kind),
            ("autoscaling/v1", "Scale")
        );
    }
    assert!(
        by_resource("apps", "v1", "daemonsets")
            .unwrap()
            .subresource("scale")
            .is_none()
    );
}
