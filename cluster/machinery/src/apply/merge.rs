//! Merging an applied configuration into an object (`structured-merge-diff/typed/merge.go`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::path::PathElement;
use super::typed::{Shape, Typed};

/// Merges `config` into `live`: leaves are replaced, granular containers merge part by part.
pub(super) fn merge(typed: Typed<'_>, live: &mut Value, config: &Value) {
    match (typed.shape(config), &mut *live, config) {
        (Shape::Map, Value::Object(map), Value::Object(fields)) => {
            for (name, value) in fields {
                match map.get_mut(name) {
                    Some(slot) => merge(typed.field(name).typed, slot, value),
                    None => {
                        map.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (shape @ (Shape::Set | Shape::Keyed(_)), Value::Array(list), Value::Array(items)) => {
            merge_lists(typed, shape, list, items);
        }
        _ => *live = config.clone(),
    }
}

/// Merges items by name. The configuration decides the order of its items; the others keep their place before the
/// shared item that followed them.
fn merge_lists(typed: Typed<'_>, shape: Shape<'_>, list: &mut Vec<Value>, items: &[Value]) {
    let names = |values: &[Value]| -> Vec<PathElement> {
        values
            .iter()
            .enumerate()
            .map(|(at, value)| typed.stored_element(shape, at, value))
            .collect()
    };
    let (live_names, config_names) = (names(list), names(items));
    let in_config: BTreeSet<&PathElement> = config_names.iter().collect();
    // Live items that the configuration also has; of repeated ones the first counts, the others go.
    let mut shared: BTreeMap<&PathElement, Value> = BTreeMap::new();
    let mut slots: Vec<Option<Value>> = Vec::with_capacity(list.len());
    for (name, item) in live_names.iter().zip(list.drain(..)) {
        if in_config.contains(name) {
            shared.entry(name).or_insert(item);
            slots.push(None);
        } else {
            slots.push(Some(item));
        }
    }
    let order: Vec<&PathElement> = config_names
        .iter()
        .filter(|name| shared.contains_key(name))
        .collect();
    let mut next_shared = order.into_iter().peekable();
    let mut done: BTreeSet<&PathElement> = BTreeSet::new();
    let mut live = live_names.iter().zip(slots).peekable();
    let mut config = config_names.iter().zip(items).peekable();
    loop {
        // Live items of nobody's configuration go first, up to the shared item that comes next; a shared item out
        // of turn is passed over, it will come in its turn.
        if let Some((name, slot)) = live.peek_mut() {
            if let Some(own) = slot.take() {
                list.push(own);
                live.next();
                continue;
            }
            let in_turn = next_shared.peek().is_some_and(|next| next == name);
            if !in_turn || done.contains(name) {
                live.next();
                continue;
            }
        }
        let Some((name, item)) = config.next() else {
            // What is left of the live list is shared and done.
            if live.next().is_none() {
                break;
            }
            continue;
        };
        match shared.remove(name) {
            Some(mut merged) => {
                merge(typed.items(), &mut merged, item);
                list.push(merged);
            }
            None => list.push(item.clone()),
        }
        done.insert(name);
        if next_shared.peek().is_some_and(|next| *next == name) {
            next_shared.next();
        }
    }
}
