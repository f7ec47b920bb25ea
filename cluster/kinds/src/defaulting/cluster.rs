//! RBAC, custom resource definitions, webhooks and other kinds that extend the cluster.

use serde_json::{Value, json};

use super::quantity::canonical_map;
use crate::json::{Object, descend, is_empty, items_mut, object_mut, object_or_new, set_absent, set_zero};

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn role_binding(object: &mut Object) {
    if let Some(role) = object_mut(object, "roleRef") {
        set_zero(role, "apiGroup", RBAC_GROUP);
    }
    for subject in items_mut(object, "subjects") {
        if matches!(
            subject.get("kind").and_then(Value::as_str),
            Some("User" | "Group")
        ) {
            set_zero(subject, "apiGroup", RBAC_GROUP);
        }
    }
}

pub(super) fn custom_resource_definition(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    if let Some(names) = object_mut(spec, "names") {
        let kind = names
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if !kind.is_empty() {
            set_zero(names, "singular", kind.to_lowercase());
            set_zero(names, "listKind", format!("{kind}List"));
        }
    }
    if let Some(conversion) = object_or_new(spec, "conversion") {
        set_zero(conversion, "strategy", "None");
        if let Some(service) = descend(conversion, &["webhook", "clientConfig", "service"]) {
            set_absent(service, "port", 443);
        }
    }
    let stored: Vec<Value> = items_mut(spec, "versions")
        .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
        .filter_map(|version| version.get("name").cloned())
        .collect();
    if let Some(status) = object_or_new(object, "status")
        && is_empty(status.get("storedVersions"))
    {
        status.insert("storedVersions".to_owned(), Value::Array(stored));
    }
}

pub(super) fn api_service(object: &mut Object) {
    if let Some(service) = descend(object, &["spec", "service"]) {
        set_absent(service, "port", 443);
    }
}

pub(super) fn webhooks(object: &mut Object, kind: &str) {
    let mutating = kind == "MutatingWebhookConfiguration";
    for webhook in items_mut(object, "webhooks") {
        set_absent(webhook, "failurePolicy", "Fail");
        set_absent(webhook, "matchPolicy", "Equivalent");
        set_absent(webhook, "namespaceSelector", json!({}));
        set_absent(webhook, "objectSelector", json!({}));
        set_absent(webhook, "timeoutSeconds", 10);
        if mutating {
            set_absent(webhook, "reinvocationPolicy", "Never");
        }
        for rule in items_mut(webhook, "rules") {
            set_absent(rule, "scope", "*");
        }
        if let Some(service) = descend(webhook, &["clientConfig", "service"]) {
            set_absent(service, "port", 443);
        }
    }
}

pub(super) fn priority_class(object: &mut Object) {
    set_absent(object, "preemptionPolicy", "PreemptLowerPriority");
}

pub(super) fn runtime_class(object: &mut Object) {
    if let Some(overhead) = object_mut(object, "overhead") {
        canonical_map(overhead, "podFixed");
    }
}

/// Flow schemas and priority levels (`pkg/apis/flowcontrol/v1/defaults.go`).
pub(super) fn flow_control(object: &mut Object, kind: &str) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    if kind == "FlowSchema" {
        set_zero(spec, "matchingPrecedence", 1000);
        return;
    }
    match spec.get("type").and_then(Value::as_str) {
        Some("Exempt") => {
            if let Some(exempt) = object_or_new(spec, "exempt") {
                set_absent(exempt, "nominalConcurrencyShares", 0);
                set_absent(exempt, "lendablePercent", 0);
            }
        }
        Some("Limited") => {
            let Some(limited) = object_mut(spec, "limited") else {
                return;
            };
            set_absent(limited, "nominalConcurrencyShares", 30);
            set_absent(limited, "lendablePercent", 0);
            if let Some(queuing) = descend(limited, &["limitResponse", "queuing"]) {
                set_zero(queuing, "queues", 64);
                set_zero(queuing, "handSize", 8);
                set_zero(queuing, "queueLengthLimit", 50);
            }
        }
        _ => {}
    }
}
