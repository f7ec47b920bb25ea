//! What the typed round trip of upstream changes in any object before defaults are applied.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::json::{Object, object_or_new};
use crate::kind::Kind;

/// Depth up to which an object is walked; request bodies are not nested deeper than the parser allows.
const MAX_DEPTH: usize = 128;

pub(super) fn normalise(kind: &Kind, object: &mut Value) {
    drop_nulls(object, MAX_DEPTH);
    if let ("", "Secret", Some(secret)) = (kind.group, kind.kind, object.as_object_mut()) {
        string_data(secret);
    }
}

/// Removes fields that are null: for typed objects they equal absent ones (`creationTimestamp: null` is in every
/// manifest that Go wrote). Free-form JSON keeps its nulls.
fn drop_nulls(value: &mut Value, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for (name, field) in fields.iter_mut() {
                // The schema of a custom resource, and the state that a ControllerRevision keeps.
                if !matches!(name.as_str(), "openAPIV3Schema" | "data") {
                    drop_nulls(field, depth);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_nulls(item, depth)),
        _ => {}
    }
}

/// `stringData` is write-only: it is merged into `data`, encoded.
fn string_data(secret: &mut Object) {
    let Some(Value::Object(plain)) = secret.remove("stringData") else {
        return;
    };
    if plain.is_empty() {
        return;
    }
    if let Some(data) = object_or_new(secret, "data") {
        for (key, value) in plain {
            if let Some(text) = value.as_str() {
                data.insert(key, Value::String(STANDARD.encode(text)));
            }
        }
    }
}
