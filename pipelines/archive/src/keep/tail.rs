//! The end of a log, within a bound.

use std::collections::VecDeque;

/// Bytes of the log of a step that are kept: its last ones, which tell how it ended.
pub(super) const MOST: usize = 2 << 20;

/// The last lines of a log.
#[derive(Debug)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    most: usize,
    held: usize,
    /// Bytes that did not fit.
    pub dropped: u64,
}

impl Tail {
    /// Holds no more than `most` bytes.
    pub fn new(most: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            most,
            held: 0,
            dropped: 0,
        }
    }

    /// Adds a line; the first ones may go for it.
    pub fn push(&mut self, line: String) {
        self.held += cost(&line);
        self.lines.push_back(line);
        while self.held > self.most {
            let Some(first) = self.lines.pop_front() else {
                return;
            };
            self.held -= cost(&first);
            self.dropped += cost(&first) as u64;
        }
    }

    pub fn into_lines(self) -> impl Iterator<Item = String> {
        self.lines.into_iter()
    }
}

/// A line and its end.
fn cost(line: &str) -> usize {
    line.len() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_held() {
        let mut tail = Tail::new(10);
        for line in ["aaaa", "bbbb"] {
            tail.push(line.to_owned());
        }
        assert_eq!(tail.dropped, 0);
        tail.push("c".to_owned());
        assert_eq!(tail.dropped, 5);
        assert_eq!(tail.into_lines().collect::<Vec<_>>(), ["bbbb", "c"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_counted() {
        let mut tail = Tail::new(3);
        tail.push("aaaa".to_owned());
        assert_eq!(tail.dropped, 5);
        tail.push("b".to_owned());
        assert_eq!(tail.into_lines().collect::<Vec<_>>(), ["b"]);
    }
}
