use crds::conditions::{ConditionStatus, ConditionedStatus, READY};
use crds::serving::ConfigurationStatus;
use crds::{annotations, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::status::{Created, Observed, configuration_status};
use super::*;
use crate::test_support::{at, configuration, map, ready, revision};
use ConditionStatus::{False, True, Unknown};

fn yes() -> Option<crds::conditions::Condition> {
    Some(ready(True, "", ""))
}

fn status(
    configuration: &Configuration,
    created: Created,
    revisions: Vec<Arc<Revision>>,
) -> ConfigurationStatus {
    configuration_status(configuration, &Observed { revisions, created }, at(10))
}

fn summary(status: &ConfigurationStatus) -> (ConditionStatus, &str, Option<&str>) {
    let ready = status.condition(READY).unwrap();
    (
        ready.status,
        ready.reason.as_deref().unwrap_or_default(),
        status.latest_ready_revision_name.as_deref(),
    )
}

#[test]
fn revision_is_made_from_the_template_alone() {
    let mut configuration = configuration("svc", 3);
    configuration.metadata.labels = Some(map([
        ("not", "copied"),
        (labels::SERVICE, "svc"),
        (labels::SERVICE_UID, "uid-of-service"),
    ]));
    configuration.metadata.annotations = Some(map([
        (annotations::LAST_MODIFIER, "alice"),
        (annotations::ROUTES, "svc"),
        ("not", "copied"),
    ]));
    configuration.spec.template.metadata = Some(ObjectMeta {
        labels: Some(map([("team", "blue")])),
        annotations: Some(map([(annotations::MIN_SCALE, "1")])),
        ..ObjectMeta::default()
    });
    let revision = desired::revision(&configuration, at(0));
    assert_eq!(revision.metadata.name.as_deref(), Some("svc-00003"));
    assert_eq!(
        revision.metadata.labels.unwrap(),
        map([
            ("team", "blue"),
            (labels::CONFIGURATION, "svc"),
            (labels::CONFIGURATION_GENERATION, "3"),
            (labels::CONFIGURATION_UID, "uid-svc"),
            (labels::SERVICE, "svc"),
            (labels::SERVICE_UID, "uid-of-service"),
            (labels::ROUTING_STATE, "active"),
        ])
    );
    assert_eq!(
        revision.metadata.annotations.unwrap(),
        map([
            (annotations::MIN_SCALE, "1"),
            (annotations::CREATOR, "alice"),
            (annotations::ROUTES, "svc"),
            (annotations::ROUTING_STATE_MODIFIED, "1970-01-01T00:00:00Z"),
        ])
    );
}

#[test]
fn revision_of_an_unrouted_configuration_is_pending_and_a_chosen_name_is_used() {
    let mut configuration = configuration("svc", 1);
    configuration.spec.template.metadata = Some(ObjectMeta {
        name: Some("svc-blue".to_owned()),
        ..ObjectMeta::default()
    });
    let revision = desired::revision(&configuration, at(0));
    assert_eq!(revision.metadata.name.as_deref(), Some("svc-blue"));
    assert_eq!(label(&revision.metadata, labels::ROUTING_STATE), Some("pending"));
}

#[test]
fn ready_follows_the_latest_created_revision() {
    let configuration = configuration("svc", 2);
    let one = revision(&configuration, "svc-00001", 1, yes());
    let failed = Some(ready(False, "ExitCode1", "Container failed with: boom"));
    let table = [
        ("not yet", None, (Unknown, "", Some("svc-00001"))),
        ("ready", yes(), (True, "", Some("svc-00002"))),
        ("failed", failed, (False, "RevisionFailed", Some("svc-00001"))),
    ];
    for (case, condition, expected) in table {
        let two = revision(&configuration, "svc-00002", 2, condition);
        let status = status(
            &configuration,
            Created::Revision(two.clone()),
            vec![one.clone(), two],
        );
        assert_eq!(summary(&status), expected, "{case}");
        assert_eq!(status.latest_created_revision_name.as_deref(), Some("svc-00002"));
    }
}

#[test]
fn messages_name_the_revision() {
    let configuration = configuration("svc", 1);
    let failed = revision(
        &configuration,
        "svc-00001",
        1,
        Some(ready(False, "ExitCode1", "boom")),
    );
    let status_failed = status(&configuration, Created::Revision(failed.clone()), vec![failed]);
    assert_eq!(
        status_failed.condition(READY).unwrap().message.as_deref(),
        Some("Revision \"svc-00001\" failed with message: boom.")
    );
    let refused = status(&configuration, Created::Refused("quota".to_owned()), vec![]);
    assert_eq!(
        refused.condition(READY).unwrap().message.as_deref(),
        Some("Revision creation failed with message: quota.")
    );
}

#[test]
fn latest_ready_never_goes_back_unless_the_user_names_an_old_revision() {
    let mut present = configuration("svc", 3);
    present.status = Some(ConfigurationStatus {
        latest_ready_revision_name: Some("svc-00002".to_owned()),
        ..ConfigurationStatus::default()
    });
    let revisions = vec![
        revision(&present, "svc-00001", 1, yes()),
        revision(&present, "svc-00002", 2, None),
        revision(&present, "svc-00003", 3, None),
    ];
    let found = status(
        &present,
        Created::Revision(revisions[2].clone()),
        revisions.clone(),
    );
    assert_eq!(found.latest_ready_revision_name.as_deref(), Some("svc-00002"));

    present.spec.template.metadata = Some(ObjectMeta {
        name: Some("svc-00001".to_owned()),
        ..ObjectMeta::default()
    });
    let found = status(&present, Created::Revision(revisions[0].clone()), revisions);
    assert_eq!(summary(&found), (True, "", Some("svc-00001")));
}

#[test]
fn deleted_latest_ready_revision_is_told() {
    let mut configuration = configuration("svc", 2);
    configuration.status = Some(ConfigurationStatus {
        latest_ready_revision_name: Some("svc-00001".to_owned()),
        ..ConfigurationStatus::default()
    });
    let two = revision(&configuration, "svc-00002", 2, None);
    let status = status(&configuration, Created::Revision(two.clone()), vec![two]);
    assert_eq!(summary(&status), (False, "RevisionDeleted", Some("svc-00001")));
    assert_eq!(
        status.condition(READY).unwrap().message.as_deref(),
        Some("Revision \"svc-00001\" was deleted.")
    );
}

#[test]
fn chosen_name_may_be_reused_for_the_same_spec_only() {
    let mut present = configuration("svc", 5);
    assert_eq!(check_name(&present, |_| unreachable!()), NameCheck::Generated);
    present.spec.template.metadata = Some(ObjectMeta {
        name: Some("svc-blue".to_owned()),
        ..ObjectMeta::default()
    });
    assert_eq!(
        check_name(&present, |_| None),
        NameCheck::Free("svc-blue".to_owned())
    );

    let old = revision(&present, "svc-blue", 2, None);
    assert_eq!(
        check_name(&present, |_| Some(old.clone())),
        NameCheck::Ours(old.clone())
    );

    let mut changed = present.clone();
    changed.spec.template.spec.timeout_seconds = Some(1);
    assert_eq!(
        check_name(&changed, |_| Some(old.clone())),
        NameCheck::Taken("svc-blue".to_owned())
    );
    let current = revision(&present, "svc-blue", 5, None);
    assert_eq!(
        check_name(&changed, |_| Some(current.clone())),
        NameCheck::Ours(current)
    );

    let foreign = revision(&configuration("other", 5), "svc-blue", 5, None);
    assert_eq!(
        check_name(&present, |_| Some(foreign)),
        NameCheck::Taken("svc-blue".to_owned())
    );
}
