//! What several controllers ask of a pod.

use k8s_openapi::api::core::v1::Pod;

/// Neither finished nor on its way out.
pub fn is_active(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// When the pod's Ready condition became True; `None` while it is not.
pub fn ready_since(pod: &Pod) -> Option<jiff::Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions
        .iter()
        .find(|c| c.type_ == "Ready" && c.status == "True")?;
    Some(
        ready
            .last_transition_time
            .as_ref()
            .map_or(jiff::Timestamp::UNIX_EPOCH, |t| t.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finished_and_terminating_pods_are_not_active() {
        let cases = [
            (json!({ "status": { "phase": "Running" } }), true),
            (json!({ "status": { "phase": "Failed" } }), false),
            (
                json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
                false,
            ),
            (json!({}), true),
        ];
        for (value, active) in cases {
            assert_eq!(
                is_active(&serde_json::from_value(value.clone()).unwrap()),
                active,
                "{value}"
            );
        }
    }
}
