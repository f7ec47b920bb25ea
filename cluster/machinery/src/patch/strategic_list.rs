//! Lists in strategic merge patches: merged by key, ordered as the patch and the live object order them.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::PatchError;
use super::strategic::{At, PATCH, clean, merge_object};

pub(super) struct ListPatch<'a> {
    pub(super) items: &'a [Value],
    pub(super) at: At<'a>,
}

/// Merges the items of the patch into `list`, or replaces it if the schema knows no merge strategy.
pub(super) fn merge_list(list: &mut Vec<Value>, patch: ListPatch<'_>) -> Result<(), PatchError> {
    let ListPatch { items, at } = patch;
    if !at.strategy().is_some_and(|strategy| strategy.merge) {
        *list = items
            .iter()
            .filter(|item| item.get(PATCH).is_none_or(|it| it == "merge"))
            .map(clean)
            .collect();
        return Ok(());
    }
    if list.is_empty() && items.is_empty() {
        return Ok(());
    }
    let of_maps = items.iter().chain(list.iter()).any(Value::is_object);
    let before = list.clone();
    match at.strategy().and_then(|strategy| strategy.merge_key.as_deref()) {
        Some(key) => merge_maps(list, items, key, at)?,
        None if of_maps => {
            return Err(PatchError::Unprocessable(
                "cannot merge lists of objects without a merge key".to_owned(),
            ));
        }
        None => {
            let mut seen: HashSet<String> = HashSet::new();
            list.extend(items.iter().cloned());
            list.retain(|item| seen.insert(item.to_string()));
        }
    }
    order_list(list, items, &before, at);
    Ok(())
}

/// Removes the scalars in `items` from `list`.
pub(super) fn delete_primitives(list: &mut Vec<Value>, items: &[Value]) {
    let gone: HashSet<String> = items.iter().map(Value::to_string).collect();
    list.retain(|item| !gone.contains(&item.to_string()));
}

fn merge_maps(list: &mut Vec<Value>, items: &[Value], key: &str, at: At<'_>) -> Result<(), PatchError> {
    let mut plain: Vec<(&Map<String, Value>, String)> = Vec::with_capacity(items.len());
    let mut deleted: HashSet<String> = HashSet::new();
    let mut replace = false;
    for item in items {
        let Value::Object(map) = item else {
            return Err(PatchError::Malformed(format!(
                "a list that merges by {key:?} must hold objects only"
            )));
        };
        match map
            .get(PATCH)
            .map(|directive| directive.as_str().unwrap_or_default())
        {
            None | Some("merge") => plain.push((map, identity(item, key).ok_or_else(|| lacks(key))?)),
            Some("delete") => {
                deleted.insert(identity(item, key).ok_or_else(|| lacks(key))?);
            }
            Some("replace") => {
                replace = true;
                // Beside the bare marker, an item may carry the directive itself.
                if let Some(identity) = identity(item, key) {
                    plain.push((map, identity));
                }
            }
            Some(other) => {
                return Err(PatchError::Malformed(format!(
                    "unknown patch type: {other:?} in list"
                )));
            }
        }
    }
    if replace {
        list.clear();
    } else if !deleted.is_empty() {
        list.retain(|item| !identity(item, key).is_some_and(|identity| deleted.contains(&identity)));
    }
    let mut known: HashMap<String, usize> = HashMap::with_capacity(list.len());
    for (position, item) in list.iter().enumerate() {
        if let Some(identity) = identity(item, key) {
            known.entry(identity).or_insert(position);
        }
    }
    for (map, identity) in plain {
        match known.get(&identity).and_then(|position| list.get_mut(*position)) {
            Some(slot) => merge_object(slot, map, at.items())?,
            None => {
                known.insert(identity, list.len());
                let mut item = Value::Object(Map::new());
                merge_object(&mut item, map, at.items())?;
                list.push(item);
            }
        }
    }
    Ok(())
}

/// Orders a merged list: items of the patch as `order` has them, the others as they were (`before`), and each of
/// the others before the first item of the patch that it stood before. (Upstream: `normalizeElementOrder`.)
pub(super) fn order_list(list: &mut Vec<Value>, order: &[Value], before: &[Value], at: At<'_>) {
    let key = at.strategy().and_then(|strategy| strategy.merge_key.as_deref());
    let name = |item: &Value| key.map_or_else(|| Some(item.to_string()), |key| identity(item, key));
    let rank = |items: &[Value]| -> HashMap<String, usize> {
        let mut ranks = HashMap::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            if let Some(name) = name(item) {
                ranks.entry(name).or_insert(position);
            }
        }
        ranks
    };
    let (wanted, live) = (rank(order), rank(before));
    let mut patched = Vec::new();
    let mut others = Vec::new();
    for item in list.drain(..) {
        let name = name(&item);
        let lookup = |ranks: &HashMap<String, usize>| name.as_ref().and_then(|name| ranks.get(name)).copied();
        match (lookup(&wanted), lookup(&live)) {
            (Some(rank), live) => patched.push((rank, live, item)),
            (None, live) => others.push((live, item)),
        }
    }
    patched.sort_by_key(|(rank, _, _)| *rank);
    others.sort_by_key(|(live, _)| live.unwrap_or(usize::MAX));
    let mut others = others.into_iter().peekable();
    for (_, live, item) in patched {
        while let (Some((Some(other), _)), Some(live)) = (others.peek(), live)
            && *other < live
            && let Some((_, other)) = others.next()
        {
            list.push(other);
        }
        list.push(item);
    }
    list.extend(others.map(|(_, item)| item));
}

fn identity(item: &Value, key: &str) -> Option<String> {
    item.get(key).map(Value::to_string)
}

fn lacks(key: &str) -> PatchError {
    PatchError::Unprocessable(format!("map does not contain declared merge key: {key}"))
}
