//! From a value to the set of paths it sets (`typed.ToFieldSet`), and from types to sets.

use serde_json::Value;

use super::path::PathElement;
use super::set::{Entry, FieldSet};
use super::typed::{Shape, Typed};

/// The paths that a configuration sets: its leaves, its list items, its map entries and its empty maps.
pub(super) fn owned(typed: Typed<'_>, value: &Value) -> FieldSet {
    let shape = typed.shape(value);
    let entries = match (value, shape) {
        (Value::Object(map), Shape::Map) => map
            .iter()
            .map(|(name, field)| {
                let known = typed.field(name);
                let children = owned(known.typed, field);
                let leaf = known.typed.shape(field) == Shape::Leaf;
                let empty_map = field.as_object().is_some_and(serde_json::Map::is_empty);
                let member = leaf || empty_map || !known.named;
                Entry {
                    element: PathElement::Field(name.as_str().into()),
                    member,
                    children,
                }
            })
            .collect(),
        (Value::Array(items), Shape::Set | Shape::Keyed(_)) => items
            .iter()
            .enumerate()
            .map(|(position, item)| Entry {
                element: typed.stored_element(shape, position, item),
                member: true,
                children: owned(typed.items(), item),
            })
            .collect(),
        _ => Vec::new(),
    };
    FieldSet::from_entries(entries)
}

/// The set with the named fields on the way to its members (upstream: `EnsureNamedFieldsAreMembers`). Entries of
/// maps and items of lists are members already where somebody set them.
pub(super) fn with_named_parents(set: &FieldSet, typed: Typed<'_>) -> FieldSet {
    let entries = set.entries().iter().map(|entry| {
        let named = match &entry.element {
            PathElement::Field(name) => typed.field(name).named,
            _ => false,
        };
        Entry {
            element: entry.element.clone(),
            member: entry.member || named,
            children: with_named_parents(&entry.children, typed.below(&entry.element)),
        }
    });
    FieldSet::from_entries(entries.collect())
}

/// The set as the schema now has it: paths into what has become atomic own the whole
/// (upstream: `ReconcileFieldSetWithSchema`).
pub(super) fn fitted(set: &FieldSet, typed: Typed<'_>) -> FieldSet {
    let entries = set.entries().iter().map(|entry| {
        let below = typed.below(&entry.element);
        if !entry.children.is_empty() && below.is_atomic() {
            return Entry {
                element: entry.element.clone(),
                member: true,
                children: FieldSet::default(),
            };
        }
        Entry {
            element: entry.element.clone(),
            member: entry.member,
            children: fitted(&entry.children, below),
        }
    });
    FieldSet::from_entries(entries.collect())
}
