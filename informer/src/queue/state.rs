//! Which keys wait, which are worked on, which come later. Time is passed in.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::Reading;

pub(super) struct State<K> {
    ready: VecDeque<K>,
    /// Every key that is waiting or being worked on.
    known: HashMap<K, Progress>,
    /// When each delayed key is due; `order` has the same entries, ordered by time. Both, rather than a heap that
    /// skips outdated entries: a key that is looked at often and asks for a far recheck each time would pile them up.
    due: HashMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
    /// Failures in a row.
    failures: HashMap<K, u32>,
}

enum Progress {
    Waiting { since: Instant },
    Working { since: Instant, again: bool },
}

pub(super) struct Taken<K> {
    pub key: K,
    pub waited: Duration,
}

pub(super) struct Done {
    pub worked: Option<Duration>,
    /// Whether the key waits again.
    pub again: bool,
}

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            known: HashMap::new(),
            due: HashMap::new(),
            order: BTreeSet::new(),
            failures: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> State<K> {
    /// Returns whether the key is now waiting and was not before.
    pub(super) fn add(&mut self, key: K, now: Instant) -> bool {
        match self.known.get_mut(&key) {
            Some(Progress::Waiting { .. }) => false,
            Some(Progress::Working { again, .. }) => {
                *again = true;
                false
            }
            None => {
                self.forget_due(&key);
                self.known.insert(key.clone(), Progress::Waiting { since: now });
                self.ready.push_back(key);
                true
            }
        }
    }

    /// Returns whether the earliest due time may have changed.
    pub(super) fn add_at(&mut self, key: K, at: Instant) -> bool {
        if self.due.get(&key).is_some_and(|due| *due <= at) {
            return false;
        }
        self.forget_due(&key);
        self.due.insert(key.clone(), at);
        self.order.insert((at, key));
        true
    }

    /// Counts one more failure; returns how many there are in a row.
    pub(super) fn fail(&mut self, key: &K) -> u32 {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures = failures.saturating_add(1);
        *failures
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }

    pub(super) fn take(&mut self, now: Instant) -> Option<Taken<K>> {
        self.promote(now);
        let key = self.ready.pop_front()?;
        let working = Progress::Working {
            since: now,
            again: false,
        };
        let waited = match self.known.insert(key.clone(), working) {
            Some(Progress::Waiting { since }) => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        Some(Taken { key, waited })
    }

    pub(super) fn done(&mut self, key: &K, now: Instant) -> Done {
        match self.known.remove(key) {
            Some(Progress::Working { since, again }) => Done {
                worked: Some(now.saturating_duration_since(since)),
                again: again && self.add(key.clone(), now),
            },
            Some(waiting @ Progress::Waiting { .. }) => {
                self.known.insert(key.clone(), waiting);
                Done {
                    worked: None,
                    again: false,
                }
            }
            None => Done {
                worked: None,
                again: false,
            },
        }
    }

    pub(super) fn depth(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    pub(super) fn read(&self, now: Instant) -> Reading {
        let ages = self.known.values().filter_map(|progress| match progress {
            Progress::Working { since, .. } => Some(now.saturating_duration_since(*since).as_secs_f64()),
            Progress::Waiting { .. } => None,
        });
        let (unfinished, longest) = ages.fold((0.0, 0.0_f64), |(sum, max), age| (sum + age, max.max(age)));
        Reading {
            depth: self.ready.len(),
            unfinished,
            longest,
        }
    }

    fn promote(&mut self, now: Instant) {
        while self.next_due().is_some_and(|due| due <= now) {
            if let Some((_, key)) = self.order.pop_first() {
                self.due.remove(&key);
                self.add(key, now);
            }
        }
    }

    fn forget_due(&mut self, key: &K) {
        if let Some(at) = self.due.remove(key) {
            self.order.remove(&(at, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(state: &mut State<&'static str>, now: Instant) -> Option<&'static str> {
        state.take(now).map(|taken| taken.key)
    }

    #[tokio::test(start_paused = true)]
    async fn key_waits_once_and_comes_again_if_added_while_worked_on() {
        let (mut state, now) = (State::default(), Instant::now());
        assert!(state.add("a", now));
        assert!(!state.add("a", now));
        assert_eq!(taken(&mut state, now), Some("a"));
        assert!(!state.add("a", now));
        assert_eq!(taken(&mut state, now), None, "never two workers on one key");
        let second = Duration::from_secs(1);
        let done = state.done(&"a", now + second);
        assert!(done.again && done.worked == Some(second));
        assert_eq!(taken(&mut state, now), Some("a"));
        assert!(!state.done(&"a", now).again);
        assert_eq!(taken(&mut state, now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn earliest_of_several_delays_counts_and_leaves_nothing_behind() {
        let (mut state, now) = (State::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert!(state.add_at("a", now + 5 * second));
        assert!(state.add_at("a", now + second));
        assert!(!state.add_at("a", now + 3 * second));
        assert_eq!(taken(&mut state, now), None);
        assert_eq!(state.next_due(), Some(now + second));
        assert_eq!(taken(&mut state, now + second), Some("a"));
        state.done(&"a", now + second);
        assert_eq!(taken(&mut state, now + 10 * second), None);
        assert!(state.order.is_empty() && state.due.is_empty() && state.known.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn immediate_add_replaces_a_delay() {
        let (mut state, now) = (State::default(), Instant::now());
        for round in 0..100 {
            state.add_at("a", now + Duration::from_secs(36_000 + round));
            state.add("a", now);
            assert_eq!(taken(&mut state, now), Some("a"));
            state.done(&"a", now);
        }
        assert_eq!(state.next_due(), None);
        assert!(state.order.is_empty(), "far rechecks do not pile up");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_count_until_forgotten() {
        let mut state = State::default();
        assert_eq!((state.fail(&"a"), state.fail(&"a"), state.fail(&"b")), (1, 2, 1));
        state.forget(&"a");
        assert_eq!(state.fail(&"a"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn reading_sees_what_waits_and_how_long_work_goes_on() {
        let (mut state, now) = (State::default(), Instant::now());
        for key in ["a", "b", "c"] {
            state.add(key, now);
        }
        state.take(now);
        state.take(now + Duration::from_secs(1));
        let reading = state.read(now + Duration::from_secs(3));
        assert_eq!(
            (reading.depth, reading.unfinished, reading.longest),
            (1, 5.0, 3.0)
        );
    }
}
