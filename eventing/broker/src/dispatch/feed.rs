//! What becomes of events, told to whoever watches at the moment.
//!
//! Each topic has a feed. Consumers push into it what follows from each attempt; while nobody watches, that costs one
//! look at a number. Who watches too slowly misses some and is told how many: no watcher holds up a delivery.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use event_store::{Position, Topic};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// What is held for the slowest watcher of a topic.
const HELD: usize = 1_024;

/// What became of one event at one consumer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Progress {
    /// Of the event in its topic.
    pub position: Position,
    pub time: Timestamp,
    /// Name of the Trigger or Subscription.
    #[serde(rename = "trigger")]
    pub consumer: String,
    pub outcome: What,
    /// The attempt that this is the outcome of, if there was one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The filter held it back.
    Filtered,
    Delivered,
    /// Delivered; the answer goes on to the reply URL.
    Replied,
    /// Failed, and is tried again.
    Retry,
    /// Failed for good; a dead letter from now on.
    Failed,
    /// The dead letter sink took it.
    DeadLettered,
    /// Stored among the dead letters.
    Kept,
    /// Removed from the store before it could be delivered.
    Expired,
}

/// One attempt and its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// From 1.
    #[serde(rename = "attempt")]
    pub number: u32,
    /// The URL; empty if there is none.
    pub destination: String,
    /// The status, if one was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// How long it took.
    pub seconds: f64,
    /// Why it failed: the start of the answer's body, or what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds until the next attempt, before jitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyFate>,
}

/// What became of the event that a subscriber answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyFate {
    /// Stored in the topic, up to and including this position.
    Stored(Position),
    /// It had gone round as often as events may.
    NoRoundsLeft,
}

/// The feeds of all topics that are delivered or watched.
#[derive(Debug, Default)]
pub struct Feeds(Mutex<HashMap<Topic, Weak<Feed>>>);

impl Feeds {
    pub fn of(&self, topic: &Topic) -> Arc<Feed> {
        let mut feeds = self.0.lock();
        let feed = feeds.get(topic).and_then(Weak::upgrade).unwrap_or_default();
        feeds.insert(topic.clone(), Arc::downgrade(&feed));
        feed
    }

    /// Forgets topics that nobody delivers or watches any more.
    pub fn sweep(&self) {
        self.0.lock().retain(|_, feed| feed.strong_count() > 0);
    }
}

/// What becomes of the events of one topic.
#[derive(Debug, Default)]
pub struct Feed {
    watchers: AtomicUsize,
    /// Those of them who want to see what filters hold back, too.
    thorough: AtomicUsize,
    /// There while somebody watches.
    sender: Mutex<Option<broadcast::Sender<Arc<Progress>>>>,
}

/// Somebody who watches a topic; until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    feed: Arc<Feed>,
    thorough: bool,
    receiver: broadcast::Receiver<Arc<Progress>>,
}

/// What a watcher hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Progress(Arc<Progress>),
    /// So many were missed.
    Missed(u64),
}

impl Feed {
    pub fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// Whether somebody wants to see what filters hold back.
    pub fn is_watched_thoroughly(&self) -> bool {
        self.thorough.load(Ordering::Relaxed) > 0
    }

    pub fn tell(&self, progress: Progress) {
        if let Some(sender) = &*self.sender.lock() {
            // An error says that the last watcher just left.
            let _ = sender.send(Arc::new(progress));
        }
    }

    /// Hears what is told from now on; with `thorough` also of events that filters hold back.
    pub fn watch(self: &Arc<Self>, thorough: bool) -> Watcher {
        let receiver = {
            let mut sender = self.sender.lock();
            self.watchers.fetch_add(1, Ordering::Relaxed);
            sender
                .get_or_insert_with(|| broadcast::channel(HELD).0)
                .subscribe()
        };
        if thorough {
            self.thorough.fetch_add(1, Ordering::Relaxed);
        }
        Watcher {
            feed: self.clone(),
            thorough,
            receiver,
        }
    }
}

