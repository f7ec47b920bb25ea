//! The few built-in kinds that are two views of the same stored objects.

use cluster_kinds::Kind;
use serde_json::{Map, Value, json};

/// Fields of an Event: `v1` name, `events.k8s.io/v1` name (`k8s.io/kubernetes/pkg/apis/events/v1/conversion.go`).
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// Changes an object of `kind` into the version that is stored.
pub(super) fn to_storage(kind: &Kind, value: &mut Value) {
    let Some(object) = value.as_object_mut() else {
        return;
    };
    match (kind.group, kind.version, kind.kind) {
        ("events.k8s.io", _, "Event") => rename(
            object,
            EVENT_FIELDS.iter().map(|(stored, shown)| (*shown, *stored)),
        ),
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => {
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
                && let Some(percent) = spec.remove("targetCPUUtilizationPercentage")
            {
                let target = json!({"type": "Utilization", "averageUtilization": percent});
                spec.insert(
                    "metrics".into(),
                    json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]),
                );
            }
        }
        _ => {}
    }
}

/// Changes a stored object into the version of `kind`.
pub(super) fn from_storage(kind: &Kind, value: &mut Value) {
    let Some(object) = value.as_object_mut() else {
        return;
    };
    match (kind.group, kind.version, kind.kind) {
        ("events.k8s.io", _, "Event") => rename(object, EVENT_FIELDS.iter().copied()),
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => {
            let cpu = |metrics: &Value, leaf: &str| {
                metrics
                    .as_array()?
                    .iter()
                    .find(|metric| metric["resource"]["name"] == "cpu")
                    .map(|metric| metric["resource"][leaf]["averageUtilization"].clone())
                    .filter(|percent| !percent.is_null())
            };
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                let metrics = spec.remove("metrics").unwrap_or(Value::Null);
                spec.remove("behavior");
                if let Some(percent) = cpu(&metrics, "target") {
                    spec.insert("targetCPUUtilizationPercentage".into(), percent);
                }
            }
            if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
                let metrics = status.remove("currentMetrics").unwrap_or(Value::Null);
                status.remove("conditions");
                if let Some(percent) = cpu(&metrics, "current") {
                    status.insert("currentCPUUtilizationPercentage".into(), percent);
                }
            }
        }
        _ => {}
    }
}

fn rename<'a>(object: &mut Map<String, Value>, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    for (from, to) in pairs {
        if let Some(value) = object.remove(from) {
            object.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_views_of_an_event_round_trip() {
        let kind = cluster_kinds::by_kind("events.k8s.io/v1", "Event").unwrap();
        let shown = json!({"regarding": {"name": "a"}, "note": "n", "deprecatedCount": 2, "reason": "R"});
        let mut value = shown.clone();
        to_storage(kind, &mut value);
        assert_eq!(
            value,
            json!({"involvedObject": {"name": "a"}, "message": "n", "count": 2, "reason": "R"})
        );
        from_storage(kind, &mut value);
        assert_eq!(value, shown);
    }

    #[test]
    fn an_old_autoscaler_round_trips() {
        let kind = cluster_kinds::by_kind("autoscaling/v1", "HorizontalPodAutoscaler").unwrap();
        let shown = json!({"spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 70}});
        let mut value = shown.clone();
        to_storage(kind, &mut value);
        assert_eq!(
            value["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"],
            70
        );
        from_storage(kind, &mut value);
        assert_eq!(value, shown);
    }
}
