//! Sets of positions, kept as ranges.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::Position;

/// A set of positions: small where they are mostly in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Start to end (exclusive); neither overlapping nor touching.
    ranges: BTreeMap<Position, Position>,
    count: u64,
}

impl Ranges {
    /// Adds all of `range`; how many were not there yet.
    pub fn add(&mut self, range: Range<Position>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let (mut start, mut end, mut there) = (range.start, range.end, 0);
        while let Some((&from, &to)) = self.ranges.range(..=end).next_back() {
            if to < start {
                break;
            }
            there += to.min(range.end).saturating_sub(from.max(range.start));
            start = start.min(from);
            end = end.max(to);
            self.ranges.remove(&from);
        }
        self.ranges.insert(start, end);
        let added = range.end - range.start - there;
        self.count += added;
        added
    }

    /// Whether `position` is in the set.
    pub fn contains(&self, position: Position) -> bool {
        self.ranges
            .range(..=position)
            .next_back()
            .is_some_and(|(_, end)| position < *end)
    }

    /// Removes the lowest range if it begins at `start` or before; where it ends.
    pub fn take_from(&mut self, start: Position) -> Option<Position> {
        let entry = self.ranges.first_entry().filter(|entry| *entry.key() <= start)?;
        let (from, end) = entry.remove_entry();
        self.count -= end - from;
        Some(end)
    }

    /// The position after the highest one in the set; 0 if it is empty.
    pub fn end(&self) -> Position {
        self.ranges.last_key_value().map_or(0, |(_, end)| *end)
    }

    /// Positions in the set.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Ranges in the set.
    pub fn pieces(&self) -> usize {
        self.ranges.len()
    }

    /// The ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<Position>> {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set(adds in prop::collection::vec((0u64..60, 0u64..8), 0..40)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (start, length) in adds {
                let before = set.len();
                set.extend(start..start + length);
                prop_assert_eq!(ranges.add(start..start + length), (set.len() - before) as u64);
                prop_assert_eq!(ranges.count(), set.len() as u64);
                prop_assert_eq!(ranges.end(), set.last().map_or(0, |last| last + 1));
                let flat: Vec<u64> = ranges.iter().flatten().collect();
                prop_assert_eq!(flat, set.iter().copied().collect::<Vec<_>>());
            }
            for position in 0..70 {
                prop_assert_eq!(ranges.contains(position), set.contains(&position));
            }
            let all: Vec<_> = ranges.iter().collect();
            prop_assert!(all.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
