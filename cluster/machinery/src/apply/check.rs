//! Whether a configuration can be applied: every field declared, every list item with its own name.

use std::collections::BTreeSet;

use serde_json::Value;

use super::typed::{Shape, Typed};

/// Most errors reported for one configuration.
const MAX_ERRORS: usize = 100;

/// Lists what stands in the way, in the words of Kubernetes: `.spec.foo: field not declared in schema`.
pub(super) fn errors(typed: Typed<'_>, config: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(typed, config, &mut String::new(), &mut found);
    found
}

fn walk(typed: Typed<'_>, value: &Value, path: &mut String, found: &mut Vec<String>) {
    if found.len() >= MAX_ERRORS {
        return;
    }
    let shape = typed.shape(value);
    let parent = path.len();
    match (value, shape) {
        (Value::Object(map), Shape::Map) => {
            for (name, field) in map {
                let known = typed.field(name);
                path.push('.');
                path.push_str(name);
                if known.declared {
                    walk(known.typed, field, path, found);
                } else {
                    found.push(format!("{path}: field not declared in schema"));
                }
                path.truncate(parent);
            }
        }
        (Value::Array(items), Shape::Set | Shape::Keyed(_)) => {
            let mut seen = BTreeSet::new();
            for (position, item) in items.iter().enumerate() {
                match typed.element(shape, item) {
                    Ok(element) => {
                        path.push_str(&element.to_string());
                        walk(typed.items(), item, path, found);
                        path.truncate(parent);
                        let name = element.to_string();
                        if !seen.insert(element) {
                            found.push(format!("{path}: duplicate entries for key {name}"));
                        }
                    }
                    Err(key) if key.is_empty() => {
                        found.push(format!("{path}: element {position}: item has the wrong type for this list"));
                    }
                    Err(key) => found.push(format!(
                        "{path}: element {position}: associative list with keys has an element that omits key field \
                         {key:?} (and doesn't have default value)"
                    )),
                }
            }
        }
        _ => {}
    }
}
