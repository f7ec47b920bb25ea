//! Small accessors for objects kept as plain JSON.
//!
//! They follow how the typed server reads an object: an absent field, and an empty string or zero where the Go field is
//! no pointer, are the same thing.

use serde_json::{Map, Value};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// Follows field names from `value`.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// Reads a string, empty when absent.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// Reads an integer.
pub(crate) fn integer(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

/// Reads a boolean, false when absent.
pub(crate) fn flag(value: &Value, path: &[&str]) -> bool {
    at(value, path).and_then(Value::as_bool).unwrap_or_default()
}

/// Reads the items of a list, none when absent.
pub(crate) fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Iterates over the entries of a map, none when absent.
pub(crate) fn entries<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = (&'a String, &'a Value)> {
    at(value, path).and_then(Value::as_object).into_iter().flatten()
}

/// Returns whether a field holds nothing: absent, null, `""`, `[]` or `{}`.
pub(crate) fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(_) => false,
    }
}

/// Borrows a child object for change.
pub(crate) fn object_mut<'a>(object: &'a mut Object, name: &str) -> Option<&'a mut Object> {
    object.get_mut(name).and_then(Value::as_object_mut)
}

/// Borrows the object at a path for change.
pub(crate) fn descend<'a>(object: &'a mut Object, path: &[&str]) -> Option<&'a mut Object> {
    path.iter()
        .try_fold(object, |object, name| object_mut(object, name))
}

/// Borrows a child object for change, made when absent; `None` when something else is there.
pub(crate) fn object_or_new<'a>(object: &'a mut Object, name: &str) -> Option<&'a mut Object> {
    object
        .entry(name)
        .or_insert_with(|| Value::Object(Object::new()))
        .as_object_mut()
}

/// Iterates over the objects in a list for change.
pub(crate) fn items_mut<'a>(object: &'a mut Object, name: &str) -> impl Iterator<Item = &'a mut Object> {
    object
        .get_mut(name)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// Sets a field that is absent. For fields that are pointers in Go: zero and empty count as set.
pub(crate) fn set_absent(object: &mut Object, name: &str, value: impl Into<Value>) {
    if !object.contains_key(name) {
        object.insert(name.to_owned(), value.into());
    }
}

/// Sets a field that is absent, empty or zero. For fields that are plain values in Go.
pub(crate) fn set_zero(object: &mut Object, name: &str, value: impl Into<Value>) {
    let zero = match object.get(name) {
        Some(Value::Number(number)) => number.as_i64() == Some(0),
        other => is_empty(other),
    };
    if zero {
        object.insert(name.to_owned(), value.into());
    }
}
