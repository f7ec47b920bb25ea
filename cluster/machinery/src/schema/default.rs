//! Defaults and nulls (`apiextensions/pkg/apiserver/schema/defaulting`).

use serde_json::Value;

use super::{NodeId, Schema};

pub(super) fn default(schema: &Schema, id: NodeId, value: &mut Value) {
    let node = schema.node(id);
    match value {
        Value::Object(map) => {
            // A null where null is no value means "absent"; the default below may then take its place.
            map.retain(|name, field| {
                !field.is_null()
                    || schema
                        .child(id, name)
                        .is_none_or(|known| schema.node(known).accepts_null())
            });
            for (name, known) in node.properties.iter() {
                if let Some(default) = &schema.node(*known).default
                    && !map.contains_key(name.as_ref())
                {
                    map.insert(name.to_string(), default.as_ref().clone());
                }
            }
            for (name, field) in map.iter_mut() {
                if let Some(known) = schema.child(id, name) {
                    default(schema, known, field);
                }
            }
        }
        Value::Array(items) => {
            let Some(known) = node.items else { return };
            for item in items {
                default(schema, known, item);
            }
        }
        _ => {}
    }
}
