//! Ways through JSON that make what is missing.

use serde_json::{Map, Value};

/// `value` as an object; anything else is replaced by an empty one.
pub fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("it has just been made an object"),
    }
}

/// `value` as an array; anything else is replaced by an empty one.
pub fn array(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(items) => items,
        _ => unreachable!("it has just been made an array"),
    }
}

/// The field at the end of `path`; objects on the way are made.
pub fn at<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Value {
    path.iter().fold(value, |value, field| {
        object(value).entry((*field).to_owned()).or_insert(Value::Null)
    })
}

/// Sets a text field, or removes it when the text is empty.
pub fn set_text(value: &mut Value, field: &str, text: &str) {
    if text.is_empty() {
        object(value).remove(field);
    } else {
        object(value).insert(field.to_owned(), Value::from(text));
    }
}

/// Removes `field` if it is empty or null.
pub fn drop_empty(value: &mut Value, field: &str) {
    let empty = match value.get(field) {
        Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        _ => false,
    };
    if empty {
        object(value).remove(field);
    }
}

/// The item of this `name` in a list of named things.
pub fn named<'a>(items: &'a mut [Value], field: &str, name: &str) -> Option<&'a mut Value> {
    items.iter_mut().find(|item| item[field] == name)
}
