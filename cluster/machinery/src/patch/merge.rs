//! JSON merge patch (RFC 7386).

use serde_json::{Map, Value};

use super::PatchError;
use crate::{MAX_DEPTH, exceeds_depth};

/// Merges `patch` into `target`: objects merge, `null` removes, everything else replaces.
///
/// # Errors
/// [`PatchError::Malformed`] if the patch is no object (an API object cannot become a list or a number) or if it
/// nests deeper than [`MAX_DEPTH`].
pub fn merge(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let Value::Object(fields) = patch else {
        return Err(PatchError::Malformed(
            "a merge patch must be a JSON object".to_owned(),
        ));
    };
    if exceeds_depth(patch, MAX_DEPTH) {
        return Err(PatchError::Malformed(format!(
            "the patch nests deeper than {MAX_DEPTH} levels"
        )));
    }
    merge_object(target, fields);
    Ok(())
}

fn merge_object(target: &mut Value, fields: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    for (name, value) in fields {
        match value {
            Value::Null => {
                map.remove(name);
            }
            Value::Object(inner) => merge_object(map.entry(name.as_str()).or_insert(Value::Null), inner),
            other => {
                map.insert(name.clone(), other.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn follows_the_examples_of_the_rfc() {
        // RFC 7386, appendix A, without the cases whose result or patch is no object.
        let table = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ];
        for (mut target, patch, expected) in table {
            merge(&mut target, &patch).unwrap();
            assert_eq!(target, expected, "{patch}");
        }
    }

    #[test]
    fn a_patch_that_is_no_object_is_refused() {
        for patch in [json!([]), json!("x"), json!(null)] {
            let error = merge(&mut json!({}), &patch).unwrap_err();
            assert_eq!(error.status_code(), 400);
        }
    }
}
