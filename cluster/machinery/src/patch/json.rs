//! JSON patch (RFC 6902) with the limits and status codes of Kubernetes.

use serde_json::Value;

use super::PatchError;
use crate::{MAX_DEPTH, exceeds_depth};

/// Most operations in one patch (upstream: `maxJSONPatchOperations`).
const MAX_OPERATIONS: usize = 10_000;

/// Most values that `copy` may add in one patch: a patch of a few bytes must not grow the object without bound
/// (upstream limits the copied bytes to 3 MiB).
const MAX_COPIED_VALUES: usize = 100_000;

/// Applies the operations in order. On error `target` is half-patched and must be thrown away.
///
/// # Errors
/// [`PatchError::Malformed`] (400) if the patch is not a list of operations, [`PatchError::Unprocessable`] (422) if
/// a path does not exist, a `test` fails or the result would be too large.
pub fn json(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let Value::Array(operations) = patch else {
        return Err(PatchError::Malformed(
            "a JSON patch must be a list of operations".to_owned(),
        ));
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::Malformed(format!(
            "the allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    let mut copied = 0;
    for operation in operations {
        apply(target, &Operation::read(operation)?, &mut copied)?;
    }
    Ok(())
}

enum Operation<'a> {
    Add { path: Pointer, value: &'a Value },
    Remove { path: Pointer },
    Replace { path: Pointer, value: &'a Value },
    Move { from: Pointer, path: Pointer },
    Copy { from: Pointer, path: Pointer },
    Test { path: Pointer, value: &'a Value },
}

impl<'a> Operation<'a> {
    fn read(operation: &'a Value) -> Result<Self, PatchError> {
        let text = |name: &str| {
            operation.get(name).and_then(Value::as_str).ok_or_else(|| {
                PatchError::Malformed(format!(
                    "a JSON patch operation misses the text field {name:?}: {operation}"
                ))
            })
        };
        let value = || {
            let value = operation.get("value").ok_or_else(|| {
                PatchError::Malformed(format!(
                    "a JSON patch operation misses the field \"value\": {operation}"
                ))
            })?;
            if exceeds_depth(value, MAX_DEPTH) {
                return Err(PatchError::Malformed(format!(
                    "a value nests deeper than {MAX_DEPTH} levels"
                )));
            }
            Ok(value)
        };
        let path = Pointer::parse(text("path")?)?;
        Ok(match text("op")? {
            "add" => Self::Add {
                path,
                value: value()?,
            },
            "remove" => Self::Remove { path },
            "replace" => Self::Replace {
                path,
                value: value()?,
            },
            "move" => Self::Move {
                from: Pointer::parse(text("from")?)?,
                path,
            },
            "copy" => Self::Copy {
                from: Pointer::parse(text("from")?)?,
                path,
            },
            "test" => Self::Test {
                path,
                value: value()?,
            },
            other => {
                return Err(PatchError::Malformed(format!(
                    "unknown JSON patch operation {other:?}"
                )));
            }
        })
    }
}

fn apply(target: &mut Value, operation: &Operation<'_>, copied: &mut usize) -> Result<(), PatchError> {
    match operation {
        Operation::Add { path, value } => add(target, path, (*value).clone()),
        Operation::Remove { path } => remove(target, path).map(|_| ()),
        Operation::Replace { path, value } => replace(target, path, (*value).clone()),
        Operation::Move { from, path } => {
            if path.tokens.len() > from.tokens.len() && path.tokens.starts_with(&from.tokens) {
                return Err(PatchError::Unprocessable(format!(
                    "cannot move {:?} into its own child {:?}",
                    from.text, path.text
                )));
            }
            let value = remove(target, from)?;
            add(target, path, value)
        }
        Operation::Copy { from, path } => {
            let value = find(target, &from.tokens).ok_or_else(|| missing("copy", from))?;
            *copied += count(value);
            if *copied > MAX_COPIED_VALUES {
                return Err(PatchError::Unprocessable(format!(
                    "the patch copies more than {MAX_COPIED_VALUES} values"
                )));
            }
            let value = value.clone();
            add(target, path, value)
        }
        Operation::Test { path, value } => match find(target, &path.tokens) {
            // As upstream: a test for null holds where there is nothing.
            found if found.unwrap_or(&Value::Null) == *value => Ok(()),
            None => Err(missing("test", path)),
            Some(_) => Err(PatchError::Unprocessable(format!(
                "testing value {} failed: test failed",
                path.text
            ))),
        },
    }
}

fn add(target: &mut Value, path: &Pointer, value: Value) -> Result<(), PatchError> {
    path.check_depth(&value)?;
    let Some((last, parents)) = path.tokens.split_last() else {
        *target = value;
        return Ok(());
    };
    match find_mut(target, parents) {
        Some(Value::Object(map)) => {
            map.insert(last.clone(), value);
            Ok(())
        }
        Some(Value::Array(items)) => {
            let at = if last == "-" {
                Some(items.len())
            } else {
                position(last)
            };
            match at.filter(|at| *at <= items.len()) {
                Some(at) => {
                    items.insert(at, value);
                    Ok(())
                }
                None => Err(missing("add", path)),
            }
        }
        _ => Err(missing("add", path)),
    }
}

/// Against the RFC, and as upstream, a member that an object lacks is added: clients rely on it (`tkn … cancel` replaces a
/// `/spec/status` that was never set).
fn replace(target: &mut Value, path: &Pointer, value: Value) -> Result<(), PatchError> {
    path.check_depth(&value)?;
    if let Some((last, parents)) = path.tokens.split_last()
        && let Some(Value::Object(map)) = find_mut(target, parents)
    {
        map.insert(last.clone(), value);
        return Ok(());
    }
    let slot = find_mut(target, &path.tokens).ok_or_else(|| missing("replace", path))?;
    *slot = value;
    Ok(())
}

fn remove(target: &mut Value, path: &Pointer) -> Result<Value, PatchError> {
    let Some((last, parents)) = path.tokens.split_last() else {
        return Err(PatchError::Unprocessable(
            "cannot remove the whole object".to_owned(),
        ));
    };
    let removed = match find_mut(target, parents) {
        Some(Value::Object(map)) => map.remove(last),
        Some(Value::Array(items)) => position(last)
            .filter(|at| *at < items.len())
            .map(|at| items.remove(at)),
        _ => None,
    };
    removed.ok_or_else(|| missing("remove", path))
}

fn find<'a>(value: &'a Value, tokens: &[String]) -> Option<&'a Value> {
    tokens.iter().try_fold(value, |value, token| match value {
        Value::Object(map) => map.get(token),
        Value::Array(items) => position(token).and_then(|at| items.get(at)),
        _ => None,
    })
}

fn find_mut<'a>(value: &'a mut Value, tokens: &[String]) -> Option<&'a mut Value> {
    tokens.iter().try_fold(value, |value, token| match value {
        Value::Object(map) => map.get_mut(token),
        Value::Array(items) => position(token).and_then(|at| items.get_mut(at)),
        _ => None,
    })
}

/// A list position: decimal, no sign, no leading zero (RFC 6901 §4).
fn position(token: &str) -> Option<usize> {
    let canonical =
        token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    if canonical { token.parse().ok() } else { None }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

fn missing(operation: &str, path: &Pointer) -> PatchError {
    PatchError::Unprocessable(format!(
        "{operation} operation does not apply: doc is missing path: {:?}: missing value",
        path.text
    ))
}

/// A JSON pointer (RFC 6901), unescaped.
struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl Pointer {
    fn parse(text: &str) -> Result<Self, PatchError> {
        let tokens = match text.strip_prefix('/') {
            Some(rest) => rest
                .split('/')
                .map(|token| token.replace("~1", "/").replace("~0", "~"))
                .collect(),
            None if text.is_empty() => Vec::new(),
            None => {
                return Err(PatchError::Malformed(format!(
                    "the path {text:?} must start with \"/\""
                )));
            }
        };
        Ok(Self {
            text: text.to_owned(),
            tokens,
        })
    }

    fn check_depth(&self, value: &Value) -> Result<(), PatchError> {
        match MAX_DEPTH.checked_sub(self.tokens.len()) {
            Some(left) if !exceeds_depth(value, left) => Ok(()),
            _ => Err(PatchError::Unprocessable(format!(
                "at {:?} the object would nest deeper than {MAX_DEPTH} levels",
                self.text
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_do_what_upstream_does() {
        let table = [
            (
                json!({"a": 1}),
                json!([{"op": "add", "path": "/b", "value": 2}]),
                json!({"a": 1, "b": 2}),
            ),
            (
                json!({"a": [1, 3]}),
                json!([{"op": "add", "path": "/a/1", "value": 2}]),
                json!({"a": [1, 2, 3]}),
            ),
            (
                json!({"a": [1]}),
                json!([{"op": "add", "path": "/a/-", "value": 2}]),
                json!({"a": [1, 2]}),
            ),
            (
                json!({"a": 1, "b": 2}),
                json!([{"op": "remove", "path": "/a"}]),
                json!({"b": 2}),
            ),
            (
                json!({"a": [1, 2]}),
                json!([{"op": "remove", "path": "/a/0"}]),
                json!({"a": [2]}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "replace", "path": "/a", "value": 3}]),
                json!({"a": 3}),
            ),
            (
                json!({"a": {"x": 1}, "l": [1, 2]}),
                json!([{"op": "replace", "path": "/a/y", "value": 2}, {"op": "replace", "path": "/l/1", "value": 3}]),
                json!({"a": {"x": 1, "y": 2}, "l": [1, 3]}),
            ),
            (
                json!({"a": {"x": 1}}),
                json!([{"op": "move", "from": "/a/x", "path": "/y"}]),
                json!({"a": {}, "y": 1}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "copy", "from": "/a", "path": "/b"}]),
                json!({"a": 1, "b": 1}),
            ),
            (
                json!({"a/b": {"~": 1}}),
                json!([{"op": "test", "path": "/a~1b/~0", "value": 1}]),
                json!({"a/b": {"~": 1}}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "test", "path": "/b", "value": null}]),
                json!({"a": 1}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "replace", "path": "", "value": {}}]),
                json!({}),
            ),
            (json!({"": 1}), json!([{"op": "remove", "path": "/"}]), json!({})),
        ];
        for (mut target, patch, expected) in table {
            json(&mut target, &patch).unwrap();
            assert_eq!(target, expected, "{patch}");
        }
    }

    #[test]
    fn failures_have_the_status_of_kubernetes() {
        let table = [
            (json!([{"op": "test", "path": "/a", "value": 2}]), 422),
            (json!([{"op": "remove", "path": "/nope"}]), 422),
            (json!([{"op": "replace", "path": "/nope/x", "value": 1}]), 422),
            (json!([{"op": "replace", "path": "/l/1", "value": 1}]), 422),
            (json!([{"op": "replace", "path": "/a/x", "value": 1}]), 422),
            (json!([{"op": "add", "path": "/x/y", "value": 1}]), 422),
            (json!([{"op": "add", "path": "/l/2", "value": 1}]), 422),
            (json!([{"op": "add", "path": "/l/01", "value": 1}]), 422),
            (json!([{"op": "move", "from": "/l", "path": "/l/0"}]), 422),
            (json!([{"op": "remove", "path": ""}]), 422),
            (json!({"op": "add"}), 400),
            (json!([{"op": "jump", "path": "/a"}]), 400),
            (json!([{"op": "add", "path": "/a"}]), 400),
            (json!([{"op": "add", "path": "a", "value": 1}]), 400),
            (json!(["x"]), 400),
        ];
        for (patch, status) in table {
            let error = json(&mut json!({"a": 1, "l": [1]}), &patch).unwrap_err();
            assert_eq!(error.status_code(), status, "{patch}: {error}");
        }
    }

    #[test]
    fn copies_cannot_explode() {
        let double = json!({"op": "copy", "from": "/l", "path": "/l/-"});
        let error = json(&mut json!({"l": [1]}), &Value::Array(vec![double; 200])).unwrap_err();
        assert_eq!(error.status_code(), 422);
        let nest = json!({"op": "copy", "from": "/a", "path": "/a/x"});
        let error = json(&mut json!({"a": {}}), &Value::Array(vec![nest; 200])).unwrap_err();
        assert_eq!(error.status_code(), 422);
    }

    proptest! {
        #[test]
        fn add_then_remove_is_the_identity(keys in proptest::collection::btree_map("[a-z/~]{0,3}", 0..9i64, 0..6), key in "[A-Z/~]{1,3}") {
            let before = json!(keys);
            let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            prop_assume!(!keys.contains_key(&key));
            let mut target = before.clone();
            json(&mut target, &json!([{"op": "add", "path": pointer, "value": {"n": 1}}])).unwrap();
            prop_assert_eq!(target.get(&key), Some(&json!({"n": 1})));
            json(&mut target, &json!([{"op": "remove", "path": pointer}])).unwrap();
            prop_assert_eq!(target, before);
        }
    }
}
