//! Quantities in canonical form: `0.5` becomes `500m`, `1024Mi` becomes `1Gi`, numbers become text.
//!
//! The typed server writes them so. If they were kept as the client wrote them, an unchanged manifest would look like a
//! change to whoever compares.

use formats::quantity::Quantity;
use serde_json::Value;

use crate::json::{Object, object_mut};

/// Rewrites one quantity; a text that is none stays for validation to report.
pub(super) fn canonical(value: &mut Value) {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    if let Ok(quantity) = text.parse::<Quantity>() {
        *value = Value::String(quantity.to_string());
    }
}

/// Rewrites the field of an object, if it is there.
pub(super) fn canonical_field(object: &mut Object, name: &str) {
    if let Some(value) = object.get_mut(name) {
        canonical(value);
    }
}

/// Rewrites all quantities of a map, if it is there.
pub(super) fn canonical_map(object: &mut Object, name: &str) {
    for value in object_mut(object, name).into_iter().flat_map(Object::values_mut) {
        canonical(value);
    }
}

/// Rewrites `limits` and `requests` of a `resources` field.
pub(super) fn canonical_resources(object: &mut Object) {
    if let Some(resources) = object_mut(object, "resources") {
        canonical_map(resources, "limits");
        canonical_map(resources, "requests");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::canonical;

    #[test]
    fn quantities_are_written_one_way() {
        for (written, kept) in [
            (json!("0.5"), json!("500m")),
            (json!("1024Mi"), json!("1Gi")),
            (json!(2), json!("2")),
            (json!(0.25), json!("250m")),
            (json!("1e3"), json!("1e3")),
            (json!("lots"), json!("lots")),
            (json!(null), json!(null)),
        ] {
            let mut value = written.clone();
            canonical(&mut value);
            assert_eq!(value, kept, "{written}");
        }
    }
}
