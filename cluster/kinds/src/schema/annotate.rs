//! Adds list semantics to a generated definition, and removes what the Rust types require but the API does not.

use serde_json::{Map, Value, json};

use super::lists::{ATOMIC_TYPES, KEY_DEFAULTS, LISTS, List, MAPS, PATCHES, Patch};

/// Definitions that embed a reference whose name upstream does not require, for the sake of old objects.
const NAMELESS: [&str; 8] = [
    ".ConfigMapEnvSource",
    ".ConfigMapKeySelector",
    ".ConfigMapProjection",
    ".ConfigMapVolumeSource",
    ".LocalObjectReference",
    ".SecretEnvSource",
    ".SecretKeySelector",
    ".SecretProjection",
];

/// Completes one definition in place.
pub(super) fn annotate(name: &str, schema: &mut Value) {
    let name = name.strip_prefix("io.k8s.").unwrap_or(name);
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    if ATOMIC_TYPES.contains(&name) {
        schema.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
    }
    // The typed API crate makes `metadata` a plain field, hence required; upstream never requires it.
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        let optional_name = NAMELESS.iter().any(|suffix| name.ends_with(suffix));
        required.retain(|field| field != "metadata" && !(optional_name && field == "name"));
        if required.is_empty() {
            schema.remove("required");
        }
    }
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for (field, property) in properties.iter_mut() {
        if let Some(property) = property.as_object_mut() {
            annotate_field(name, field, property);
        }
    }
}

fn annotate_field(name: &str, field: &str, property: &mut Map<String, Value>) {
    let list = LISTS
        .iter()
        .find(|row| row.0 == name && row.1 == field)
        .map(|row| row.2);
    if property.get("type").is_some_and(|kind| kind == "array") {
        let list_type = match list {
            None => "atomic",
            Some(List::Set) => "set",
            Some(List::Map(keys)) => {
                property.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
                "map"
            }
        };
        property.insert("x-kubernetes-list-type".to_owned(), json!(list_type));
    }
    if let Some(row) = MAPS.iter().find(|row| row.0 == name && row.1 == field) {
        property.insert("x-kubernetes-map-type".to_owned(), json!(row.2));
    }
    if let Some(patch) = patch(name, field, list) {
        property.insert("x-kubernetes-patch-strategy".to_owned(), json!(patch.strategy));
        if let Some(key) = patch.merge_key {
            property.insert("x-kubernetes-patch-merge-key".to_owned(), json!(key));
        }
    }
    if let Some(row) = KEY_DEFAULTS.iter().find(|row| row.0 == name && row.1 == field) {
        property.insert("default".to_owned(), json!(row.2));
    }
}

fn patch(name: &str, field: &str, list: Option<List>) -> Option<Patch> {
    match (PATCHES.iter().find(|row| row.0 == name && row.1 == field), list) {
        (Some(row), _) => row.2,
        (None, Some(List::Map(keys))) => Some(Patch {
            strategy: "merge",
            merge_key: keys.first().copied(),
        }),
        (None, _) => None,
    }
}
