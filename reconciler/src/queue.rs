//! The work queue of one controller: every key at most once in it, never worked on twice at a time.

mod state;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::key::Key;
use crate::metrics::QueueMetrics;
use state::State;

/// A set of keys to work on, now or later. Cheap to clone; all clones are one queue.
#[derive(Clone)]
pub struct Queue {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    changed: Notify,
    metrics: QueueMetrics,
}

impl Queue {
    /// A queue whose metrics carry `name`.
    pub fn new(name: &'static str) -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(State::default()),
                changed: Notify::new(),
                metrics: QueueMetrics::named(name),
            }),
        }
    }

    /// Asks for `key` to be worked on. While it is being worked on, it comes once more afterwards.
    pub fn add(&self, key: Key) {
        if self.inner.state.lock().add(key, Instant::now()) {
            self.inner.metrics.adds.inc();
            self.inner.changed.notify_one();
        }
    }

    /// Asks for `key` to be worked on after `pause`, or earlier if it was already asked for earlier.
    pub fn add_after(&self, key: Key, pause: Duration) {
        if pause.is_zero() {
            return self.add(key);
        }
        if self.inner.state.lock().add_at(key, Instant::now() + pause) {
            self.inner.changed.notify_one();
        }
    }

    /// Keys that wait to be worked on; delayed ones are not counted.
    pub fn depth(&self) -> usize {
        self.inner.state.lock().depth()
    }

    /// The next key. Give it back with [`Queue::done`]. Cancel safe.
    pub(crate) async fn next(&self) -> Key {
        loop {
            let changed = self.inner.changed.notified();
            let (next, due) = {
                let mut state = self.inner.state.lock();
                let now = Instant::now();
                let next = state.take(now);
                self.inner
                    .metrics
                    .depth
                    .set(i64::try_from(state.depth()).unwrap_or(i64::MAX));
                if state.depth() > 0 {
                    // Others may sleep: a permit is kept at most once, so pass it on.
                    self.inner.changed.notify_one();
                }
                (next, state.next_due())
            };
            match (next, due) {
                (Some(taken), _) => {
                    self.inner
                        .metrics
                        .queue_duration
                        .observe(taken.waited.as_secs_f64());
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

    pub(crate) fn done(&self, key: &Key) {
        if self.inner.state.lock().done(key, Instant::now()) {
            self.inner.changed.notify_one();
        }
    }

    pub(crate) fn metrics(&self) -> &QueueMetrics {
        &self.inner.metrics
    }
}
