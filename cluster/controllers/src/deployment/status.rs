//! What a Deployment reports of its rollout.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, ReplicaSet};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::rollout;

/// Counters over ReplicaSets.
#[derive(Debug, Default, PartialEq, Clone, Copy)]
struct Counts {
    replicas: i32,
    updated: i32,
    ready: i32,
    available: i32,
}

/// The status as a merge patch, and when the progress deadline has to be looked at again.
pub fn observe(
    deployment: &Deployment,
    new: Option<&ReplicaSet>,
    old: &[Arc<ReplicaSet>],
    now: jiff::Timestamp,
) -> (Value, Option<Duration>) {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let counts = count(new, old);
    let total_wanted: i32 = new
        .into_iter()
        .chain(old.iter().map(Arc::as_ref))
        .map(|set| set.spec.replicas.unwrap_or(1))
        .sum();

    let mut conditions = Vec::new();
    let enough = counts.available >= wanted - rollout::max_unavailable(deployment);
    conditions.push(if enough {
        condition(
            "Available",
            true,
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    } else {
        condition(
            "Available",
            false,
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    });
    let (progressing, recheck) = progress(deployment, new, counts, now);
    conditions.extend(progressing);
    let failure =
        new.into_iter()
            .chain(old.iter().map(Arc::as_ref))
            .find_map(|set| {
                set.status.as_ref()?.conditions.iter().flatten().find(|c| {
                    c.type_.as_deref() == Some("ReplicaFailure") && c.status.as_deref() == Some("True")
                })
            });
    if let Some(failure) = failure {
        let reason = failure.reason.as_deref().unwrap_or("FailedCreate");
        conditions.push(condition(
            "ReplicaFailure",
            true,
            reason,
            failure.message.as_deref().unwrap_or_default(),
        ));
    }

    let conditions: Vec<Value> = conditions
        .into_iter()
        .map(|c| stamp(deployment, c, now))
        .collect();
    let status = json!({
        "observedGeneration": deployment.metadata.generation,
        "replicas": counter(counts.replicas),
        "updatedReplicas": counter(counts.updated),
        "readyReplicas": counter(counts.ready),
        "availableReplicas": counter(counts.available),
        "unavailableReplicas": counter((total_wanted - counts.available).max(0)),
        "conditions": conditions,
    });
    (status, recheck)
}

fn count(new: Option<&ReplicaSet>, old: &[Arc<ReplicaSet>]) -> Counts {
    let mut counts = Counts::default();
    for set in new.into_iter().chain(old.iter().map(Arc::as_ref)) {
        let Some(status) = &set.status else { continue };
        counts.replicas += status.replicas;
        counts.ready += status.ready_replicas.unwrap_or(0);
        counts.available += status.available_replicas.unwrap_or(0);
    }
    counts.updated = new
        .and_then(|set| set.status.as_ref())
        .map_or(0, |status| status.replicas);
    counts
}

/// The Progressing condition, by the rules of upstream's rollout status: a finished rollout stays finished whatever
/// scaling does later; a change of counters is progress; silence for the deadline is failure.
fn progress(
    deployment: &Deployment,
    new: Option<&ReplicaSet>,
    counts: Counts,
    now: jiff::Timestamp,
) -> (Option<DeploymentCondition>, Option<Duration>) {
    let Some(deadline) = deployment.spec.progress_deadline_seconds else {
        return (None, None);
    };
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let present = current(deployment, "Progressing");
    let name = new.map_or_else(|| deployment.name_any(), |set| set.name_any());
    let same_set = present
        .and_then(|c| c.message.as_deref())
        .is_some_and(|m| m.contains(&format!("\"{name}\"")));
    let finished = present.is_some_and(|c| c.reason.as_deref() == Some("NewReplicaSetAvailable"));
    if finished && same_set && counts.replicas == counts.updated {
        return (present.cloned(), None);
    }
    let complete =
        counts.updated == wanted && counts.replicas == wanted && counts.available == wanted && new.is_some();
    if complete {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        return (
            Some(condition("Progressing", true, "NewReplicaSetAvailable", &message)),
            None,
        );
    }
    let before = deployment.status.as_ref();
    let before = Counts {
        replicas: before.and_then(|s| s.replicas).unwrap_or(0),
        updated: before.and_then(|s| s.updated_replicas).unwrap_or(0),
        ready: before.and_then(|s| s.ready_replicas).unwrap_or(0),
        available: before.and_then(|s| s.available_replicas).unwrap_or(0),
    };
    let moved = counts.updated > before.updated
        || counts.replicas - counts.updated < before.replicas - before.updated
        || counts.ready > before.ready
        || counts.available > before.available;
    let deadline = Duration::from_secs(u64::try_from(deadline).unwrap_or(600));
    if moved || present.is_none() || !same_set {
        let (reason, message) = if present.is_none() || !same_set {
            (
                "NewReplicaSetCreated",
                format!("Created new replica set \"{name}\""),
            )
        } else {
            (
                "ReplicaSetUpdated",
                format!("ReplicaSet \"{name}\" is progressing."),
            )
        };
        let mut fresh = condition("Progressing", true, reason, &message);
        fresh.last_update_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
        return (Some(fresh), Some(deadline));
    }
    let since = present
        .and_then(|c| c.last_update_time.as_ref())
        .map_or(now, |time| time.0);
    let silent = Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO);
    let expired = present.is_some_and(|c| c.reason.as_deref() == Some("ProgressDeadlineExceeded"));
    if expired || silent > deadline {
        let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
        return (
            Some(condition(
                "Progressing",
                false,
                "ProgressDeadlineExceeded",
                &message,
            )),
            None,
        );
    }
    (present.cloned(), Some(deadline - silent + Duration::from_secs(1)))
}

fn current<'a>(deployment: &'a Deployment, type_: &str) -> Option<&'a DeploymentCondition> {
    deployment
        .status
        .as_ref()?
        .conditions
        .as_ref()?
        .iter()
        .find(|c| c.type_.as_deref() == Some(type_))
}

