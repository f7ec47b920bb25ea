//! Validation of an object: structure, and the parts of it one after the other.

use serde_json::{Map, Value};

use super::node::{JsonType, ListType, Node};
use super::{NodeId, Schema, validate_value};
use crate::FieldError;
use crate::field_error::{child, index};

/// Most errors collected for one object.
const MAX_ERRORS: usize = 200;

pub(super) fn validate(schema: &Schema, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut walk = Walk {
        schema,
        errors: Vec::new(),
    };
    walk.value(schema.root(), new, old, "");
    walk.errors
}

pub(super) struct Walk<'a> {
    pub(super) schema: &'a Schema,
    pub(super) errors: Vec<FieldError>,
}

impl Walk<'_> {
    pub(super) fn value(&mut self, id: NodeId, value: &Value, old: Option<&Value>, path: &str) {
        // Ratcheting (KEP-4008): what did not change is not judged again.
        if self.errors.len() >= MAX_ERRORS || old == Some(value) {
            return;
        }
        let node = self.schema.node(id);
        if value.is_null() && node.accepts_null() {
            return;
        }
        if !has_type(node, value) {
            self.errors.push(type_error(node, value, path));
            return;
        }
        validate_value::rules(self, node, value, path);
        match value {
            Value::Object(map) => self.object(id, map, old.and_then(Value::as_object), path),
            Value::Array(items) => self.array(node, items, old.and_then(Value::as_array), path),
            _ => {}
        }
    }

    fn object(&mut self, id: NodeId, map: &Map<String, Value>, old: Option<&Map<String, Value>>, path: &str) {
        let node = self.schema.node(id);
        for name in node.required.iter() {
            if !map.contains_key(name.as_ref()) {
                self.errors.push(FieldError::required(child(path, name), ""));
            }
        }
        for (name, field) in map {
            if let Some(known) = self.schema.child(id, name) {
                let before = old.and_then(|old| old.get(name));
                self.value(known, field, before, &child(path, name));
            }
        }
    }

    fn array(&mut self, node: &Node, items: &[Value], old: Option<&Vec<Value>>, path: &str) {
        if let Some(known) = node.items {
            for (position, item) in items.iter().enumerate() {
                let before = old.and_then(|old| counterpart(node, item, old));
                self.value(known, item, before, &index(path, position));
            }
        }
        if self.schema.is_custom() {
            self.repetitions(node, items, path);
        }
    }

    /// Lists of type set and map must not hold an item, or a key, twice.
    fn repetitions(&mut self, node: &Node, items: &[Value], path: &str) {
        let identity: Box<dyn Fn(&Value) -> Value> = match &node.list {
            ListType::Atomic => return,
            ListType::Set => Box::new(Value::clone),
            ListType::Map(keys) => Box::new(|item| key_of(item, keys)),
        };
        let mut seen = std::collections::HashSet::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            let identity = identity(item);
            if !seen.insert(identity.to_string()) {
                self.errors
                    .push(FieldError::duplicate(index(path, position), &identity));
            }
        }
    }
}

/// The item of the old list that `item` is a newer version of. Only lists of type map tell (as upstream).
fn counterpart<'a>(node: &Node, item: &Value, old: &'a [Value]) -> Option<&'a Value> {
    let ListType::Map(keys) = &node.list else {
        return None;
    };
    old.iter().find(|before| {
        keys.iter()
            .all(|key| before.get(key.as_ref()) == item.get(key.as_ref()))
    })
}

fn key_of(item: &Value, keys: &[Box<str>]) -> Value {
    let fields = keys
        .iter()
        .filter_map(|key| Some((key.to_string(), item.get(key.as_ref())?.clone())));
    Value::Object(fields.collect())
}

pub(super) fn has_type(node: &Node, value: &Value) -> bool {
    match node.kind {
        JsonType::Any => true,
        JsonType::IntOrString => {
            value.is_string()
                || is_integer(value)
                || (node.format == Some(super::format::Format::Quantity) && value.is_number())
        }
        JsonType::Object => value.is_object(),
        JsonType::Array => value.is_array(),
        JsonType::String => value.is_string(),
        JsonType::Integer => is_integer(value),
        JsonType::Number => value.is_number(),
        JsonType::Boolean => value.is_boolean(),
    }
}

/// `1.0` is an integer, as in JSON Schema.
fn is_integer(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        _ => false,
    }
}

fn type_error(node: &Node, value: &Value, path: &str) -> FieldError {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let detail = format!("{path} in body must be of type {}: {found:?}", node.kind.name());
    FieldError::type_invalid(path, &Value::from(found), &detail)
}
