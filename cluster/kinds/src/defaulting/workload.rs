//! Workloads: `apps`, `batch` and ReplicationController (`pkg/apis/{apps,batch,core}/v1/defaults.go`).

use serde_json::{Value, json};

use super::{pod, storage};
use crate::json::{Object, descend, is_empty, items_mut, object_mut, object_or_new, set_absent, set_zero};

pub(super) fn deployment(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    pod::template(spec);
    set_absent(spec, "replicas", 1);
    set_absent(spec, "revisionHistoryLimit", 10);
    set_absent(spec, "progressDeadlineSeconds", 600);
    if let Some(strategy) = object_or_new(spec, "strategy") {
        set_zero(strategy, "type", "RollingUpdate");
        if let Some(rolling) = rolling_update(strategy) {
            set_absent(rolling, "maxUnavailable", "25%");
            set_absent(rolling, "maxSurge", "25%");
        }
    }
    object_or_new(object, "status");
}

pub(super) fn replica_set(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    pod::template(spec);
    set_absent(spec, "replicas", 1);
    set_absent_replicas(object);
}

pub(super) fn replication_controller(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    pod::template(spec);
    set_absent(spec, "replicas", 1);
    let labels = spec
        .get("template")
        .and_then(|template| template.pointer("/metadata/labels"))
        .cloned();
    if let Some(labels) = labels.filter(|labels| !is_empty(Some(labels))) {
        if is_empty(spec.get("selector")) {
            spec.insert("selector".to_owned(), labels.clone());
        }
        labels_from_template(object, labels);
    }
    set_absent_replicas(object);
}

pub(super) fn stateful_set(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    pod::template(spec);
    set_zero(spec, "podManagementPolicy", "OrderedReady");
    set_absent(spec, "replicas", 1);
    set_absent(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = object_or_new(spec, "updateStrategy") {
        set_zero(strategy, "type", "RollingUpdate");
        if let Some(rolling) = rolling_update(strategy) {
            set_absent(rolling, "partition", 0);
        }
    }
    if let Some(retention) = object_or_new(spec, "persistentVolumeClaimRetentionPolicy") {
        set_zero(retention, "whenDeleted", "Retain");
        set_zero(retention, "whenScaled", "Retain");
    }
    for claim in items_mut(spec, "volumeClaimTemplates") {
        claim.insert("apiVersion".to_owned(), json!("v1"));
        claim.insert("kind".to_owned(), json!("PersistentVolumeClaim"));
        storage::claim(claim);
    }
    if let Some(status) = object_or_new(object, "status") {
        set_absent(status, "replicas", 0);
        set_absent(status, "availableReplicas", 0);
    }
}

pub(super) fn daemon_set(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    pod::template(spec);
    set_absent(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = object_or_new(spec, "updateStrategy") {
        set_zero(strategy, "type", "RollingUpdate");
        if let Some(rolling) = rolling_update(strategy) {
            set_absent(rolling, "maxUnavailable", 1);
            set_absent(rolling, "maxSurge", 0);
        }
    }
    if let Some(status) = object_or_new(object, "status") {
        for count in [
            "currentNumberScheduled",
            "desiredNumberScheduled",
            "numberMisscheduled",
            "numberReady",
        ] {
            set_absent(status, count, 0);
        }
    }
}

pub(super) fn job(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    pod::template(spec);
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        spec.insert("completions".to_owned(), json!(1));
    }
    set_absent(spec, "parallelism", 1);
    let per_index = spec.contains_key("backoffLimitPerIndex");
    set_absent(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
    set_absent(spec, "completionMode", "NonIndexed");
    set_absent(spec, "suspend", false);
    set_absent(spec, "manualSelector", false);
    let failure_policy = spec.contains_key("podFailurePolicy");
    set_absent(
        spec,
        "podReplacementPolicy",
        if failure_policy {
            "Failed"
        } else {
            "TerminatingOrFailed"
        },
    );
    if let Some(policy) = object_mut(spec, "podFailurePolicy") {
        for rule in items_mut(policy, "rules") {
            for condition in items_mut(rule, "onPodConditions") {
                set_zero(condition, "status", "True");
            }
        }
    }
    let labels = spec
        .get("template")
        .and_then(|template| template.pointer("/metadata/labels"))
        .cloned();
    if let Some(labels) = labels {
        labels_from_template(object, labels);
    }
    object_or_new(object, "status");
}

pub(super) fn cron_job(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    set_zero(spec, "concurrencyPolicy", "Allow");
    set_absent(spec, "suspend", false);
    set_absent(spec, "successfulJobsHistoryLimit", 3);
    set_absent(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = descend(spec, &["jobTemplate", "spec"]) {
        pod::template(job);
    }
    object_or_new(object, "status");
}

/// Returns the `rollingUpdate` of a strategy, made when the strategy is a rolling update.
fn rolling_update(strategy: &mut Object) -> Option<&mut Object> {
    if strategy.get("type").and_then(Value::as_str) != Some("RollingUpdate") {
        return None;
    }
    object_or_new(strategy, "rollingUpdate")
}

/// An object without labels takes those of its template.
fn labels_from_template(object: &mut Object, labels: Value) {
    if is_empty(Some(&labels)) {
        return;
    }
    if let Some(metadata) = object_or_new(object, "metadata")
        && is_empty(metadata.get("labels"))
    {
        metadata.insert("labels".to_owned(), labels);
    }
}

/// `status.replicas` is always shown, even when it is zero.
fn set_absent_replicas(object: &mut Object) {
    if let Some(status) = object_or_new(object, "status") {
        set_absent(status, "replicas", 0);
    }
}
