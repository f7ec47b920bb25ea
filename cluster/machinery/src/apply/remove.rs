//! Removing paths from an object (`structured-merge-diff/typed/remove.go`).

use serde_json::Value;

use super::set::FieldSet;
use super::typed::{Shape, Typed};

/// Removes the members of `set` with all that is below them. A container that loses its last part stays, empty: were
/// it nobody's, it would be a member itself.
pub(super) fn remove(typed: Typed<'_>, value: &mut Value, set: &FieldSet) {
    if set.is_empty() {
        return;
    }
    let shape = typed.shape(value);
    match (value, shape) {
        (Value::Object(map), Shape::Map) => map.retain(|name, field| {
            let Some(entry) = set.get_field(name) else {
                return true;
            };
            remove(typed.field(name).typed, field, &entry.children);
            !entry.member
        }),
        (Value::Array(items), Shape::Set | Shape::Keyed(_)) => {
            let mut position = 0;
            items.retain_mut(|item| {
                let element = typed.stored_element(shape, position, item);
                position += 1;
                let Some(entry) = set.get(&element) else {
                    return true;
                };
                remove(typed.items(), item, &entry.children);
                !entry.member
            });
        }
        _ => {}
    }
}
