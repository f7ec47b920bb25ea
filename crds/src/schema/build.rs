//! Words to write schemas with.

use serde_json::{Map, Value, json};

/// What Kubernetes takes for a quantity.
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

pub(super) fn string() -> Value {
    json!({"type": "string"})
}

pub(super) fn boolean() -> Value {
    json!({"type": "boolean"})
}

pub(super) fn int32() -> Value {
    json!({"type": "integer", "format": "int32"})
}

pub(super) fn int64() -> Value {
    json!({"type": "integer", "format": "int64"})
}

/// A number or a name, as ports are.
pub(super) fn int_or_string() -> Value {
    json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true})
}

/// One of several texts.
pub(super) fn one_of(values: &[&str]) -> Value {
    json!({"type": "string", "enum": values})
}

/// A text with a default.
pub(super) fn defaulted(text: &str) -> Value {
    json!({"type": "string", "default": text})
}

/// An object of any shape; what flags and other kinds' templates hide behind.
pub(super) fn anything() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// An object with these fields and no others.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let properties: Map<String, Value> = fields
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    json!({"type": "object", "properties": properties})
}

/// A map from texts to texts.
pub(super) fn string_map() -> Value {
    map_of(string())
}

/// A map from texts to `values`.
pub(super) fn map_of(values: Value) -> Value {
    json!({"type": "object", "additionalProperties": values})
}

/// A map from resource names to quantities.
pub(super) fn quantities() -> Value {
    map_of(json!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": QUANTITY,
        "x-kubernetes-int-or-string": true,
    }))
}

/// A list that server-side apply treats as one value.
pub(super) fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// A list that is merged by a key, which no two entries may share.
pub(super) fn list_by(key: &str, items: Value) -> Value {
    let mut list = list(items);
    set(&mut list, "x-kubernetes-list-type", json!("map"));
    set(&mut list, "x-kubernetes-list-map-keys", json!([key]));
    list
}

/// A structure that server-side apply treats as one value.
pub(super) fn atomic(mut schema: Value) -> Value {
    set(&mut schema, "x-kubernetes-map-type", json!("atomic"));
    schema
}

/// The same with fields that must be given.
pub(super) fn requiring(mut schema: Value, fields: &[&str]) -> Value {
    set(&mut schema, "required", json!(fields));
    schema
}

/// The same with words for `kubectl explain`.
pub(super) fn described(text: &str, mut schema: Value) -> Value {
    set(&mut schema, "description", json!(text));
    schema
}

/// Adds the fields of `more` to an object schema.
pub(super) fn with_fields<const N: usize>(mut schema: Value, more: [(&str, Value); N]) -> Value {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.extend(more.into_iter().map(|(name, field)| (name.to_owned(), field)));
    }
    schema
}

/// The same, empty where it is left out.
pub(super) fn or_empty(mut schema: Value) -> Value {
    set(&mut schema, "default", json!({}));
    schema
}

/// The whole object: metadata around `spec` and, unless it has none, `status`.
pub(super) fn resource(description: &str, spec: Value, status: Option<Value>) -> Value {
    let mut root = object([
        (
            "apiVersion",
            described(
                "Group and version of the schema that this object is written in.",
                string(),
            ),
        ),
        (
            "kind",
            described("Name of the schema that this object is written in.", string()),
        ),
        ("metadata", json!({"type": "object"})),
        ("spec", spec),
    ]);
    if let Some(status) = status {
        root = with_fields(root, [("status", status)]);
    }
    described(description, root)
}

fn set(schema: &mut Value, key: &str, value: Value) {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(key.to_owned(), value);
    }
}
