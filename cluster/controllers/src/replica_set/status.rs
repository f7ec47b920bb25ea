//! What a ReplicaSet reports of its pods.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::pod::ready_since;

/// The status as a merge patch (an absent counter is `null`), and when a pod becomes available without further change.
pub fn observe(
    set: &ReplicaSet,
    active: &[Arc<Pod>],
    failure: Option<&kube::Error>,
    now: jiff::Timestamp,
) -> (Value, Option<Duration>) {
    let spec = &set.spec;
    let min_ready = Duration::from_secs(
        spec.min_ready_seconds
            .and_then(|s| u64::try_from(s).ok())
            .unwrap_or(0),
    );
    let template_labels = spec
        .template
        .as_ref()
        .and_then(|t| t.metadata.as_ref())
        .and_then(|m| m.labels.clone())
        .unwrap_or_default();
    let (mut ready, mut available, mut labeled, mut recheck) = (0, 0, 0, None::<Duration>);
    for pod in active {
        if template_labels
            .iter()
            .all(|(key, value)| pod.labels().get(key) == Some(value))
        {
            labeled += 1;
        }
        let Some(since) = ready_since(pod) else { continue };
        ready += 1;
        let age = Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO);
        if age >= min_ready {
            available += 1;
        } else {
            let left = min_ready - age;
            recheck = Some(recheck.map_or(left, |r| r.min(left)));
        }
    }
    let status = json!({
        "observedGeneration": set.metadata.generation,
        "replicas": active.len(),
        "fullyLabeledReplicas": counter(labeled),
        "readyReplicas": counter(ready),
        "availableReplicas": counter(available),
        "conditions": failure.map(|error| failure_condition(set, error, now)),
    });
    (status, recheck)
}

fn counter(count: i32) -> Value {
    if count == 0 { Value::Null } else { json!(count) }
}

fn failure_condition(set: &ReplicaSet, error: &kube::Error, now: jiff::Timestamp) -> Value {
    let message = match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    let since = set
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten())
        .find(|c| c.type_.as_deref() == Some("ReplicaFailure"))
        .and_then(|c| c.last_transition_time.as_ref())
        .map_or(now, |t| t.0);
    json!([{ "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message,
             "lastTransitionTime": to_seconds(since) }])
}

/// RFC 3339 to the second, the resolution of `metav1.Time`.
fn to_seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whether merging `status` into the live object would change it.
pub fn differs(set: &ReplicaSet, status: &Value) -> bool {
    let live = serde_json::to_value(&set.status).unwrap_or(Value::Null);
    status.as_object().is_some_and(|fields| {
        fields
            .iter()
            .any(|(name, value)| live.get(name).unwrap_or(&Value::Null) != value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(min_ready: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": { "name": "s", "generation": 3 },
            "spec": { "minReadySeconds": min_ready, "selector": {}, "template": { "metadata": { "labels": { "a": "b" } } } },
            "status": { "replicas": 2, "readyReplicas": 1, "observedGeneration": 3 },
        }))
        .unwrap()
    }

    fn ready_pod(at: &str) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": { "name": "p", "labels": { "a": "b" } },
                "status": { "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": at }] },
            }))
            .unwrap(),
        )
    }

    #[test]
    fn a_pod_is_available_only_after_min_ready_seconds() {
        let now: jiff::Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        let pods = [
            ready_pod("2026-01-01T00:00:01Z"),
            ready_pod("2026-01-01T00:00:07Z"),
        ];
        let (status, recheck) = observe(&set(5), &pods, None, now);
        assert_eq!(status["readyReplicas"], 2);
        assert_eq!(status["availableReplicas"], 1);
        assert_eq!(status["fullyLabeledReplicas"], 2);
        assert_eq!(recheck, Some(Duration::from_secs(2)));
    }

    #[test]
    fn zero_counters_are_removed_and_an_equal_status_is_not_written() {
        let (status, _) = observe(&set(0), &[], None, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(status["readyReplicas"], Value::Null);
        assert!(differs(&set(0), &status));
        let same =
            json!({ "replicas": 2, "readyReplicas": 1, "availableReplicas": null, "observedGeneration": 3 });
        assert!(!differs(&set(0), &same));
    }
}
