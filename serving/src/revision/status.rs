//! The status of a Revision from its Deployment, its pods and its PodAutoscaler.

use crds::autoscaling::{PodAutoscaler, PodAutoscalerStatus};
use crds::conditions::{Condition, ConditionStatus, ConditionedStatus, READY};
use crds::serving::RevisionStatus;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use reconciler::ConditionSet;

use super::diagnosis::Diagnosis;

pub(super) const RESOURCES_AVAILABLE: &str = "ResourcesAvailable";
pub(super) const CONTAINER_HEALTHY: &str = "ContainerHealthy";
const ACTIVE: &str = "Active";
pub(super) const CONDITIONS: ConditionSet = ConditionSet::new(&[RESOURCES_AVAILABLE, CONTAINER_HEALTHY]);

const DEPLOYING: &str = "Deploying";

/// Digests are being looked up in the background.
pub(super) fn mark_resolving_digests(status: &mut RevisionStatus, now: Timestamp) {
    let mut conditions = CONDITIONS.manage(status, now);
    conditions.mark_unknown(RESOURCES_AVAILABLE, "ResolvingDigests", "");
    conditions.mark_unknown(CONTAINER_HEALTHY, "ResolvingDigests", "");
}

/// An image cannot be had.
pub(super) fn mark_container_missing(status: &mut RevisionStatus, message: &str, now: Timestamp) {
    CONDITIONS
        .manage(status, now)
        .mark_false(CONTAINER_HEALTHY, "ContainerMissing", message);
}

/// A child's name belongs to somebody else.
pub(super) fn mark_not_owned(status: &mut RevisionStatus, kind: &str, name: &str, now: Timestamp) {
    let message = format!("There is an existing {kind} {name:?} that we do not own.");
    CONDITIONS
        .manage(status, now)
        .mark_false(RESOURCES_AVAILABLE, "NotOwned", &message);
}

/// The Deployment was just created.
pub(super) fn mark_deploying(status: &mut RevisionStatus, now: Timestamp) {
    let mut conditions = CONDITIONS.manage(status, now);
    conditions.mark_unknown(RESOURCES_AVAILABLE, DEPLOYING, "");
    conditions.mark_unknown(CONTAINER_HEALTHY, DEPLOYING, "");
}

/// What the Deployment reports, then what its pods show, which is closer to the cause.
pub(super) fn take_deployment(
    status: &mut RevisionStatus,
    deployment: &Deployment,
    diagnosis: Option<&Diagnosis>,
    now: Timestamp,
) {
    let stored = status.condition(RESOURCES_AVAILABLE).cloned();
    let mut conditions = CONDITIONS.manage(status, now);
    let (available, reason, mut message) = availability(deployment);
    // The pods that showed more are gone; what they showed stays.
    let explained = stored
        .filter(|stored| stored.is_false() && stored.reason.as_deref() == Some(&reason))
        .and_then(|stored| stored.message)
        .filter(|explained| explained.starts_with(&message));
    if let Some(explained) = explained {
        message = explained;
    }
    match available {
        ConditionStatus::True => conditions.mark_true(RESOURCES_AVAILABLE),
        ConditionStatus::Unknown => conditions.mark_unknown(RESOURCES_AVAILABLE, &reason, &message),
        ConditionStatus::False => conditions.mark_false(RESOURCES_AVAILABLE, &reason, &message),
    }
    if let Some(found) = diagnosis.and_then(|diagnosis| diagnosis.resources.as_ref()) {
        conditions.mark_false(RESOURCES_AVAILABLE, &found.reason, &found.message);
    }
    if let Some(found) = diagnosis.and_then(|diagnosis| diagnosis.container.as_ref()) {
        conditions.mark_false(CONTAINER_HEALTHY, &found.reason, &found.message);
    }
    let ready = deployment
        .status
        .as_ref()
        .and_then(|status| status.ready_replicas)
        .unwrap_or(0);
    if ready > 0 {
        conditions.mark_true(CONTAINER_HEALTHY);
    }
}

