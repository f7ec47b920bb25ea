//! The parts every resource has, for schemas that leave them out.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// `io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta`: structure and extensions, no descriptions.
static OBJECT_META: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "generateName": {"type": "string"},
            "namespace": {"type": "string"},
            "selfLink": {"type": "string"},
            "uid": {"type": "string"},
            "resourceVersion": {"type": "string"},
            "generation": {"type": "integer", "format": "int64"},
            "creationTimestamp": {"type": "string", "format": "date-time"},
            "deletionTimestamp": {"type": "string", "format": "date-time"},
            "deletionGracePeriodSeconds": {"type": "integer", "format": "int64"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
            "ownerReferences": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["uid"],
                "x-kubernetes-patch-strategy": "merge",
                "x-kubernetes-patch-merge-key": "uid",
                "items": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "required": ["apiVersion", "kind", "name", "uid"],
                    "properties": {
                        "apiVersion": {"type": "string"},
                        "kind": {"type": "string"},
                        "name": {"type": "string"},
                        "uid": {"type": "string"},
                        "controller": {"type": "boolean"},
                        "blockOwnerDeletion": {"type": "boolean"},
                    },
                },
            },
            "finalizers": {
                "type": "array",
                "x-kubernetes-list-type": "set",
                "x-kubernetes-patch-strategy": "merge",
                "items": {"type": "string"},
            },
            "managedFields": {
                "type": "array",
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "properties": {
                        "manager": {"type": "string"},
                        "operation": {"type": "string"},
                        "apiVersion": {"type": "string"},
                        "time": {"type": "string", "format": "date-time"},
                        "fieldsType": {"type": "string"},
                        "fieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        "subresource": {"type": "string"},
                    },
                },
            },
        },
    })
});

/// Adds `apiVersion`, `kind` and the full `metadata` to the schema of a resource. What the schema itself says
/// about fields of `metadata` (a pattern for the name) stays.
pub(super) fn complete_resource(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut completed = schema.clone();
    let mut properties = match completed.get("properties") {
        Some(Value::Object(properties)) => properties.clone(),
        _ => Map::new(),
    };
    for name in ["apiVersion", "kind"] {
        properties
            .entry(name)
            .or_insert_with(|| json!({"type": "string"}));
    }
    let mut metadata = OBJECT_META.clone();
    if let (Some(own), Some(known)) = (
        properties
            .get("metadata")
            .and_then(|own| own.get("properties"))
            .and_then(Value::as_object),
        metadata.get_mut("properties").and_then(Value::as_object_mut),
    ) {
        for (name, field) in own {
            known.insert(name.clone(), field.clone());
        }
    }
    properties.insert("metadata".to_owned(), metadata);
    completed.insert("properties".to_owned(), Value::Object(properties));
    completed
}
