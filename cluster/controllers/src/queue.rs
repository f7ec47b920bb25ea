//! A work queue of keys: each key is handed to one worker at a time, waits at most once, and backs off when it fails.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// First wait after a failed attempt; doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
/// Longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Keys to be worked on. Its size is bounded by the number of objects: a key is in it at most once.
pub struct Queue<K> {
    state: Mutex<State<K>>,
    wake: Notify,
}

struct State<K> {
    ready: VecDeque<K>,
    /// Keys in `ready`, or due again as soon as the worker that holds them is done.
    dirty: HashSet<K>,
    processing: HashSet<K>,
    /// Earliest time at which a key becomes ready, ordered by time.
    delayed: BTreeSet<(Instant, K)>,
    delayed_until: HashMap<K, Instant>,
    failures: HashMap<K, u32>,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                dirty: HashSet::new(),
                processing: HashSet::new(),
                delayed: BTreeSet::new(),
                delayed_until: HashMap::new(),
                failures: HashMap::new(),
            }),
            wake: Notify::new(),
        }
    }

    /// Asks for `key` to be worked on as soon as possible.
    pub fn add(&self, key: K) {
        if self.state.lock().add(key) {
            self.wake.notify_one();
        }
    }

    /// Asks for `key` to be worked on after `delay`, unless it is due earlier anyway.
    pub fn add_after(&self, key: K, delay: Duration) {
        let due = Instant::now() + delay;
        let mut state = self.state.lock();
        match state.delayed_until.get(&key) {
            Some(&earlier) if earlier <= due => return,
            Some(&later) => {
                state.delayed.remove(&(later, key.clone()));
            }
            None => {}
        }
        state.delayed_until.insert(key.clone(), due);
        state.delayed.insert((due, key));
        drop(state);
        self.wake.notify_one();
    }

    /// Asks for `key` again after a wait that doubles with each failure since the last [`Queue::forget`].
    pub fn retry(&self, key: K) {
        let failures = {
            let mut state = self.state.lock();
            let count = state.failures.entry(key.clone()).or_insert(0);
            *count = count.saturating_add(1);
            *count
        };
        self.add_after(key, backoff(failures));
    }

    /// Forgets the failures of `key`.
    pub fn forget(&self, key: &K) {
        self.state.lock().failures.remove(key);
    }

    /// The next key to work on; waits for one. The caller must give it back by [`Queue::done`].
    pub async fn next(&self) -> K {
        loop {
            let wake = self.wake.notified();
            let next_due = {
                let mut state = self.state.lock();
                state.release_due(Instant::now());
                if let Some(key) = state.take() {
                    if !state.ready.is_empty() {
                        self.wake.notify_one();
                    }
                    return key;
                }
                state.delayed.first().map(|(due, _)| *due)
            };
            match next_due {
                Some(due) => {
                    tokio::select! { () = wake => {}, () = tokio::time::sleep_until(due) => {} }
                }
                None => wake.await,
            }
        }
    }

    /// Gives `key` back; if it was asked for meanwhile it becomes ready again.
    pub fn done(&self, key: &K) {
        let mut state = self.state.lock();
        state.processing.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.wake.notify_one();
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> State<K> {
    /// Returns whether a worker should look.
    fn add(&mut self, key: K) -> bool {
        if !self.dirty.insert(key.clone()) || self.processing.contains(&key) {
            return false;
        }
        self.ready.push_back(key);
        true
    }

    fn release_due(&mut self, now: Instant) {
        while let Some((due, _)) = self.delayed.first() {
            if *due > now {
                return;
            }
            if let Some((_, key)) = self.delayed.pop_first() {
                self.delayed_until.remove(&key);
                self.add(key);
            }
        }
    }

    fn take(&mut self) -> Option<K> {
        let key = self.ready.pop_front()?;
        self.dirty.remove(&key);
        self.processing.insert(key.clone());
        Some(key)
    }
}

fn backoff(failures: u32) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_added_twice_is_worked_on_once() {
        let queue = Queue::new();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.done(&"a");
        assert!(
            tokio::time::timeout(Duration::from_secs(1), queue.next())
                .await
                .is_err()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_in_work_comes_again_after_done() {
        let queue = Queue::new();
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        assert!(
            tokio::time::timeout(Duration::from_millis(1), queue.next())
                .await
                .is_err()
        );
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_delays_wins() {
        let queue = Queue::new();
        let start = Instant::now();
        queue.add_after("a", Duration::from_secs(10));
        queue.add_after("a", Duration::from_secs(2));
        queue.add_after("a", Duration::from_secs(30));
        assert_eq!(queue.next().await, "a");
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        queue.done(&"a");
        assert!(
            tokio::time::timeout(Duration::from_secs(60), queue.next())
                .await
                .is_err()
        );
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let table = [
            (1, 5),
            (2, 10),
            (5, 80),
            (14, 40_960),
            (15, 60_000),
            (4_000_000, 60_000),
        ];
        for (failures, millis) in table {
            assert_eq!(
                backoff(failures),
                Duration::from_millis(millis),
                "{failures} failures"
            );
        }
    }
}
