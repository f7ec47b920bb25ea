//! Which keys wait, which are worked on, which come later. Time is passed in.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::key::Key;

#[derive(Default)]
pub(super) struct State {
    ready: VecDeque<Key>,
    /// Every key that is waiting or being worked on.
    known: HashMap<Key, Progress>,
    /// When each delayed key is due; entries of `order` that disagree were replaced by earlier ones.
    due: HashMap<Key, Instant>,
    order: BinaryHeap<Reverse<(Instant, Key)>>,
}

enum Progress {
    Waiting { since: Instant },
    Working { again: bool },
}

pub(super) struct Taken {
    pub key: Key,
    pub waited: Duration,
}

impl State {
    /// Returns whether the key is now waiting and was not before.
    pub(super) fn add(&mut self, key: Key, now: Instant) -> bool {
        match self.known.get_mut(&key) {
            Some(Progress::Waiting { .. }) => false,
            Some(Progress::Working { again }) => {
                *again = true;
                false
            }
            None => {
                self.due.remove(&key);
                self.known.insert(key.clone(), Progress::Waiting { since: now });
                self.ready.push_back(key);
                true
            }
        }
    }

    /// Returns whether the earliest due time may have changed.
    pub(super) fn add_at(&mut self, key: Key, at: Instant) -> bool {
        if self.due.get(&key).is_some_and(|due| *due <= at) {
            return false;
        }
        self.due.insert(key.clone(), at);
        self.order.push(Reverse((at, key)));
        true
    }

    pub(super) fn take(&mut self, now: Instant) -> Option<Taken> {
        self.promote(now);
        let key = self.ready.pop_front()?;
        let waited = match self.known.insert(key.clone(), Progress::Working { again: false }) {
            Some(Progress::Waiting { since }) => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        Some(Taken { key, waited })
    }

    /// Returns whether the key waits again.
    pub(super) fn done(&mut self, key: &Key, now: Instant) -> bool {
        match self.known.remove(key) {
            Some(Progress::Working { again: true }) => self.add(key.clone(), now),
            Some(waiting @ Progress::Waiting { .. }) => {
                self.known.insert(key.clone(), waiting);
                false
            }
            _ => false,
        }
    }

    pub(super) fn depth(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn next_due(&mut self) -> Option<Instant> {
        loop {
            let Reverse((at, key)) = self.order.peek()?;
            if self.due.get(key) == Some(at) {
                return Some(*at);
            }
            self.order.pop();
        }
    }

    fn promote(&mut self, now: Instant) {
        while self.next_due().is_some_and(|due| due <= now) {
            if let Some(Reverse((_, key))) = self.order.pop() {
                self.due.remove(&key);
                self.add(key, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    fn taken(state: &mut State, now: Instant) -> Option<String> {
        state.take(now).map(|taken| taken.key.name)
    }

    #[tokio::test(start_paused = true)]
    async fn key_waits_once_and_comes_again_if_added_while_worked_on() {
        let (mut state, now) = (State::default(), Instant::now());
        assert!(state.add(key("a"), now));
        assert!(!state.add(key("a"), now));
        assert_eq!(taken(&mut state, now).as_deref(), Some("a"));
        assert!(!state.add(key("a"), now));
        assert_eq!(taken(&mut state, now), None, "never two workers on one key");
        assert!(state.done(&key("a"), now));
        assert_eq!(taken(&mut state, now).as_deref(), Some("a"));
        assert!(!state.done(&key("a"), now));
        assert_eq!(taken(&mut state, now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn earliest_of_several_delays_counts_and_leaves_nothing_behind() {
        let (mut state, now) = (State::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert!(state.add_at(key("a"), now + 5 * second));
        assert!(state.add_at(key("a"), now + second));
        assert!(!state.add_at(key("a"), now + 3 * second));
        assert_eq!(taken(&mut state, now), None);
        assert_eq!(state.next_due(), Some(now + second));
        assert_eq!(taken(&mut state, now + second).as_deref(), Some("a"));
        state.done(&key("a"), now + second);
        assert_eq!(taken(&mut state, now + 10 * second), None);
        assert!(state.order.is_empty() && state.due.is_empty() && state.known.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn immediate_add_replaces_a_delay() {
        let (mut state, now) = (State::default(), Instant::now());
        state.add_at(key("a"), now + Duration::from_secs(60));
        state.add(key("a"), now);
        assert_eq!(taken(&mut state, now).as_deref(), Some("a"));
        state.done(&key("a"), now);
        assert_eq!(state.next_due(), None);
    }
}
