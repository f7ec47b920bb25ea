//! A consumer's place: the lowest record that is not done, and those above it that are.

use std::ops::Range;

use super::ranges::Ranges;
use crate::Position;

/// Which records are done. Everything before `low` is, `low` is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    low: Position,
    above: Ranges,
}

impl Cursor {
    /// Everything before `low` is done.
    pub fn new(low: Position) -> Self {
        Self {
            low,
            above: Ranges::default(),
        }
    }

    /// The lowest position that is not done.
    pub fn low(&self) -> Position {
        self.low
    }

    /// What is done above the lowest.
    pub fn above(&self) -> &Ranges {
        &self.above
    }

    /// Takes positions as done; how many were not yet.
    pub fn done(&mut self, range: Range<Position>) -> u64 {
        let start = range.start.max(self.low);
        if start >= range.end {
            return 0;
        }
        if start > self.low {
            return self.above.add(start..range.end);
        }
        // The usual case: in order.
        let mut added = range.end - start;
        self.low = range.end;
        while self.above.pieces() > 0 {
            let before = self.above.count();
            let Some(end) = self.above.take_from(self.low) else {
                break;
            };
            let taken = before - self.above.count();
            // What of the taken range lies below the new place was counted twice.
            added -= self.low.min(end).saturating_sub(end - taken);
            self.low = self.low.max(end);
        }
        added
    }

    /// Whether `position` is done.
    pub fn is_done(&self, position: Position) -> bool {
        position < self.low || self.above.contains(position)
    }

    /// Records before `next` that are not done.
    pub fn lag(&self, next: Position) -> u64 {
        next.saturating_sub(self.low).saturating_sub(self.above.count())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_place_is_the_lowest_that_is_not_done() {
        let mut cursor = Cursor::new(1);
        for (done, low, added) in [
            (3..4, 1, 1),
            (2..3, 1, 1),
            (2..3, 1, 0),
            (1..2, 4, 1),
            (0..3, 4, 0),
            (4..9, 9, 5),
        ] {
            assert_eq!(
                (cursor.done(done.clone()), cursor.low()),
                (added, low),
                "{done:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(done in prop::collection::vec((1u64..60, 0u64..6), 0..60)) {
            let (mut cursor, mut set) = (Cursor::new(5), (0..5).collect::<BTreeSet<u64>>());
            for (start, length) in done {
                let before = set.len();
                set.extend(start..start + length);
                prop_assert_eq!(cursor.done(start..start + length), (set.len() - before) as u64);
                let low = (0..).find(|position| !set.contains(position)).unwrap();
                prop_assert_eq!(cursor.low(), low);
                for position in 0..70 {
                    prop_assert_eq!(cursor.is_done(position), set.contains(&position));
                }
                prop_assert_eq!(cursor.lag(70), 70 - set.len() as u64);
            }
        }
    }
}
