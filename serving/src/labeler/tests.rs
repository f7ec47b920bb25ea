use crds::serving::{ConfigurationStatus, RouteStatus};

use super::*;
use crate::test_support::{configuration, latest, map, revision, route, to_revision};

#[test]
fn flowing_and_wanted_revisions_and_the_one_to_come_are_targets() {
    let mut configuration = configuration("svc", 3);
    configuration.status = Some(ConfigurationStatus {
        latest_created_revision_name: Some("svc-00003".to_owned()),
        ..ConfigurationStatus::default()
    });
    let revisions = ["svc-00001", "svc-00002"].map(|name| revision(&configuration, name, 1, None));
    let mut route = route(
        "svc",
        vec![crds::serving::TrafficTarget {
            configuration_name: Some("svc".into()),
            ..latest(100)
        }],
    );
    route.status = Some(RouteStatus {
        traffic: vec![to_revision("svc-00001", 100)],
        ..RouteStatus::default()
    });
    let found = targets::targets(
        &route,
        |name| {
            revisions
                .iter()
                .find(|revision| revision.metadata.name.as_deref() == Some(name))
                .cloned()
        },
        |name| (name == "svc").then(|| Arc::new(configuration.clone())),
    );
    assert_eq!(
        found.revisions,
        ["svc-00001", "svc-00003"].map(str::to_owned).into()
    );
    assert_eq!(found.configurations, ["svc"].map(str::to_owned).into());
}

#[test]
fn marks_are_changed_only_where_they_differ() {
    let (a, b) = (route("a", vec![]), route("b", vec![]));
    let mut object = (*revision(&configuration("svc", 1), "svc-00001", 1, None)).clone();
    assert_eq!(
        marked(&a, &object).unwrap()["metadata"]["annotations"][annotations::ROUTES],
        json!("a")
    );
    object.metadata.annotations = Some(map([(annotations::ROUTES, "a")]));
    assert_eq!(marked(&a, &object), None);
    assert_eq!(
        marked(&b, &object).unwrap()["metadata"]["annotations"][annotations::ROUTES],
        json!("a,b")
    );
    assert_eq!(unmarked(&b, &object), None);
    assert_eq!(
        unmarked(&a, &object).unwrap()["metadata"]["annotations"][annotations::ROUTES],
        Value::Null
    );
}

#[test]
fn merge_keeps_both_sides() {
    let merged = merge(json!({"a": {"b": 1}}), &json!({"a": {"c": 2}, "d": 3}));
    assert_eq!(merged, json!({"a": {"b": 1, "c": 2}, "d": 3}));
}
