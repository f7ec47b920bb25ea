//! Fields that a schema does not know, for `fieldValidation`.

use serde_json::Value;

use super::{NodeId, Schema};
use crate::field_error::{child, index};

/// Most paths reported for one object.
const MAX_REPORTED: usize = 1_000;

pub(super) fn unknown_fields(schema: &Schema, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(schema, schema.root(), value, &mut String::new(), &mut found);
    found
}

fn walk(schema: &Schema, id: NodeId, value: &Value, path: &mut String, found: &mut Vec<String>) {
    let node = schema.node(id);
    let parent = path.len();
    match value {
        Value::Object(map) if node.describes_object() || node.preserve_unknown => {
            for (name, field) in map {
                match schema.child(id, name) {
                    Some(known) => {
                        if field.is_object() || field.is_array() {
                            if parent > 0 {
                                path.push('.');
                            }
                            path.push_str(name);
                            walk(schema, known, field, path, found);
                            path.truncate(parent);
                        }
                    }
                    None if node.preserve_unknown || found.len() >= MAX_REPORTED => {}
                    None => found.push(child(path, name)),
                }
            }
        }
        Value::Array(items) => {
            let Some(known) = node.items else { return };
            for (position, item) in items.iter().enumerate() {
                if item.is_object() || item.is_array() {
                    path.push_str(&index("", position));
                    walk(schema, known, item, path, found);
                    path.truncate(parent);
                }
            }
        }
        _ => {}
    }
}
