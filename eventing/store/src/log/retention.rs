//! When a segment goes.

use std::time::Duration;

use jiff::Timestamp;

/// How long records are kept. Each rule is by topic and takes whole segments, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Records older than this go, delivered or not (default: 7 days). Places of consumers that nobody subscribed to
    /// for that long go as well.
    pub max_age: Duration,
    /// Most bytes of a topic (default: 10 GiB). See `over_size`.
    pub max_bytes: u64,
    /// Most bytes that are kept, for replay, after every consumer had them (default: 1 GiB).
    pub delivered_bytes: u64,
    /// What happens to records that do not fit in `max_bytes` and were not delivered to all (default: the oldest go).
    pub over_size: OverSize,
}

/// What gives way when a topic is larger than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverSize {
    /// The oldest records: consumers that did not have them count them as lost. One dead subscriber stops nobody.
    DropOldest,
    /// New records: appends answer [`crate::StoreError::Full`] until the slowest consumer caught up.
    Refuse,
}

/// Why a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// All of it is older than the retention age.
    Age,
    /// The topic is too large.
    Size,
    /// Everyone had it.
    Delivered,
}

/// What is decided on: the oldest segment of a topic that is no longer written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// When its last record was stored.
    pub youngest: Timestamp,
    /// Whether every consumer had all of it.
    pub delivered: bool,
    /// Bytes of all segments of the topic.
    pub topic_bytes: u64,
    /// Bytes of those segments which every consumer had all of.
    pub delivered_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(7 * 24 * 3600),
            max_bytes: 10 << 30,
            delivered_bytes: 1 << 30,
            over_size: OverSize::DropOldest,
        }
    }
}

impl Retention {
    /// Whether the oldest segment goes, and why.
    pub fn removes(&self, facts: &Facts, now: Timestamp) -> Option<Reason> {
        if self.is_old(facts.youngest, now) {
            Some(Reason::Age)
        } else if facts.delivered && facts.delivered_bytes > self.delivered_bytes {
            Some(Reason::Delivered)
        } else if facts.topic_bytes > self.max_bytes
            && (facts.delivered || self.over_size == OverSize::DropOldest)
        {
            Some(Reason::Size)
        } else {
            None
        }
    }

    /// Whether something of `time` is older than anything that is kept.
    pub fn is_old(&self, time: Timestamp, now: Timestamp) -> bool {
        now.duration_since(time).unsigned_abs() > self.max_age && now > time
    }

    /// Whether a topic of this size takes no more.
    pub fn refuses(&self, topic_bytes: u64) -> bool {
        self.over_size == OverSize::Refuse && topic_bytes >= self.max_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_go_for_a_reason() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ago = |seconds: i64| Timestamp::from_second(1_000_000 - seconds).unwrap();
        let retention = Retention {
            max_age: Duration::from_secs(100),
            max_bytes: 1000,
            delivered_bytes: 300,
            over_size: OverSize::DropOldest,
        };
        let refusing = Retention {
            over_size: OverSize::Refuse,
            ..retention
        };
        let rows = [
            // age, delivered, topic, delivered bytes → reason, reason if new records are refused
            ((10, false, 500, 0), None, None),
            ((100, false, 500, 0), None, None),
            ((101, false, 500, 0), Some(Reason::Age), Some(Reason::Age)),
            ((101, true, 500, 400), Some(Reason::Age), Some(Reason::Age)),
            ((-50, false, 500, 0), None, None),
            ((10, true, 500, 300), None, None),
            (
                (10, true, 500, 301),
                Some(Reason::Delivered),
                Some(Reason::Delivered),
            ),
            ((10, false, 1000, 0), None, None),
            ((10, false, 1001, 0), Some(Reason::Size), None),
            ((10, true, 1001, 200), Some(Reason::Size), Some(Reason::Size)),
        ];
        for ((age, delivered, topic_bytes, delivered_bytes), dropping, refuse) in rows {
            let facts = Facts {
                youngest: ago(age),
                delivered,
                topic_bytes,
                delivered_bytes,
            };
            assert_eq!(retention.removes(&facts, now), dropping, "{facts:?}");
            assert_eq!(refusing.removes(&facts, now), refuse, "{facts:?}");
        }
        assert_eq!([999, 1000].map(|bytes| refusing.refuses(bytes)), [false, true]);
        assert!(!retention.refuses(5000));
    }
}