/// `Progressing` says how far the Deployment is, `ReplicaFailure` that pods cannot even be created.
fn availability(deployment: &Deployment) -> (ConditionStatus, String, String) {
    let found = deployment
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let of = |type_: &str| {
        found
            .iter()
            .find(|condition| condition.type_.as_deref() == Some(type_))
    };
    let told = |condition: &k8s_openapi::api::apps::v1::DeploymentCondition| {
        (
            condition.reason.clone().unwrap_or_default(),
            condition.message.clone().unwrap_or_default(),
        )
    };
    let with = |status, (reason, message)| (status, reason, message);

    let failure = of("ReplicaFailure");
    if let Some(failure) = failure.filter(|failure| failure.status.as_deref() == Some("True")) {
        return with(ConditionStatus::False, told(failure));
    }
    let progress = of("Progressing");
    if let Some(progress) = progress.filter(|progress| progress.status.as_deref() == Some("False")) {
        return with(ConditionStatus::False, told(progress));
    }
    if let Some(failure) = failure.filter(|failure| failure.status.as_deref() == Some("Unknown")) {
        return with(ConditionStatus::Unknown, told(failure));
    }
    match progress {
        Some(progress) if progress.status.as_deref() == Some("True") => {
            with(ConditionStatus::True, Default::default())
        }
        Some(progress) => with(ConditionStatus::Unknown, told(progress)),
        None => with(ConditionStatus::Unknown, (DEPLOYING.to_owned(), String::new())),
    }
}

/// What the PodAutoscaler reports. `wanted`: the Deployment is to have pods. `earlier` is ResourcesAvailable as it is
/// stored.
pub(super) fn take_autoscaler(
    status: &mut RevisionStatus,
    autoscaler: &PodAutoscaler,
    wanted: bool,
    earlier: Option<&Condition>,
    now: Timestamp,
) {
    let empty = PodAutoscalerStatus::default();
    let found = autoscaler.status.as_ref().unwrap_or(&empty);
    let known = |scale: Option<i32>| scale.filter(|scale| *scale >= 0);
    status.actual_replicas = known(found.actual_scale);
    status.desired_replicas = known(found.desired_scale);

    let initialized = found
        .condition("ScaleTargetInitialized")
        .is_some_and(Condition::is_true);
    let named = found.service_name.as_deref().is_some_and(|name| !name.is_empty());
    let mut conditions = CONDITIONS.manage(status, now);
    let unavailable = conditions.status(RESOURCES_AVAILABLE) == ConditionStatus::False;
    let Some(ready) = found.condition(READY) else {
        conditions.mark_unknown(ACTIVE, DEPLOYING, "");
        if !unavailable {
            conditions.mark_unknown(RESOURCES_AVAILABLE, DEPLOYING, "");
        }
        return;
    };
    // An application that ends again and again has failed, however well it began; at zero it may be tried again.
    let ends = wanted && conditions.status(CONTAINER_HEALTHY) == ConditionStatus::False;
    if initialized && !unavailable && !ends {
        // Pods were ready once: from then on the revision is, also while it is scaled to zero.
        conditions.mark_true(RESOURCES_AVAILABLE);
        conditions.mark_true(CONTAINER_HEALTHY);
    }
    if conditions.status(RESOURCES_AVAILABLE) == ConditionStatus::True && !(named && initialized) {
        conditions.mark_unknown(RESOURCES_AVAILABLE, DEPLOYING, "");
    }
    if ready.is_false() && !initialized && !unavailable && named {
        // The autoscaler has given up before the first pod was ready, and removed the pods that showed why.
        match earlier.filter(|earlier| earlier.is_false()) {
            Some(known) => conditions.copy(RESOURCES_AVAILABLE, known),
            None => conditions.mark_false(
                RESOURCES_AVAILABLE,
                "ProgressDeadlineExceeded",
                "Initial scale was never achieved",
            ),
        }
    }
    conditions.copy(ACTIVE, ready);
}

/// Lets Ready name the cause: how the application ended says more than that nothing came of it, and what a pod waits
/// for more than that it waits.
pub(super) fn name_cause(status: &mut RevisionStatus, diagnosis: Option<&Diagnosis>, now: Timestamp) {
    let ended = status.condition(CONTAINER_HEALTHY).cloned();
    let mut conditions = CONDITIONS.manage(status, now);
    if let Some(ended) = ended.filter(Condition::is_false) {
        conditions.copy(CONTAINER_HEALTHY, &ended);
    } else if let Some(found) = diagnosis.and_then(|diagnosis| diagnosis.waiting.as_ref())
        && conditions.status(RESOURCES_AVAILABLE) == ConditionStatus::Unknown
    {
        conditions.mark_unknown(RESOURCES_AVAILABLE, &found.reason, &found.message);
    }
}
