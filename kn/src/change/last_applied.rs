//! Declarative changes: what was applied last, what is declared now and what is there make a merge patch (RFC 7386) that
//! touches nothing else. Lists are replaced as a whole, as everywhere with merge patches.

use serde_json::{Map, Value};

use super::json::{at, object};
use crate::error::CliError;

/// Holds the configuration that was applied last, as JSON; kubectl reads and writes the same one.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Writes into the service what is declared, for the next time.
///
/// # Errors
/// Never with values that came from JSON or YAML.
pub fn remember(service: &mut Value) -> Result<(), CliError> {
    if let Some(annotations) = service
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
    let text = serde_json::to_string(service)
        .map_err(|error| CliError::usage(format!("the service cannot be written as JSON: {error}")))?;
    object(at(service, &["metadata", "annotations"])).insert(LAST_APPLIED.to_owned(), Value::from(text));
    Ok(())
}

/// What was applied last, if that is known.
pub fn recall(present: &Value) -> Option<Value> {
    serde_json::from_str(present["metadata"]["annotations"][LAST_APPLIED].as_str()?).ok()
}

/// The patch that brings `present` to `declared`, and removes what `last` declared and `declared` does not any more.
/// Empty if there is nothing to do.
pub fn patch(last: Option<&Value>, declared: &Value, present: &Value) -> Value {
    let mut patch = removals(last.unwrap_or(&Value::Null), declared, present);
    overlay(&mut patch, additions(declared, present));
    Value::Object(patch)
}

/// Fields of `declared` that `present` lacks or has otherwise.
fn additions(declared: &Value, present: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    for (key, wanted) in declared.as_object().into_iter().flatten() {
        match (wanted, present.get(key)) {
            (Value::Object(_), Some(there @ Value::Object(_))) => {
                let inner = additions(wanted, there);
                if !inner.is_empty() {
                    found.insert(key.clone(), Value::Object(inner));
                }
            }
            (Value::Null, None | Some(Value::Null)) => {}
            (wanted, Some(there)) if wanted == there => {}
            (wanted, _) => {
                found.insert(key.clone(), wanted.clone());
            }
        }
    }
    found
}

/// Fields of `last` that `declared` has no more, and `present` still has.
fn removals(last: &Value, declared: &Value, present: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    for (key, old) in last.as_object().into_iter().flatten() {
        let Some(there) = present.get(key) else { continue };
        match (declared.get(key), old) {
            (None, _) => {
                found.insert(key.clone(), Value::Null);
            }
            (Some(new @ Value::Object(_)), Value::Object(_)) => {
                let inner = removals(old, new, there);
                if !inner.is_empty() {
                    found.insert(key.clone(), Value::Object(inner));
                }
            }
            (Some(_), _) => {}
        }
    }
    found
}

/// Lays one patch over another; nulls stay, since they mean removal.
fn overlay(patch: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (patch.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => overlay(inner, value),
            (_, value) => {
                patch.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn foreign_fields_stay_and_own_ones_go() {
        let last = json!({ "metadata": { "labels": { "a": "1", "b": "2" } }, "spec": { "x": [1] } });
        let declared = json!({ "metadata": { "labels": { "a": "3" } }, "spec": { "x": [1, 2] } });
        let present = json!({ "metadata": { "labels": { "a": "1", "b": "2", "foreign": "f" }, "uid": "u" }, "spec": { "x": [1], "default": true } });
        assert_eq!(
            patch(Some(&last), &declared, &present),
            json!({ "metadata": { "labels": { "a": "3", "b": null } }, "spec": { "x": [1, 2] } })
        );
        assert_eq!(
            patch(None, &declared, &present)["metadata"]["labels"],
            json!({ "a": "3" }),
            "without memory nothing is removed"
        );
    }

    #[test]
    fn the_memory_does_not_contain_itself() {
        let mut service = json!({ "metadata": { "name": "web" } });
        remember(&mut service).unwrap();
        remember(&mut service).unwrap();
        assert_eq!(
            recall(&service).unwrap(),
            json!({ "metadata": { "name": "web", "annotations": {} } })
        );
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..4i64).prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn fields() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[a-d]", tree(), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    fn holds(whole: &Value, part: &Value) -> bool {
        match (whole, part) {
            (Value::Object(whole), Value::Object(part)) => part
                .iter()
                .all(|(key, value)| whole.get(key).is_some_and(|there| holds(there, value))),
            (whole, part) => whole == part,
        }
    }

    proptest! {
        #[test]
        fn the_patch_reaches_what_is_declared_and_then_rests(last in fields(), declared in fields(), present in fields()) {
            let mut after = present.clone();
            json_patch::merge(&mut after, &patch(Some(&last), &declared, &present));
            prop_assert!(holds(&after, &declared), "{} lacks {}", after, declared);
            prop_assert_eq!(patch(Some(&declared), &declared, &after), json!({}));
            for key in last.as_object().unwrap().keys().filter(|key| declared.get(key.as_str()).is_none()) {
                prop_assert!(after.get(key).is_none());
            }
        }
    }
}
