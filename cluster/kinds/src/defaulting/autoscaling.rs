//! HorizontalPodAutoscaler (`pkg/apis/autoscaling/{v1,v2}/defaults.go`).

use serde_json::json;

use super::quantity::canonical_field;
use crate::json::{Object, descend, is_empty, items_mut, object_mut, object_or_new, set_absent};

pub(super) fn v1(object: &mut Object) {
    if let Some(spec) = object_mut(object, "spec") {
        set_absent(spec, "minReplicas", 1);
    }
    if let Some(status) = object_or_new(object, "status") {
        set_absent(status, "currentReplicas", 0);
        set_absent(status, "desiredReplicas", 0);
    }
}

pub(super) fn v2(object: &mut Object) {
    if let Some(status) = object_or_new(object, "status") {
        set_absent(status, "desiredReplicas", 0);
    }
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    set_absent(spec, "minReplicas", 1);
    if is_empty(spec.get("metrics")) {
        spec.insert(
            "metrics".to_owned(),
            json!([{
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
            }]),
        );
    }
    for metric in items_mut(spec, "metrics") {
        for source in ["resource", "containerResource", "pods", "object", "external"] {
            if let Some(target) = descend(metric, &[source, "target"]) {
                canonical_field(target, "value");
                canonical_field(target, "averageValue");
            }
        }
    }
    if let Some(behavior) = object_mut(spec, "behavior") {
        if let Some(up) = object_or_new(behavior, "scaleUp") {
            set_absent(up, "stabilizationWindowSeconds", 0);
            rules(
                up,
                json!([
                    {"type": "Pods", "value": 4, "periodSeconds": 15},
                    {"type": "Percent", "value": 100, "periodSeconds": 15},
                ]),
            );
        }
        if let Some(down) = object_or_new(behavior, "scaleDown") {
            rules(
                down,
                json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]),
            );
        }
    }
}

fn rules(rules: &mut Object, policies: serde_json::Value) {
    set_absent(rules, "selectPolicy", "Max");
    if is_empty(rules.get("policies")) {
        rules.insert("policies".to_owned(), policies);
    }
}