impl Watcher {
    /// Never ends: the feed is held by who watches.
    pub async fn next(&mut self) -> Heard {
        loop {
            match self.receiver.recv().await {
                Ok(progress) if self.wants(&progress) => return Heard::Progress(progress),
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => return Heard::Missed(missed),
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    }

    /// What is there already.
    pub fn try_next(&mut self) -> Option<Heard> {
        loop {
            match self.receiver.try_recv() {
                Ok(progress) if self.wants(&progress) => return Some(Heard::Progress(progress)),
                Ok(_) => {}
                Err(TryRecvError::Lagged(missed)) => return Some(Heard::Missed(missed)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    fn wants(&self, progress: &Progress) -> bool {
        self.thorough || progress.outcome != What::Filtered
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if self.thorough {
            self.feed.thorough.fetch_sub(1, Ordering::Relaxed);
        }
        let mut sender = self.feed.sender.lock();
        if self.feed.watchers.fetch_sub(1, Ordering::Relaxed) == 1 {
            *sender = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(position: Position, outcome: What) -> Progress {
        Progress {
            position,
            time: Timestamp::UNIX_EPOCH,
            consumer: "hello".to_owned(),
            outcome,
            attempt: None,
        }
    }

    fn position(heard: Option<Heard>) -> Option<Position> {
        match heard {
            Some(Heard::Progress(progress)) => Some(progress.position),
            _ => None,
        }
    }

    #[test]
    fn nothing_is_held_while_nobody_watches() {
        let feed = Feeds::default().of(&Topic::new("a").unwrap());
        feed.tell(progress(1, What::Delivered));
        let mut watcher = feed.watch(false);
        assert!(feed.is_watched() && !feed.is_watched_thoroughly());
        feed.tell(progress(2, What::Delivered));
        assert_eq!(position(watcher.try_next()), Some(2));
        assert_eq!(watcher.try_next(), None);
        let second = feed.watch(true);
        assert!(feed.is_watched_thoroughly());
        drop(second);
        assert!(feed.is_watched() && !feed.is_watched_thoroughly());
        drop(watcher);
        assert!(!feed.is_watched() && feed.sender.lock().is_none());
    }

    #[test]
    fn what_filters_hold_back_is_for_those_who_ask() {
        let feed = Arc::new(Feed::default());
        let (mut brief, mut thorough) = (feed.watch(false), feed.watch(true));
        feed.tell(progress(1, What::Filtered));
        feed.tell(progress(2, What::Delivered));
        assert_eq!(position(brief.try_next()), Some(2));
        assert_eq!(position(thorough.try_next()), Some(1));
    }

    #[test]
    fn slow_watchers_hear_how_much_they_missed() {
        let feed = Arc::new(Feed::default());
        let mut watcher = feed.watch(false);
        for position in 0..HELD as u64 + 10 {
            feed.tell(progress(position, What::Delivered));
        }
        assert_eq!(watcher.try_next(), Some(Heard::Missed(10)));
        assert_eq!(position(watcher.try_next()), Some(10));
    }

    #[test]
    fn topics_share_a_feed_until_it_is_left() {
        let feeds = Feeds::default();
        let topic = Topic::new("a").unwrap();
        let feed = feeds.of(&topic);
        assert!(Arc::ptr_eq(&feed, &feeds.of(&topic)));
        feeds.sweep();
        assert_eq!(feeds.0.lock().len(), 1);
        drop(feed);
        feeds.sweep();
        assert!(feeds.0.lock().is_empty());
    }

    #[test]
    fn progress_is_one_flat_object() {
        let mut progress = progress(7, What::Retry);
        progress.attempt = Some(Attempt {
            number: 1,
            destination: "http://a/".to_owned(),
            code: Some(503),
            seconds: 0.5,
            reason: Some("busy".to_owned()),
            wait: Some(0.2),
            reply: None,
        });
        assert_eq!(
            serde_json::to_value(&progress).unwrap(),
            serde_json::json!({"position": 7, "time": "1970-01-01T00:00:00Z", "trigger": "hello", "outcome": "retry",
                "attempt": 1, "destination": "http://a/", "code": 503, "seconds": 0.5, "reason": "busy", "wait": 0.2})
        );
    }
}
