//! What differs between two versions of an object (`structured-merge-diff/typed/compare.go`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::{PathElement, same};
use super::set::{Entry, FieldSet};
use super::typed::{Shape, Typed};

/// The paths that a write added, changed and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

impl Comparison {
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// Without the paths below `ignored`.
    pub(super) fn without(self, ignored: &FieldSet) -> Self {
        Self {
            added: self.added.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            removed: self.removed.recursive_difference(ignored),
        }
    }
}

/// Compares two versions. Containers that appear or vanish count together with everything in them.
pub(super) fn compare(typed: Typed<'_>, old: &Value, new: &Value) -> Comparison {
    diff(typed, Some(old), Some(new)).below
}

/// Differences of one value: at its own path, and below it.
#[derive(Default)]
struct Diff {
    here: Option<Change>,
    below: Comparison,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Modified,
    Removed,
}

fn diff(typed: Typed<'_>, old: Option<&Value>, new: Option<&Value>) -> Diff {
    let change = match (old, new) {
        (None, None) => return Diff::default(),
        (None, Some(_)) => Change::Added,
        (Some(_), None) => Change::Removed,
        (Some(old), Some(new)) if old == new => return Diff::default(),
        (Some(_), Some(_)) => Change::Modified,
    };
    let shape_of = |value: Option<&Value>| {
        value
            .filter(|value| !value.is_null())
            .map(|value| typed.shape(value))
    };
    let (old_shape, new_shape) = (shape_of(old), shape_of(new));
    let here = |below: Comparison| Diff {
        here: (change != Change::Modified).then_some(change),
        below,
    };
    match (old_shape.or(new_shape), new_shape.or(old_shape)) {
        // Empty or null on both sides: a leaf, so that one turning into the other is seen.
        _ if hollow(old) && hollow(new) => leaf(change, old, new),
        (Some(Shape::Map), Some(Shape::Map)) => here(maps(typed, as_map(old), as_map(new))),
        (Some(shape @ (Shape::Set | Shape::Keyed(_))), Some(other)) if shape == other => {
            here(lists(typed, shape, as_list(old), as_list(new)))
        }
        (Some(Shape::Leaf) | None, Some(Shape::Leaf) | None) => leaf(change, old, new),
        // A container became a leaf or another container.
        _ => {
            let gone = diff(typed, old, None).below;
            let come = diff(typed, None, new).below;
            let below = Comparison {
                added: come.added,
                modified: FieldSet::default(),
                removed: gone.removed,
            };
            Diff {
                here: Some(Change::Modified),
                below,
            }
        }
    }
}

fn leaf(change: Change, old: Option<&Value>, new: Option<&Value>) -> Diff {
    let unchanged = match (old, new) {
        (Some(old), Some(new)) => same(old, new),
        _ => false,
    };
    Diff {
        here: (!unchanged).then_some(change),
        below: Comparison::default(),
    }
}

fn maps(typed: Typed<'_>, old: Option<&Map<String, Value>>, new: Option<&Map<String, Value>>) -> Comparison {
    let mut level = Level::default();
    let get = |map: Option<&'_ Map<String, Value>>, name: &str| map.is_some_and(|map| map.contains_key(name));
    for (name, before) in old.into_iter().flatten() {
        let after = new.and_then(|new| new.get(name));
        level.push(
            || PathElement::Field(name.as_str().into()),
            diff(typed.field(name).typed, Some(before), after),
        );
    }
    for (name, after) in new.into_iter().flatten().filter(|(name, _)| !get(old, name)) {
        level.push(
            || PathElement::Field(name.as_str().into()),
            diff(typed.field(name).typed, None, Some(after)),
        );
    }
    level.finish()
}

fn lists(typed: Typed<'_>, shape: Shape<'_>, old: &[Value], new: &[Value]) -> Comparison {
    let mut pairs: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    for (position, item) in old.iter().enumerate() {
        pairs
            .entry(typed.stored_element(shape, position, item))
            .or_default()
            .0
            .push(item);
    }
    for (position, item) in new.iter().enumerate() {
        pairs
            .entry(typed.stored_element(shape, position, item))
            .or_default()
            .1
            .push(item);
    }
    let mut level = Level::default();
    for (element, (before, after)) in pairs {
        let difference = match (before.as_slice(), after.as_slice()) {
            ([before], [after]) => diff(typed.items(), Some(before), Some(after)),
            ([before], []) => diff(typed.items(), Some(before), None),
            ([], [after]) => diff(typed.items(), None, Some(after)),
            // Objects from before list types may repeat a key: such items are compared together, as a leaf.
            (before, after) => {
                let equal =
                    before.len() == after.len() && before.iter().zip(after).all(|(old, new)| same(old, new));
                let change = match (before.is_empty(), after.is_empty()) {
                    (true, _) => Change::Added,
                    (_, true) => Change::Removed,
                    _ => Change::Modified,
                };
                Diff {
                    here: (!equal).then_some(change),
                    below: Comparison::default(),
                }
            }
        };
        level.push(|| element, difference);
    }
    level.finish()
}

/// Collects the three sets of one level.
#[derive(Default)]
struct Level {
    added: Vec<Entry>,
    modified: Vec<Entry>,
    removed: Vec<Entry>,
}

impl Level {
    fn push(&mut self, element: impl FnOnce() -> PathElement, diff: Diff) {
        let Diff { here, below } = diff;
        if here.is_none() && below.is_empty() {
            return;
        }
        let element = element();
        let put = |list: &mut Vec<Entry>, member: bool, children: FieldSet| {
            if member || !children.is_empty() {
                list.push(Entry {
                    element: element.clone(),
                    member,
                    children,
                });
            }
        };
        put(&mut self.added, here == Some(Change::Added), below.added);
        put(&mut self.modified, here == Some(Change::Modified), below.modified);
        put(&mut self.removed, here == Some(Change::Removed), below.removed);
    }

    fn finish(self) -> Comparison {
        Comparison {
            added: FieldSet::from_entries(self.added),
            modified: FieldSet::from_entries(self.modified),
            removed: FieldSet::from_entries(self.removed),
        }
    }
}

fn hollow(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

fn as_map(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

fn as_list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
