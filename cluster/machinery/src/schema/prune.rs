//! Removal of fields that a schema does not know (`apiextensions/pkg/apiserver/schema/pruning`).

use serde_json::Value;

use super::{NodeId, Schema};

pub(super) fn prune(schema: &Schema, id: NodeId, value: &mut Value) {
    let node = schema.node(id);
    match value {
        Value::Object(map) => {
            if node.describes_object() && !node.preserve_unknown {
                map.retain(|name, _| schema.child(id, name).is_some());
            }
            for (name, field) in map.iter_mut() {
                if let Some(known) = schema.child(id, name) {
                    prune(schema, known, field);
                }
            }
        }
        Value::Array(items) => {
            let Some(known) = node.items else { return };
            for item in items {
                prune(schema, known, item);
            }
        }
        _ => {}
    }
}
