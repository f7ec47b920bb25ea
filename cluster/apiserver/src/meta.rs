//! Reading and writing `metadata` of plain JSON objects.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// An object of which only the metadata is of interest: the rest is skipped, which takes a fraction of parsing it.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

/// Returns the JSON text of an object's metadata, or `null`.
pub(crate) fn raw(object: &[u8]) -> &str {
    let head: Result<Head<'_>, _> = serde_json::from_slice(object);
    let metadata = head.ok().and_then(|head| head.metadata);
    metadata.map_or("null", RawValue::get)
}

/// Parses of a JSON text what is at these paths and skips the rest, which takes a fraction of parsing it: an object with
/// those members alone, or the whole of what is not an object.
pub(crate) fn pick(text: &str, paths: &[&[&str]]) -> Value {
    let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else {
        return serde_json::from_str(text).unwrap_or_default();
    };
    let mut picked = Map::new();
    for (key, member) in members {
        let below: Vec<&[&str]> = paths
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(first, _)| **first == key)
            .map(|(_, rest)| rest)
            .collect();
        if !below.is_empty() {
            picked.insert(key, pick_member(member.get(), &below));
        }
    }
    Value::Object(picked)
}

fn pick_member(text: &str, paths: &[&[&str]]) -> Value {
    match paths.iter().any(|path| path.is_empty()) {
        true => serde_json::from_str(text).unwrap_or_default(),
        false => pick(text, paths),
    }
}

/// Returns the text at a JSON pointer, or `""`.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

pub(crate) fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Returns `metadata` for writing; creates it, and replaces what is not an object.
pub(crate) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_mut(object, "metadata")
}

/// Returns a child object for writing; creates it, and replaces what is not an object.
pub(crate) fn child_mut<'a>(object: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let child = match object {
        Value::Object(map) => map.entry(key).or_insert(Value::Null),
        other => other,
    };
    as_map(child)
}

/// Returns the map of an object, after making it one.
pub(crate) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the line above made it an object"),
    }
}

/// Sets or (with `None`) removes a key of a map.
pub(crate) fn set(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            map.insert(key.to_owned(), value);
        }
        None => {
            map.remove(key);
        }
    }
}

/// Formats an instant as `metadata` shows it: RFC 3339, UTC, whole seconds.
pub(crate) fn time(at: jiff::Timestamp) -> String {
    format!(
        "{:.0}",
        jiff::Timestamp::from_second(at.as_second()).unwrap_or(at)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_picked_is_what_is_there() {
        let object = json!({
            "metadata": {"name": "a", "labels": {"x": "y"}, "managedFields": [{"manager": "m"}]},
            "spec": {"nodeName": "n", "containers": [{"name": "c"}], "\n": "\"}"},
            "status": null,
            "odd": [{"a": 1}, {"b": 2}],
        });
        let text = object.to_string();
        let table: [(&[&[&str]], Value); 8] = [
            (&[], json!({})),
            (&[&["none"], &["spec", "none"]], json!({"spec": {}})),
            (&[&["spec", "nodeName"]], json!({"spec": {"nodeName": "n"}})),
            (
                &[&["metadata", "name"], &["metadata", "labels"], &["spec", "\n"]],
                json!({"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"\n": "\"}"}}),
            ),
            (
                &[&["metadata"], &["metadata", "name"]],
                json!({"metadata": object["metadata"]}),
            ),
            (&[&["status", "phase"]], json!({"status": null})),
            (&[&["odd", "1", "b"]], json!({"odd": object["odd"]})),
            (
                &[&["spec", "nodeName", "deeper"]],
                json!({"spec": {"nodeName": "n"}}),
            ),
        ];
        for (paths, wanted) in table {
            assert_eq!(pick(&text, paths), wanted, "{paths:?}");
        }
        assert_eq!(pick("{", &[&["a"]]), Value::Null);
    }
}
