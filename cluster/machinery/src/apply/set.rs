//! Sets of paths (`structured-merge-diff/fieldpath/set.go`): what a manager owns, what a write changed.

use super::path::PathElement;

/// A set of paths as a tree, each level sorted. No entry is without meaning: it is a member or has children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    entries: Vec<Entry>,
}

/// One step, whether the path up to it is in the set, and the paths that go on from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) element: PathElement,
    pub(crate) member: bool,
    pub(crate) children: FieldSet,
}

impl FieldSet {
    /// Makes a set of entries in any order. Equal elements become one entry, empty ones none.
    pub(crate) fn from_entries(mut entries: Vec<Entry>) -> Self {
        entries.retain(|entry| entry.member || !entry.children.is_empty());
        if !entries.is_sorted_by(|left, right| left.element < right.element) {
            entries.sort_by(|left, right| left.element.cmp(&right.element));
            entries.dedup_by(|later, earlier| {
                let same = later.element == earlier.element;
                if same {
                    earlier.member |= later.member;
                    earlier.children = earlier.children.union(&later.children);
                }
                same
            });
        }
        Self { entries }
    }

    /// The set of the paths given as field names, members at the last name.
    pub(crate) fn of_fields(paths: &[&[&str]]) -> Self {
        paths.iter().fold(Self::default(), |set, path| {
            let path: Vec<PathElement> = path
                .iter()
                .map(|name| PathElement::Field((*name).into()))
                .collect();
            set.union(&Self::of_path(&path.iter().collect::<Vec<_>>()))
        })
    }

    /// The set of one path.
    pub(crate) fn of_path(path: &[&PathElement]) -> Self {
        let mut set = Self::default();
        for (left, element) in path.iter().rev().enumerate() {
            set = Self {
                entries: vec![Entry {
                    element: (*element).clone(),
                    member: left == 0,
                    children: set,
                }],
            };
        }
        set
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn get(&self, element: &PathElement) -> Option<&Entry> {
        let at = self
            .entries
            .binary_search_by(|entry| entry.element.cmp(element))
            .ok()?;
        self.entries.get(at)
    }

    pub(crate) fn get_field(&self, name: &str) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| match &entry.element {
            PathElement::Field(field) => field.as_ref().cmp(name),
            // Fields sort before all other elements.
            _ => std::cmp::Ordering::Greater,
        });
        self.entries.get(at.ok()?)
    }

    /// The paths in either set.
    pub(crate) fn union(&self, other: &Self) -> Self {
        if self.is_empty() {
            return other.clone();
        }
        self.combine(
            other,
            Keep {
                left: true,
                right: true,
            },
            |left, right| Entry {
                element: left.element.clone(),
                member: left.member || right.member,
                children: left.children.union(&right.children),
            },
        )
    }

    /// The paths in both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.combine(
            other,
            Keep {
                left: false,
                right: false,
            },
            |left, right| Entry {
                element: left.element.clone(),
                member: left.member && right.member,
                children: left.children.intersection(&right.children),
            },
        )
    }

    /// The paths in this set that are not in the other. Children of the other's members stay.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.combine(
            other,
            Keep {
                left: true,
                right: false,
            },
            |left, right| Entry {
                element: left.element.clone(),
                member: left.member && !right.member,
                children: left.children.difference(&right.children),
            },
        )
    }

    /// The paths in this set that neither are in the other nor go on from a member of it.
    pub(crate) fn recursive_difference(&self, other: &Self) -> Self {
        self.combine(
            other,
            Keep {
                left: true,
                right: false,
            },
            |left, right| Entry {
                element: left.element.clone(),
                member: left.member && !right.member,
                children: if right.member {
                    Self::default()
                } else {
                    left.children.recursive_difference(&right.children)
                },
            },
        )
    }

    /// Calls `visit` with each path of the set, in order.
    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(&[&PathElement])) {
        fn walk<'a>(
            set: &'a FieldSet,
            path: &mut Vec<&'a PathElement>,
            visit: &mut dyn FnMut(&[&PathElement]),
        ) {
            for entry in &set.entries {
                path.push(&entry.element);
                if entry.member {
                    visit(path);
                }
                walk(&entry.children, path, visit);
                path.pop();
            }
        }
        walk(self, &mut Vec::new(), visit);
    }

    /// Each path as text: `.spec.containers[name="x"].image`.
    #[cfg(test)]
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        self.for_each(&mut |path| texts.push(path.iter().map(ToString::to_string).collect()));
        texts
    }

    /// Walks both sorted lists once.
    fn combine(&self, other: &Self, keep: Keep, both: impl Fn(&Entry, &Entry) -> Entry) -> Self {
        let mut entries = Vec::with_capacity(self.entries.len());
        let (mut left, mut right) = (self.entries.iter().peekable(), other.entries.iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(left), Some(right)) => left.element.cmp(&right.element),
            };
            let entry = match order {
                std::cmp::Ordering::Less => left.next().filter(|_| keep.left).cloned(),
                std::cmp::Ordering::Greater => right.next().filter(|_| keep.right).cloned(),
                std::cmp::Ordering::Equal => match (left.next(), right.next()) {
                    (Some(left), Some(right)) => Some(both(left, right)),
                    _ => None,
                },
            };
            entries.extend(entry.filter(|entry| entry.member || !entry.children.is_empty()));
        }
        Self { entries }
    }
}

/// Whether elements of only one side go into the result.
#[derive(Clone, Copy)]
struct Keep {
    left: bool,
    right: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algebra_of_paths() {
        let a = FieldSet::of_fields(&[&["spec", "a"], &["spec", "b"], &["spec"], &["x"]]);
        let b = FieldSet::of_fields(&[&["spec", "b"], &["spec"], &["y", "z"]]);
        assert_eq!(a.union(&b).texts(), [".spec", ".spec.a", ".spec.b", ".x", ".y.z"]);
        assert_eq!(a.intersection(&b).texts(), [".spec", ".spec.b"]);
        assert_eq!(a.difference(&b).texts(), [".spec.a", ".x"]);
        assert_eq!(a.recursive_difference(&b).texts(), [".x"]);
        assert!(a.difference(&a).is_empty());
        assert_eq!(a.get_field("spec").map(|entry| entry.member), Some(true));
        assert!(a.get_field("none").is_none());
    }
}
