//! What is known of one consumer, and how it is told.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::journal::Place;
use super::keeper::Dirty;
use super::topic::TopicLog;
use crate::{Acks, ConsumerName, ConsumerStatus, Position};

/// Most separate ranges that are done above the lowest record that is not. A consumer with more gets no further
/// records until some of those in between are done, which bounds what is kept of it in memory and on disk.
pub const MOST_RANGES: usize = 4096;

/// One consumer of one topic, subscribed or not.
pub struct ConsumerState {
    /// Its name.
    pub name: ConsumerName,
    /// Where it belongs.
    pub topic: Weak<TopicLog>,
    /// Which subscription is the current one; 0 while there is none.
    pub session: AtomicU64,
    /// The position after the last record that the current subscription handed out.
    pub handed_out: AtomicU64,
    /// Whether the keeper is going to write down its place.
    pub dirty: AtomicBool,
    /// Told when a subscription ends, and when records are done while one waits for that.
    pub progress: Notify,
    me: Weak<ConsumerState>,
    dirt: Arc<Dirty>,
    inner: Mutex<Place>,
    stalled: AtomicBool,
    closed: AtomicBool,
}

impl ConsumerState {
    /// A consumer with what is remembered of it.
    pub fn new(name: ConsumerName, topic: Weak<TopicLog>, dirt: Arc<Dirty>, place: Place) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            name,
            topic,
            session: AtomicU64::new(0),
            handed_out: AtomicU64::new(place.cursor.low()),
            dirty: AtomicBool::new(false),
            progress: Notify::new(),
            me: me.clone(),
            dirt,
            inner: Mutex::new(place),
            stalled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    /// Makes `session` the current one; where it starts.
    pub fn begin(&self, session: u64, micros: i64) -> Position {
        let mut inner = self.inner.lock();
        inner.seen_micros = micros;
        self.session.store(session, Ordering::Release);
        self.handed_out.store(inner.cursor.low(), Ordering::Release);
        self.progress.notify_waiters();
        inner.cursor.low()
    }

    /// Ends a session if it is the current one.
    pub fn end(&self, session: u64, micros: i64) {
        let ended = self
            .session
            .compare_exchange(session, 0, Ordering::AcqRel, Ordering::Acquire);
        if ended.is_ok() {
            self.inner.lock().seen_micros = micros;
            self.mark();
        }
    }

    /// The consumer is forgotten, or its topic removed.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.progress.notify_waiters();
    }

    /// Whether [`ConsumerState::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// What is to be remembered.
    pub fn place(&self) -> Place {
        self.inner.lock().clone()
    }

    /// The lowest record that is not done.
    pub fn low(&self) -> Position {
        self.inner.lock().cursor.low()
    }

    /// Records lost until now.
    pub fn lost(&self) -> u64 {
        self.inner.lock().lost
    }

    /// Records that cannot be delivered any more: they are done, and counted.
    pub fn lose(&self, range: Range<Position>) {
        let lost = {
            let mut inner = self.inner.lock();
            let lost = inner.cursor.done(range);
            inner.lost += lost;
            lost
        };
        if lost > 0 {
            self.mark();
        }
    }

    /// Loses what lies before `end` and was not handed out; what was is still being delivered. How many were lost.
    pub fn lose_unread(&self, end: Position) -> u64 {
        let before = self.lost();
        let subscribed = self.session.load(Ordering::Acquire) != 0;
        let unread = if subscribed {
            self.handed_out.load(Ordering::Acquire)
        } else {
            self.low()
        };
        self.lose(unread..end);
        self.lost() - before
    }

    /// It is subscribed to at this time. Written down about once an hour.
    pub fn seen(&self, micros: i64) {
        let mut inner = self.inner.lock();
        if micros - inner.seen_micros > 3_600_000_000 {
            inner.seen_micros = micros;
            drop(inner);
            self.mark();
        }
    }

    /// Those of `positions` that need no delivery.
    pub fn done_among(&self, positions: Range<Position>) -> Vec<Position> {
        let inner = self.inner.lock();
        // Nearly always: only what was done before a restart is handed out again.
        if positions.start >= inner.cursor.low().max(inner.cursor.above().end()) {
            return Vec::new();
        }
        positions
            .filter(|position| inner.cursor.is_done(*position))
            .collect()
    }

    /// Whether too many records are done above ones that are not. [`ConsumerState::progress`] tells when that may
    /// have changed.
    pub fn is_stalled(&self) -> bool {
        let inner = self.inner.lock();
        let stalled = inner.cursor.above().pieces() >= MOST_RANGES;
        self.stalled.store(stalled, Ordering::Release);
        stalled
    }

    /// What others are told of it.
    pub fn status(&self) -> ConsumerStatus {
        let inner = self.inner.lock();
        ConsumerStatus {
            name: self.name.clone(),
            position: inner.cursor.low(),
            lag: inner.cursor.lag(self.next()),
            lost: inner.lost,
        }
    }

    fn next(&self) -> Position {
        self.topic.upgrade().map_or(0, |topic| topic.next())
    }

    fn mark(&self) {
        if !self.dirty.swap(true, Ordering::AcqRel)
            && let Some(me) = self.me.upgrade()
        {
            self.dirt.consumer(me);
        }
    }
}

impl Acks for ConsumerState {
    fn done(&self, position: Position) {
        self.done_range(position..position.saturating_add(1));
    }

    fn done_range(&self, positions: Range<Position>) {
        // A position that is not there yet would be skipped when it is.
        let end = positions.end.min(self.next());
        if self.inner.lock().cursor.done(positions.start..end) > 0 {
            self.mark();
            if self.stalled.swap(false, Ordering::AcqRel) {
                self.progress.notify_waiters();
            }
        }
    }

    fn lag(&self) -> u64 {
        self.inner.lock().cursor.lag(self.next())
    }
}
