//! A small Deployment-like kind and shorthands for both kinds of writes.

use serde_json::json;

use super::super::*;

pub(super) fn schema() -> Schema {
    Schema::from_openapi(&json!({"type": "object", "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"},
        "metadata": {"type": "object", "properties": {
            "name": {"type": "string"}, "namespace": {"type": "string"}, "uid": {"type": "string"},
            "creationTimestamp": {"type": "string"}, "resourceVersion": {"type": "string"},
            "generation": {"type": "integer"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
            "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "managedFields": {"type": "array", "items": {"type": "object"}},
        }},
        "spec": {"type": "object", "properties": {
            "replicas": {"type": "integer"},
            "paused": {"type": "boolean"},
            "strategy": {"type": "object", "properties": {"type": {"type": "string"}, "surge": {"type": "integer"}}},
            "selector": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {
                "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}}}},
            "args": {"type": "array", "items": {"type": "string"}},
            "free": {"type": "object"},
            "containers": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {
                    "name": {"type": "string"}, "image": {"type": "string"},
                    "env": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "string"}}}},
                    "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
                        "items": {"type": "object", "properties": {
                            "containerPort": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}, "name": {"type": "string"}}}},
                    "emptyDir": {"type": "object", "properties": {"medium": {"type": "string"}}},
                }}},
        }},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "phase": {"type": "string"}}},
    }}))
    .unwrap()
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + second).unwrap()
}

/// An object of the kind with this spec.
pub(super) fn object(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Thing", "metadata": {"name": "x", "namespace": "n"}, "spec": spec})
}

pub(super) fn try_apply(
    live: Option<&Value>,
    manager: &str,
    config: &Value,
    force: bool,
    second: i64,
) -> Result<Value, ApplyError> {
    apply(ApplyRequest {
        live,
        config,
        manager,
        force,
        subresource: None,
        reset_fields: reset_fields(None, true),
        schema: &schema(),
        versions_differ: false,
        now: at(second),
    })
}

pub(super) fn applied(live: Option<&Value>, manager: &str, config: &Value, second: i64) -> Value {
    try_apply(live, manager, config, false, second).unwrap_or_else(|error| panic!("{manager}: {error}"))
}

pub(super) fn updated(old: Option<&Value>, manager: &str, new: &Value, second: i64) -> Value {
    let mut new = new.clone();
    record_update(UpdateRequest {
        old,
        new: &mut new,
        manager,
        subresource: None,
        reset_fields: reset_fields(None, true),
        schema: &schema(),
        versions_differ: false,
        now: at(second),
    });
    new
}

/// The object without its record of managers.
pub(super) fn bare(value: &Value) -> Value {
    split(Some(value)).0
}

/// `manager operation: paths` of each entry.
pub(super) fn owners(value: &Value) -> Vec<String> {
    let entries = value["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let paths = fields_v1::decode(&entry["fieldsV1"]).unwrap().texts().join(" ");
            let subresource = entry["subresource"]
                .as_str()
                .map(|name| format!("/{name}"))
                .unwrap_or_default();
            format!(
                "{}{subresource} {}: {paths}",
                entry["manager"].as_str().unwrap(),
                entry["operation"].as_str().unwrap()
            )
        })
        .collect()
}
