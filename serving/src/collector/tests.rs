use std::sync::Arc;
use std::time::Duration;

use crds::config::Gc;
use crds::serving::Revision;
use crds::{annotations, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::select::{Selected, select};
use crate::shared::rfc3339;
use crate::test_support::{at, configuration, map, revision, with_ready_configuration};

/// A revision in reserve, created and last routed to at these seconds.
fn idle(name: &str, created: i64, active: i64) -> Arc<Revision> {
    let mut revision = (*revision(&configuration("svc", 1), name, 1, None)).clone();
    revision.metadata.creation_timestamp = Some(Time(at(created)));
    revision.metadata.labels = Some(map([(labels::ROUTING_STATE, labels::ROUTING_STATE_RESERVE)]));
    revision.metadata.annotations = Some(map([(annotations::ROUTING_STATE_MODIFIED, &rfc3339(at(active)))]));
    Arc::new(revision)
}

fn gc(create: Option<u64>, active: Option<u64>, min: usize, max: Option<usize>) -> Gc {
    Gc {
        retain_since_create_time: create.map(Duration::from_secs),
        retain_since_last_active_time: active.map(Duration::from_secs),
        min_non_active_revisions: min,
        max_non_active_revisions: max,
    }
}

fn names(selected: &Selected) -> Vec<&str> {
    selected
        .delete
        .iter()
        .map(|revision| revision.metadata.name.as_deref().unwrap())
        .collect()
}

#[test]
fn age_and_number_decide() {
    let revisions = [
        idle("a", 0, 10),
        idle("b", 0, 20),
        idle("c", 90, 95),
        idle("d", 95, 99),
    ];
    let table: &[(&str, Gc, &[&str])] = &[
        ("everything switched off", gc(None, None, 0, None), &[]),
        ("no more than the minimum", gc(Some(1), Some(1), 4, Some(0)), &[]),
        (
            "older than both ages",
            gc(Some(50), Some(50), 0, None),
            &["a", "b"],
        ),
        ("only one of the ages in use", gc(None, Some(85), 0, None), &["a"]),
        ("minimum is kept", gc(Some(50), Some(50), 3, None), &["a"]),
        (
            "maximum deletes young ones",
            gc(Some(1000), Some(1000), 0, Some(1)),
            &["a", "b", "c"],
        ),
        ("maximum without ages", gc(None, None, 0, Some(3)), &["a"]),
        (
            "maximum after age",
            gc(Some(50), Some(50), 0, Some(1)),
            &["a", "b", "c"],
        ),
    ];
    for (case, gc, expected) in table {
        let selected = select(&configuration("svc", 1), &revisions, gc, at(100));
        assert_eq!(names(&selected), *expected, "{case}");
    }
}

#[test]
fn active_revisions_stay() {
    let with = |change: fn(&mut Revision)| {
        let mut revision = (*idle("x", 0, 0)).clone();
        change(&mut revision);
        Arc::new(revision)
    };
    let revisions = [
        with(|r| r.metadata.labels = Some(map([(labels::ROUTING_STATE, "active")]))),
        with(|r| r.metadata.labels = Some(map([(labels::ROUTING_STATE, "pending")]))),
        with(|r| r.metadata.annotations = Some(map([(annotations::NO_GC, "true")]))),
        idle("latest", 0, 0),
        idle("old", 0, 0),
    ];
    let configuration = with_ready_configuration(configuration("svc", 1), "latest");
    let selected = select(
        &configuration,
        &revisions,
        &gc(Some(1), Some(1), 0, Some(0)),
        at(100),
    );
    assert_eq!(names(&selected), ["old"]);
}

#[test]
fn collector_comes_back_when_the_next_revision_is_too_old() {
    let revisions = [idle("a", 0, 10), idle("b", 0, 80)];
    let selected = select(
        &configuration("svc", 1),
        &revisions,
        &gc(Some(50), Some(50), 0, None),
        at(100),
    );
    assert_eq!(
        (names(&selected), selected.look_again),
        (vec!["a"], Some(Duration::from_secs(30)))
    );
}
