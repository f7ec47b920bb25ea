//! Strategic merge patch (`apimachinery/pkg/util/strategicpatch`): a merge patch that knows how lists merge.

use serde_json::{Map, Value};

use super::PatchError;
use super::strategic_list::{ListPatch, delete_primitives, merge_list, order_list};
use crate::schema::{NodeId, PatchStrategy, Schema};
use crate::{MAX_DEPTH, exceeds_depth};

pub(super) const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Merges `patch` into `target`: as a merge patch, but lists with a merge strategy in the schema merge by key, and
/// the directives `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/…` and `$setElementOrder/…` are obeyed.
/// On error `target` is half-patched and must be thrown away.
///
/// # Errors
/// [`PatchError::UnsupportedMediaType`] for custom resources, [`PatchError::Malformed`] for a patch that is no
/// object or misuses a directive, [`PatchError::Unprocessable`] if list items lack their merge key.
pub fn strategic(target: &mut Value, patch: &Value, schema: &Schema) -> Result<(), PatchError> {
    if schema.is_custom() {
        return Err(PatchError::UnsupportedMediaType);
    }
    let Value::Object(fields) = patch else {
        return Err(PatchError::Malformed(
            "a strategic merge patch must be a JSON object".to_owned(),
        ));
    };
    if exceeds_depth(patch, MAX_DEPTH) {
        return Err(PatchError::Malformed(format!(
            "the patch nests deeper than {MAX_DEPTH} levels"
        )));
    }
    merge_object(
        target,
        fields,
        At {
            schema,
            node: Some(schema.root()),
        },
    )
}

/// The place in the schema, if it knows one.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) schema: &'a Schema,
    pub(super) node: Option<NodeId>,
}

impl<'a> At<'a> {
    fn field(self, name: &str) -> Self {
        Self {
            node: self.node.and_then(|node| self.schema.child(node, name)),
            ..self
        }
    }

    pub(super) fn items(self) -> Self {
        Self {
            node: self.node.and_then(|node| self.schema.node(node).items),
            ..self
        }
    }

    pub(super) fn strategy(self) -> Option<&'a PatchStrategy> {
        self.node.and_then(|node| self.schema.node(node).patch.as_deref())
    }
}

pub(super) fn merge_object(
    target: &mut Value,
    patch: &Map<String, Value>,
    at: At<'_>,
) -> Result<(), PatchError> {
    match patch
        .get(PATCH)
        .map(|directive| directive.as_str().unwrap_or_default())
    {
        None | Some("merge") => {}
        Some("replace") => {
            *target = without_directives(patch);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some(other) => {
            return Err(PatchError::Malformed(format!(
                "unknown patch type: {other:?} in map"
            )));
        }
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return Ok(()) };
    retain_keys(map, patch)?;
    let ordered = merge_ordered_lists(map, patch, at)?;
    for (key, value) in patch {
        if key == PATCH || key == RETAIN_KEYS || key.starts_with(ORDER) || ordered.contains(&key.as_str()) {
            continue;
        }
        if let Some(name) = key.strip_prefix(DELETE) {
            let items = value.as_array().ok_or_else(|| not_a_list(key))?;
            if let Some(Value::Array(list)) = map.get_mut(name) {
                delete_primitives(list, items);
            }
            continue;
        }
        if value.is_null() {
            map.remove(key);
            continue;
        }
        let field = at.field(key);
        match (map.get_mut(key), value) {
            (Some(slot @ Value::Object(_)), Value::Object(inner)) => {
                if field.strategy().is_some_and(|strategy| strategy.replace) {
                    *slot = without_directives(inner);
                } else {
                    merge_object(slot, inner, field)?;
                }
            }
            (Some(Value::Array(list)), Value::Array(items)) => {
                merge_list(list, ListPatch { items, at: field })?;
            }
            _ => {
                map.insert(key.clone(), clean(value));
            }
        }
    }
    Ok(())
}

/// Drops the fields `$retainKeys` does not name: the old side of a union.
fn retain_keys(map: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), PatchError> {
    let Some(directive) = patch.get(RETAIN_KEYS) else {
        return Ok(());
    };
    let named: Option<Vec<&str>> = directive
        .as_array()
        .and_then(|names| names.iter().map(Value::as_str).collect());
    let Some(named) = named else {
        return Err(PatchError::Malformed(
            "$retainKeys must be a list of field names".to_owned(),
        ));
    };
    if patch
        .keys()
        .any(|key| !key.starts_with('$') && !named.contains(&key.as_str()))
    {
        return Err(PatchError::Malformed(
            "the list under $retainKeys must name all fields that are present in the patch".to_owned(),
        ));
    }
    map.retain(|key, _| named.contains(&key.as_str()));
    Ok(())
}

/// Merges the lists that have a `$setElementOrder/…` beside them, and orders them. Answers their names.
fn merge_ordered_lists<'p>(
    map: &mut Map<String, Value>,
    patch: &'p Map<String, Value>,
    at: At<'_>,
) -> Result<Vec<&'p str>, PatchError> {
    let mut merged = Vec::new();
    for (key, order) in patch {
        let Some(name) = key.strip_prefix(ORDER) else {
            continue;
        };
        let order = order.as_array().ok_or_else(|| not_a_list(key))?;
        let field = at.field(name);
        let items = match patch.get(name) {
            Some(Value::Array(items)) => Some(items),
            Some(Value::Null) => continue,
            Some(_) => return Err(not_a_list(name)),
            None => None,
        };
        match (map.get_mut(name), items) {
            (None | Some(Value::Null), None) => continue,
            (Some(Value::Array(list)), items) => {
                let before = list.clone();
                if let Some(items) = items {
                    merge_list(list, ListPatch { items, at: field })?;
                }
                order_list(list, order, &before, field);
            }
            (_, Some(items)) => {
                let mut list = match clean(&Value::Array(items.clone())) {
                    Value::Array(list) => list,
                    _ => Vec::new(),
                };
                order_list(&mut list, order, &[], field);
                map.insert(name.to_owned(), Value::Array(list));
            }
            (Some(_), None) => continue,
        }
        merged.push(name);
    }
    Ok(merged)
}

/// A value of the patch as it stands where nothing was before: without directives and nulls.
pub(super) fn clean(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.get(PATCH).is_some_and(|directive| directive == "delete") => {
            Value::Object(Map::new())
        }
        Value::Object(map) => without_directives(map),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .filter(|item| item.get(PATCH).is_none_or(|directive| directive == "merge"))
                .map(clean)
                .collect(),
        ),
        scalar => scalar.clone(),
    }
}

fn without_directives(map: &Map<String, Value>) -> Value {
    let is_directive =
        |key: &str| key == PATCH || key == RETAIN_KEYS || key.starts_with(ORDER) || key.starts_with(DELETE);
    let kept = map
        .iter()
        .filter(|(key, value)| !is_directive(key) && !value.is_null());
    Value::Object(kept.map(|(key, value)| (key.clone(), clean(value))).collect())
}

fn not_a_list(field: &str) -> PatchError {
    PatchError::Malformed(format!("{field:?} must be a list"))
}

#[cfg(test)]
mod tests;
