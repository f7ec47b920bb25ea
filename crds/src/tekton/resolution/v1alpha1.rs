//! v1alpha1 of ResolutionRequest, whose params are a map of texts.
//!
//! Where the list of v1beta1 says more than a map of texts (other types, their order), the map has their JSON, and an
//! annotation of the v1alpha1 object keeps the list: it comes back as long as the map says the same. Upstream refuses to
//! convert such an object, and with it every list that has one.

use serde_json::{Map, Value, json};

use crate::tekton::RESOLUTION_GROUP;
use crate::tekton::v1beta1::ANNOTATION;

/// The version.
pub const VERSION: &str = "v1alpha1";
/// The version that is stored.
pub const STORED: &str = "v1beta1";

/// Turns an object of v1alpha1 into one of v1beta1.
pub fn to_stored(object: &mut Value) {
    let kept = take(object);
    if let Some(params) = params(object)
        && let Value::Object(map) = params
    {
        *params = kept
            .filter(|kept| texts(kept) == *map)
            .unwrap_or_else(|| list(map))
            .into();
    }
    set_version(object, STORED);
}

/// Turns an object of v1beta1 into one of v1alpha1: what [`to_stored`] undoes.
pub fn from_stored(object: &mut Value) {
    take(object);
    let mut kept = None;
    if let Some(params) = params(object)
        && let Value::Array(given) = params
    {
        let map = texts(given);
        kept = (list(&map) != *given).then(|| params.to_string());
        *params = map.into();
    }
    if let Some(kept) = kept {
        keep(object, kept);
    }
    set_version(object, VERSION);
}

fn params(object: &mut Value) -> Option<&mut Value> {
    object.get_mut("spec")?.get_mut("params")
}

/// The params of v1beta1 as v1alpha1 has them.
fn texts(params: &[Value]) -> Map<String, Value> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    params
        .iter()
        .map(|param| {
            let name = param.get("name").and_then(Value::as_str).unwrap_or_default();
            let value = param.get("value").map(text).unwrap_or_default();
            (name.to_owned(), value.into())
        })
        .collect()
}

/// The params of v1alpha1 as v1beta1 has them.
fn list(params: &Map<String, Value>) -> Vec<Value> {
    params
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

/// Takes what was kept off an object. What cannot be read is nothing.
fn take(object: &mut Value) -> Option<Vec<Value>> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let text = annotations.remove(ANNOTATION)?;
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    serde_json::from_str(text.as_str()?).ok()
}

fn keep(object: &mut Value, text: String) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(ANNOTATION.to_owned(), text.into());
    }
}

fn set_version(object: &mut Value, version: &str) {
    if let Some(object) = object.as_object_mut() {
        let version = format!("{RESOLUTION_GROUP}/{version}");
        object.insert("apiVersion".to_owned(), version.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str, params: Value) -> Value {
        json!({"apiVersion": format!("resolution.tekton.dev/{version}"), "metadata": {"name": "a"},
               "spec": {"params": params, "url": "https://h"}, "status": {"data": "eA=="}})
    }

    #[test]
    fn params_are_a_map_and_a_list() {
        let mut found = object("v1alpha1", json!({"url": "u", "revision": "main"}));
        let stored = json!([{"name": "revision", "value": "main"}, {"name": "url", "value": "u"}]);
        to_stored(&mut found);
        assert_eq!(found, object("v1beta1", stored));
        from_stored(&mut found);
        assert_eq!(found, object("v1alpha1", json!({"url": "u", "revision": "main"})));
    }

    #[test]
    fn what_a_map_cannot_say_comes_back_while_it_says_the_same() {
        let stored = object(
            "v1beta1",
            json!([{"name": "z", "value": ["x", "y"]}, {"name": "a", "value": "text"}]),
        );
        let mut shown = stored.clone();
        from_stored(&mut shown);
        assert_eq!(shown["spec"]["params"], json!({"a": "text", "z": r#"["x","y"]"#}));
        let mut back = shown.clone();
        to_stored(&mut back);
        assert_eq!(back, stored);
        // What is written there since is meant.
        shown["spec"]["params"]["a"] = json!("other");
        to_stored(&mut shown);
        let written = json!([{"name": "a", "value": "other"}, {"name": "z", "value": r#"["x","y"]"#}]);
        assert_eq!(shown, object("v1beta1", written));
    }

    #[test]
    fn what_is_no_such_object_stays_but_for_its_version() {
        for odd in [
            json!(1),
            json!({}),
            json!({"spec": []}),
            json!({"spec": {"params": 1}}),
        ] {
            let (mut stored, mut shown) = (odd.clone(), odd.clone());
            to_stored(&mut stored);
            from_stored(&mut shown);
            for found in [&mut stored, &mut shown] {
                if let Some(found) = found.as_object_mut() {
                    found.remove("apiVersion");
                }
                assert_eq!(*found, odd);
            }
        }
    }
}
