//! Types of events as labels: producers choose them, so only so many are told apart.

use std::collections::HashSet;

use parking_lot::RwLock;

/// Types that get a label of their own, for the life of the process: the first ones that come.
const MOST: usize = 100;
/// Bytes of the longest type that does.
const LONGEST: usize = 128;
pub(super) const OTHER: &str = "other";

#[derive(Debug, Default)]
pub(crate) struct Types {
    /// Leaked: at most [`MOST`] times [`LONGEST`] bytes.
    known: RwLock<HashSet<&'static str>>,
}

impl Types {
    /// The type itself, or `other`.
    pub(crate) fn label(&self, event_type: &str) -> &'static str {
        {
            let known = self.known.read();
            if let Some(known) = known.get(event_type) {
                return known;
            }
            if event_type.len() > LONGEST || known.len() >= MOST {
                return OTHER;
            }
        }
        let mut known = self.known.write();
        if known.len() >= MOST {
            return OTHER;
        }
        // Another request may have added it by now; then that one is found, and nothing more is leaked.
        if let Some(known) = known.get(event_type) {
            return known;
        }
        let label: &'static str = event_type.to_owned().leak();
        known.insert(label);
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_types_are_told_apart() {
        let types = Types::default();
        for n in 0..MOST {
            let name = format!("type-{n}");
            assert_eq!(types.label(&name), name);
        }
        assert_eq!(types.label("one-more"), OTHER);
        assert_eq!(types.label("type-7"), "type-7");
    }

    #[test]
    fn long_types_are_other_and_take_no_place() {
        let types = Types::default();
        assert_eq!(types.label(&"x".repeat(LONGEST + 1)), OTHER);
        assert!(types.known.read().is_empty());
    }
}