fn condition(type_: &str, status: bool, reason: &str, message: &str) -> DeploymentCondition {
    DeploymentCondition {
        type_: Some(type_.to_owned()),
        status: Some(if status { "True" } else { "False" }.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        ..DeploymentCondition::default()
    }
}

/// Gives the condition its times: those it had if it says the same, `now` where something moved.
fn stamp(deployment: &Deployment, wanted: DeploymentCondition, now: jiff::Timestamp) -> Value {
    let before = current(deployment, wanted.type_.as_deref().unwrap_or_default());
    let transition = before
        .filter(|c| c.status == wanted.status)
        .and_then(|c| c.last_transition_time.as_ref())
        .map_or(now, |time| time.0);
    let same = |c: &&DeploymentCondition| {
        c.status == wanted.status && c.reason == wanted.reason && c.message == wanted.message
    };
    let update = match &wanted.last_update_time {
        Some(time) => time.0,
        None => before
            .filter(same)
            .and_then(|c| c.last_update_time.as_ref())
            .map_or(now, |time| time.0),
    };
    json!({
        "type": wanted.type_, "status": wanted.status, "reason": wanted.reason, "message": wanted.message,
        "lastTransitionTime": seconds(transition), "lastUpdateTime": seconds(update),
    })
}

fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn counter(count: i32) -> Value {
    if count == 0 { Value::Null } else { json!(count) }
}

/// Whether merging `status` into the live object would change it.
pub fn differs(deployment: &Deployment, status: &Value) -> bool {
    let live = serde_json::to_value(&deployment.status).unwrap_or(Value::Null);
    status.as_object().is_some_and(|fields| {
        fields
            .iter()
            .any(|(name, value)| live.get(name).unwrap_or(&Value::Null) != value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(replicas: i32, status: Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": { "name": "d", "generation": 1 },
            "spec": { "replicas": replicas, "progressDeadlineSeconds": 60, "selector": {}, "template": {},
                      "strategy": { "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } } },
            "status": status,
        }))
        .unwrap()
    }

    fn set(replicas: i32, available: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": { "name": "d-1" },
            "spec": { "replicas": replicas, "selector": {} },
            "status": { "replicas": replicas, "readyReplicas": available, "availableReplicas": available },
        }))
        .unwrap()
    }

    fn progressing(status: &Value) -> &Value {
        status["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["type"] == "Progressing")
            .unwrap()
    }

    fn at(text: &str) -> jiff::Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_rollout_goes_from_created_to_available() {
        let start = at("2026-01-01T00:00:00Z");
        let (first, recheck) = observe(&deployment(1, json!({})), Some(&set(1, 0)), &[], start);
        assert_eq!(progressing(&first)["reason"], "NewReplicaSetCreated");
        assert_eq!(recheck, Some(Duration::from_secs(60)));
        let (done, recheck) = observe(
            &deployment(1, first),
            Some(&set(1, 1)),
            &[],
            at("2026-01-01T00:00:02Z"),
        );
        assert_eq!(progressing(&done)["reason"], "NewReplicaSetAvailable");
        assert_eq!(progressing(&done)["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert_eq!(done["availableReplicas"], 1);
        assert_eq!(recheck, None);
    }

    #[test]
    fn silence_beyond_the_deadline_is_a_failure() {
        let (first, _) = observe(
            &deployment(1, json!({})),
            Some(&set(1, 0)),
            &[],
            at("2026-01-01T00:00:00Z"),
        );
        let (second, _) = observe(
            &deployment(1, first),
            Some(&set(1, 0)),
            &[],
            at("2026-01-01T00:00:30Z"),
        );
        assert_eq!(progressing(&second)["status"], "True");
        let (late, _) = observe(
            &deployment(1, second),
            Some(&set(1, 0)),
            &[],
            at("2026-01-01T00:01:31Z"),
        );
        assert_eq!(progressing(&late)["reason"], "ProgressDeadlineExceeded");
        assert_eq!(progressing(&late)["status"], "False");
    }

    #[test]
    fn scaling_a_finished_deployment_does_not_start_the_deadline_again() {
        let (done, _) = observe(
            &deployment(1, json!({})),
            Some(&set(1, 1)),
            &[],
            at("2026-01-01T00:00:00Z"),
        );
        let (zero, recheck) = observe(
            &deployment(0, done),
            Some(&set(0, 0)),
            &[],
            at("2026-01-01T01:00:00Z"),
        );
        assert_eq!(progressing(&zero)["reason"], "NewReplicaSetAvailable");
        assert_eq!(recheck, None);
        let (woken, _) = observe(
            &deployment(1, zero),
            Some(&set(1, 0)),
            &[],
            at("2026-01-01T02:00:00Z"),
        );
        assert_eq!(progressing(&woken)["reason"], "NewReplicaSetAvailable");
        assert_eq!(woken["unavailableReplicas"], 1);
    }

    #[test]
    fn the_same_observation_twice_changes_nothing() {
        let (first, _) = observe(
            &deployment(1, json!({})),
            Some(&set(1, 1)),
            &[],
            at("2026-01-01T00:00:00Z"),
        );
        let live = deployment(1, first);
        let (second, _) = observe(&live, Some(&set(1, 1)), &[], at("2026-01-01T00:05:00Z"));
        assert!(!differs(&live, &second));
    }
}
