//! What differs between two states of a spec.

use std::collections::BTreeSet;

use formats::quantity::Quantity;
use serde_json::Value;

/// Lists the fields that differ, old value and new value each; empty if the two mean the same.
///
/// Absent, null, and empty fields mean the same, and so do quantities of the same amount.
pub(crate) fn diff(old: &Value, new: &Value) -> String {
    let mut text = String::new();
    compare("", &normal(old, ""), &normal(new, ""), &mut text);
    text
}

/// Do the two mean the same?
pub(crate) fn same(old: &Value, new: &Value) -> bool {
    diff(old, new).is_empty()
}

fn compare(path: &str, old: &Value, new: &Value, text: &mut String) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let (a, b) = (
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                );
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                compare(&path, a, b, text);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let (a, b) = (
                    a.get(index).unwrap_or(&Value::Null),
                    b.get(index).unwrap_or(&Value::Null),
                );
                compare(&format!("{path}[{index}]"), a, b, text);
            }
        }
        _ => {
            let path = if path.is_empty() { "{root}" } else { path };
            text.push_str(&format!("{path}:\n\t-: {}\n\t+: {}\n", shown(old), shown(new)));
        }
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        "<unset>".to_owned()
    } else {
        value.to_string()
    }
}

/// The value without what means nothing.
fn normal(value: &Value, parent: &str) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter_map(|(key, field)| {
                let field = if matches!(parent, "limits" | "requests") {
                    quantity(field)
                } else {
                    normal(field, key)
                };
                (!is_nothing(&field)).then(|| (key.clone(), field))
            });
            Value::Object(kept.collect())
        }
        Value::Array(entries) => Value::Array(entries.iter().map(|entry| normal(entry, parent)).collect()),
        other => other.clone(),
    }
}

fn quantity(value: &Value) -> Value {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    // Nano-units are the finest that a quantity keeps, so the amount in thousandths could hide a difference; the
    // canonical text does not.
    text.parse::<Quantity>()
        .map_or_else(|_| value.clone(), |quantity| Value::String(quantity.to_string()))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_means_the_same_does_not_differ() {
        for (old, new) in [
            (json!({"a": null, "b": {}, "c": []}), json!({})),
            (
                json!({"resources": {"limits": {"cpu": "1000m"}}}),
                json!({"resources": {"limits": {"cpu": 1}}}),
            ),
        ] {
            assert_eq!(diff(&old, &new), "");
        }
    }

    #[test]
    fn differences_name_the_field_and_both_values() {
        let old = json!({"containers": [{"image": "a"}], "timeoutSeconds": 1});
        let new = json!({"containers": [{"image": "b"}, {"image": "c"}]});
        assert_eq!(
            diff(&old, &new),
            "containers[0].image:\n\t-: \"a\"\n\t+: \"b\"\n\
             containers[1]:\n\t-: <unset>\n\t+: {\"image\":\"c\"}\n\
             timeoutSeconds:\n\t-: 1\n\t+: <unset>\n"
        );
    }
}
