use crds::conditions::{ConditionStatus, ConditionedStatus, READY};
use crds::serving::{
    Configuration, ConfigurationStatus, Route, RouteStatus, Service, ServiceStatus, TrafficTarget,
};
use crds::{annotations, labels};

use super::status::{Child, Observed, service_status};
use super::*;
use crate::test_support::{
    at, configuration, latest, map, ready, route, service, to_revision, with_ready_configuration,
};
use ConditionStatus::{False, True, Unknown};

fn condition<'a>(status: &'a ServiceStatus, type_: &str) -> (ConditionStatus, &'a str) {
    let found = status.condition(type_).unwrap();
    (found.status, found.reason.as_deref().unwrap_or_default())
}

fn ready_route(traffic: Vec<TrafficTarget>, flowing: Vec<TrafficTarget>) -> Route {
    let mut route = route("svc", traffic);
    route.status = Some(RouteStatus {
        observed_generation: Some(1),
        conditions: vec![ready(True, "", "")],
        url: Some("http://svc.default.example.com".to_owned()),
        traffic: flowing,
        ..RouteStatus::default()
    });
    route
}

fn status_of(service: &Service, configuration: Child<Configuration>, route: Child<Route>) -> ServiceStatus {
    service_status(
        service,
        &Observed {
            configuration,
            route,
            taken_revision: None,
        },
        at(10),
    )
}

fn to_configuration(percent: i64) -> TrafficTarget {
    TrafficTarget {
        configuration_name: Some("svc".to_owned()),
        ..latest(percent)
    }
}

#[test]
fn children_get_the_right_labels_and_annotations() {
    let mut service = service("svc");
    service.metadata.labels = Some(map([("team", "blue"), (labels::VISIBILITY, "cluster-local")]));
    service.metadata.annotations = Some(map([
        (annotations::KUBECTL_LAST_APPLIED, "{}"),
        (annotations::ROLLOUT_DURATION, "10s"),
        ("serving.knative.dev/rolloutDuration", "10s"),
        (annotations::CREATOR, "me"),
    ]));
    let mut live = configuration("svc", 1);
    live.metadata.annotations = Some(map([(annotations::ROUTES, "zebra,other")]));

    let configuration = desired::configuration(&service, Some(&live));
    assert_eq!(
        configuration.metadata.labels.unwrap(),
        map([
            ("team", "blue"),
            (labels::VISIBILITY, "cluster-local"),
            (labels::SERVICE, "svc"),
            (labels::SERVICE_UID, "uid-svc"),
        ])
    );
    assert_eq!(
        configuration.metadata.annotations.unwrap(),
        map([
            (annotations::CREATOR, "me"),
            (annotations::ROUTES, "other,svc,zebra")
        ])
    );
    assert_eq!(configuration.spec.template, service.spec.template);

    let route = desired::route(&service);
    let labels = route.metadata.labels.unwrap();
    assert_eq!(
        (
            labels.get(labels::SERVICE).unwrap().as_str(),
            labels.get(labels::SERVICE_UID)
        ),
        ("svc", None)
    );
    let kept = route.metadata.annotations.unwrap();
    assert!(
        kept.contains_key(annotations::ROLLOUT_DURATION)
            && !kept.contains_key(annotations::KUBECTL_LAST_APPLIED)
    );
}

#[test]
fn traffic_without_a_revision_follows_the_configuration() {
    let mut service = service("svc");
    service.spec.traffic = vec![latest(60), to_revision("svc-00001", 40)];
    assert_eq!(
        desired::route(&service).spec.traffic,
        vec![to_configuration(60), to_revision("svc-00001", 40)]
    );
}

#[test]
fn service_is_ready_when_both_children_are_and_traffic_has_migrated() {
    let service = service("svc");
    let configuration = || {
        Child::Current(Arc::new(with_ready_configuration(
            configuration("svc", 1),
            "svc-00001",
        )))
    };
    let migrated = ready_route(vec![to_configuration(100)], vec![to_revision("svc-00001", 100)]);
    let status = status_of(&service, configuration(), Child::Current(Arc::new(migrated)));
    assert_eq!(condition(&status, READY), (True, ""));
    assert_eq!(status.url.as_deref(), Some("http://svc.default.example.com"));
    assert_eq!(status.latest_ready_revision_name.as_deref(), Some("svc-00001"));
    assert_eq!(status.observed_generation, Some(1));

    let behind = ready_route(vec![to_configuration(100)], vec![to_revision("svc-00000", 100)]);
    let status = status_of(&service, configuration(), Child::Current(Arc::new(behind)));
    assert_eq!(condition(&status, "RoutesReady"), (Unknown, "TrafficNotMigrated"));
}

#[test]
fn state_of_children_decides_conditions() {
    let service = service("svc");
    let current = |configuration: Configuration| Child::Current(Arc::new(configuration));
    let mut failing = configuration("svc", 1);
    failing.status = Some(ConfigurationStatus {
        observed_generation: Some(1),
        conditions: vec![ready(
            False,
            "RevisionFailed",
            "Revision \"svc-00001\" failed with message: m.",
        )],
        ..ConfigurationStatus::default()
    });
    let table = [
        (
            "not looked at yet",
            Child::Waiting,
            "ConfigurationsReady",
            (Unknown, ""),
        ),
        (
            "owned by another",
            Child::NotOwned,
            "ConfigurationsReady",
            (False, "NotOwned"),
        ),
        (
            "not observed",
            current(configuration("svc", 2)),
            "ConfigurationsReady",
            (Unknown, "OutOfDate"),
        ),
        ("failing", current(failing), READY, (False, "RevisionFailed")),
    ];
    for (case, configuration, type_, expected) in table {
        assert_eq!(
            condition(&status_of(&service, configuration, Child::Waiting), type_),
            expected,
            "{case}"
        );
    }
    let unobserved = Child::Current(Arc::new(route("svc", vec![to_configuration(100)])));
    let status = status_of(&service, Child::Waiting, unobserved);
    assert_eq!(condition(&status, "RoutesReady"), (Unknown, "OutOfDate"));
    let status = status_of(&service, Child::Waiting, Child::NotOwned);
    assert_eq!(condition(&status, "RoutesReady"), (False, "NotOwned"));
    assert_eq!(
        status.condition(READY).unwrap().message.as_deref(),
        Some("There is an existing Route \"svc\" that we do not own.")
    );
}

#[test]
fn taken_revision_name_is_told_with_the_name() {
    let observed = Observed {
        configuration: Child::Waiting,
        route: Child::Waiting,
        taken_revision: Some("svc-a".to_owned()),
    };
    let status = service_status(&service("svc"), &observed, at(10));
    assert_eq!(
        status.condition("RoutesReady").unwrap().message.as_deref(),
        Some(
            "The revision name \"svc-a\" is taken by a conflicting Revision, so traffic will not be migrated"
        )
    );
}
