//! Takes away segments and places that retention says are to go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use tracing::{info, warn};

use super::engine::Engine;
use super::journal::Fact;
use super::retention::{Facts, Reason, Retention};
use super::segment::Segment;
use super::state::ConsumerState;
use super::topic::TopicLog;
use crate::Position;

/// Looks at every topic.
pub fn sweep(engine: &Engine) {
    let now = (engine.options.clock)();
    let mut retention = engine.options.retention;
    if engine
        .free_bytes()
        .is_some_and(|free| free < engine.options.least_free_bytes)
    {
        // Replay is given up before new events are.
        retention.delivered_bytes = 0;
    }
    let topics: Vec<_> = engine.topics.read().values().cloned().collect();
    for topic in topics {
        // Whoever writes now does not rest.
        if let Some(mut writer) = topic.writer.try_lock() {
            writer.rest();
        }
        forget_absent(engine, &topic, &retention, now);
        end_old_segment(&topic, &retention, now);
        while let Some((segment, end, reason)) = next_to_go(engine, &topic, &retention, now) {
            remove(engine, &topic, &segment, end, reason);
        }
    }
}

/// Forgets the places of consumers that nobody subscribed to for the retention age.
fn forget_absent(engine: &Engine, topic: &TopicLog, retention: &Retention, now: Timestamp) {
    let mut consumers = topic.consumers.lock();
    consumers.retain(|name, consumer| {
        if consumer.session.load(Ordering::Acquire) != 0 {
            consumer.seen(now.as_microsecond());
            return true;
        }
        let seen = Timestamp::from_microsecond(consumer.place().seen_micros).unwrap_or(now);
        let absent = retention.is_old(seen, now);
        if absent {
            info!(topic = %topic.name, consumer = %name, "Place of an absent consumer forgotten");
            consumer.close();
            engine
                .dirt
                .fact(Fact::Forgotten(topic.name.to_string(), name.to_string()));
        }
        !absent
    });
}

/// Begins a new segment in a topic whose only one is too old: the one that is written to is never removed.
fn end_old_segment(topic: &TopicLog, retention: &Retention, now: Timestamp) {
    let last = topic
        .segments
        .read()
        .back()
        .and_then(|segment| segment.last_micros());
    let last = last.and_then(|micros| Timestamp::from_microsecond(micros).ok());
    if !last.is_some_and(|last| retention.is_old(last, now)) {
        return;
    }
    let mut writer = topic.writer.lock();
    if let Err(error) = writer.roll(topic) {
        warn!(%error, topic = %topic.name, "Old events cannot be removed");
    }
}

/// The oldest segment if it has to go, and the position where the next one begins.
fn next_to_go(
    engine: &Engine,
    topic: &TopicLog,
    retention: &Retention,
    now: Timestamp,
) -> Option<(Arc<Segment>, Position, Reason)> {
    let segments: VecDeque<Arc<Segment>> = topic.segments.read().clone();
    let (oldest, following) = (segments.front()?, segments.get(1)?);
    let lowest = topic
        .consumers
        .lock()
        .values()
        .map(|consumer| consumer.low())
        .min()
        .unwrap_or(Position::MAX);
    let ends = segments.iter().skip(1).map(|segment| segment.base);
    let delivered = segments.iter().zip(ends).filter(|(_, end)| *end <= lowest);
    let salt = engine.folder.salt;
    // The next segment's first record is hardly younger than this one's last, and cheaper to find.
    let youngest = following.first_micros(salt).ok().flatten().or_else(|| {
        oldest
            .with_index(salt, following.base, |index| index.last_micros)
            .ok()
            .flatten()
    });
    let facts = Facts {
        youngest: youngest
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
            .unwrap_or(now),
        delivered: following.base <= lowest,
        topic_bytes: segments.iter().map(|segment| segment.bytes()).sum(),
        delivered_bytes: delivered.map(|(segment, _)| segment.bytes()).sum(),
    };
    let reason = retention.removes(&facts, now)?;
    Some((oldest.clone(), following.base, reason))
}

fn remove(engine: &Engine, topic: &TopicLog, segment: &Arc<Segment>, end: Position, reason: Reason) {
    let behind: Vec<Arc<ConsumerState>> = {
        // From here on readers go on after it.
        let mut segments = topic.segments.write();
        if segments.front().is_some_and(|front| Arc::ptr_eq(front, segment)) {
            segments.pop_front();
        }
        drop(segments);
        topic
            .consumers
            .lock()
            .values()
            .filter(|consumer| consumer.low() < end)
            .cloned()
            .collect()
    };
    for consumer in behind {
        let lost = consumer.lose_unread(end);
        if lost > 0 {
            engine.dropped.fetch_add(lost, Ordering::Relaxed);
            warn!(topic = %topic.name, consumer = %consumer.name, lost, ?reason, "Events removed before they were delivered");
        }
    }
    info!(topic = %topic.name, bytes = segment.bytes(), ?reason, "Old events removed");
    if let Err(error) = std::fs::remove_file(&segment.path) {
        warn!(%error, path = %segment.path.display(), "Old events cannot be removed");
    }
}
