//! The work queue of one controller: every key at most once in it, never worked on twice at a time.
//!
//! Its size is bounded by the number of keys that exist: handlers add keys of objects, and an object has one.

mod state;

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backoff::exponential;
use crate::key::Key;
use crate::metrics::{Measured, Meter, QueueMetrics, Reading};
use state::State;

/// How fast a key that fails is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Pause after the first failure; doubles with each further one.
    pub first: Duration,
    pub max: Duration,
}

/// A set of keys to work on, now or later. Cheap to clone; all clones are one queue.
pub struct Queue<K = Key> {
    inner: Arc<Inner<K>>,
}

struct Inner<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    meter: Meter,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<K: Clone + Eq + Hash + Ord + Send + 'static> Queue<K> {
    /// A queue that reports to the families that client-go has (`workqueue_depth` …), labelled with `name`.
    pub fn new(name: &'static str) -> Self {
        Self::reporting(name, QueueMetrics::kubernetes())
    }

    /// A queue that reports to families of the caller's, labelled with `name`.
    pub fn reporting(name: &'static str, metrics: &QueueMetrics) -> Self {
        let inner = Arc::new(Inner {
            state: Mutex::new(State::default()),
            changed: Notify::new(),
            meter: metrics.meter(name),
        });
        let measured: Arc<dyn Measured> = inner.clone();
        metrics.measure(name, &measured);
        Self { inner }
    }

    /// Asks for `key` to be worked on. While it is being worked on, it comes once more afterwards.
    pub fn add(&self, key: K) {
        if self.inner.state.lock().add(key, Instant::now()) {
            self.inner.meter.adds.inc();
            self.inner.changed.notify_one();
        }
    }

    /// Asks for `key` to be worked on after `pause`, or earlier if it was already asked for earlier.
    pub fn add_after(&self, key: K, pause: Duration) {
        if pause.is_zero() {
            return self.add(key);
        }
        if self.inner.state.lock().add_at(key, Instant::now() + pause) {
            self.inner.changed.notify_one();
        }
    }

    /// Asks for `key` again after a pause that grows with each failure since the last [`Queue::forget`], shortened at
    /// random by up to a quarter. Returns how often it has failed in a row.
    pub fn retry(&self, key: K, pace: Pace) -> u32 {
        let failures = self.inner.state.lock().fail(&key);
        self.inner.meter.retries.inc();
        let pause = exponential(pace.first, pace.max, failures.saturating_sub(1));
        self.add_after(key, pause.mul_f64(rand::rng().random_range(0.75..=1.0)));
        failures
    }

    /// Forgets the failures of `key`.
    pub fn forget(&self, key: &K) {
        self.inner.state.lock().forget(key);
    }

    /// Keys that wait to be worked on; delayed ones are not counted.
    pub fn depth(&self) -> usize {
        self.inner.state.lock().depth()
    }

    /// The next key; waits for one. Give it back with [`Queue::done`]. Cancel safe.
    pub async fn next(&self) -> K {
        loop {
            let changed = self.inner.changed.notified();
            let (next, due) = {
                let mut state = self.inner.state.lock();
                let next = state.take(Instant::now());
                if state.depth() > 0 {
                    // Others may sleep: a permit is kept at most once, so pass it on.
                    self.inner.changed.notify_one();
                }
                (next, state.next_due())
            };
            match (next, due) {
                (Some(taken), _) => {
                    self.inner.meter.queued.observe(taken.waited.as_secs_f64());
                    return taken.key;
                }
                (None, Some(due)) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(due) => {}
                    }
                }
                (None, None) => changed.await,
            }
        }
    }

    /// Gives `key` back; it waits again if it was asked for meanwhile.
    pub fn done(&self, key: &K) {
        let done = self.inner.state.lock().done(key, Instant::now());
        if let Some(worked) = done.worked {
            self.inner.meter.worked.observe(worked.as_secs_f64());
        }
        if done.again {
            self.inner.meter.adds.inc();
            self.inner.changed.notify_one();
        }
    }
}

impl<K: Clone + Eq + Hash + Ord + Send> Measured for Inner<K> {
    fn read(&self) -> Reading {
        self.state.lock().read(Instant::now())
    }
}

#[cfg(test)]
mod tests;
