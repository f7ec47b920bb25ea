//! Events go after an hour (upstream: `--event-ttl`), and sooner when there are too many.

use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tracing::debug;

use super::Registry;
use crate::store::{Change, Durability, Expect, Object, Write};

/// Key prefix of events of both groups, which are one store.
const PREFIX: &str = "/events/";
const LIFE: SignedDuration = SignedDuration::from_hours(1);
/// Events kept at most: whoever floods the cluster with events must not fill its memory.
const MAX_EVENTS: usize = 20_000;
/// Pause between two looks.
const PERIOD: Duration = Duration::from_secs(60);

/// Removes old events again and again, until the server is gone or shuts down.
pub(crate) async fn expire_events(registry: Weak<Registry>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(registry) = registry.upgrade().filter(|registry| registry.store.is_open()) else {
            return;
        };
        registry.remove_old_events().await;
    }
}

impl Registry {
    async fn remove_old_events(&self) {
        let (_, events) = self.store.list(PREFIX);
        let seen: Vec<(Timestamp, Box<str>, Arc<Object>)> = events
            .into_iter()
            .map(|(key, event)| (last_seen(&event.value()), key, event))
            .collect();
        let gone = expired(seen, (self.clock)(), LIFE, MAX_EVENTS);
        let count = gone.len();
        for (key, event) in gone {
            let write = Write {
                key: key.into(),
                expect: Expect::Revision(event.revision),
                change: Change::Remove(event.value()),
                guard: None,
                durability: Durability::Deferred,
            };
            // Seen again or deleted in the meantime: the next look decides anew.
            let _ = self.store.write(write).await;
        }
        if count > 0 {
            debug!(count, "Old events are removed");
        }
    }
}

/// Returns those that are older than `life`, and the oldest beyond `max`.
fn expired<K, V>(
    mut events: Vec<(Timestamp, K, V)>,
    now: Timestamp,
    life: SignedDuration,
    max: usize,
) -> Vec<(K, V)> {
    events.sort_by_key(|(seen, _, _)| *seen);
    let too_many = events.len().saturating_sub(max);
    let oldest = now.checked_sub(life).unwrap_or(Timestamp::MIN);
    events
        .into_iter()
        .enumerate()
        .filter(|(index, (seen, _, _))| *index < too_many || *seen < oldest)
        .map(|(_, (_, key, value))| (key, value))
        .collect()
}

/// Returns when an event was last reported. One without any readable time counts as ancient.
fn last_seen(event: &Value) -> Timestamp {
    [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/deprecatedLastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ]
    .into_iter()
    .filter_map(|path| event.pointer(path)?.as_str()?.parse().ok())
    .max()
    .unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn old_events_go_and_the_oldest_of_too_many() {
        let events = || [(10, "b"), (5, "a"), (20, "c")].map(|(second, key)| (at(second), key, ()));
        let keys = |now, max| -> Vec<&str> {
            expired(events().to_vec(), at(now), SignedDuration::from_secs(10), max)
                .into_iter()
                .map(|(key, ())| key)
                .collect()
        };
        assert_eq!(keys(15, 10), [""; 0]);
        assert_eq!(keys(16, 10), ["a"]);
        assert_eq!(keys(31, 10), ["a", "b", "c"]);
        assert_eq!(keys(15, 1), ["a", "b"]);
    }

    #[test]
    fn an_event_is_as_old_as_its_last_report() {
        let created = json!({"metadata": {"creationTimestamp": "1970-01-01T00:00:05Z"}, "eventTime": null});
        assert_eq!(last_seen(&created), at(5));
        let mut again = created;
        again["lastTimestamp"] = json!("1970-01-01T00:00:09Z");
        assert_eq!(last_seen(&again), at(9));
        again["series"] = json!({"lastObservedTime": "1970-01-01T00:00:11.000000Z"});
        assert_eq!(last_seen(&again), at(11));
        assert_eq!(last_seen(&json!({})), Timestamp::MIN);
    }
}
