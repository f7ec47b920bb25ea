//! How many events one object may have: a pod that fails in a loop must not fill the store.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

/// Events about one object that are written at once, and then the time in which it earns another
/// (client-go `tools/record/events_cache.go`: `defaultSpamBurst`, `defaultSpamQPS`).
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);
/// Objects remembered; the one that was quiet for longest is forgotten first (client-go: `maxLruCacheEntries`).
const OBJECTS: usize = 4096;

/// A token bucket for each object.
#[derive(Default)]
pub(super) struct SpamFilter {
    buckets: HashMap<String, Bucket>,
}

struct Bucket {
    tokens: f64,
    at: Timestamp,
}

impl SpamFilter {
    /// Whether one more event about the object with this uid may be written at `now`.
    pub(super) fn admit(&mut self, uid: &str, now: Timestamp) -> bool {
        if let Some(bucket) = self.buckets.get_mut(uid) {
            let passed = now.duration_since(bucket.at).as_secs_f64().max(0.0);
            bucket.tokens = (bucket.tokens + passed / REFILL.as_secs_f64()).min(BURST);
            bucket.at = now;
            let admitted = bucket.tokens >= 1.0;
            if admitted {
                bucket.tokens -= 1.0;
            }
            return admitted;
        }
        if self.buckets.len() >= OBJECTS
            && let Some(quietest) = self.buckets.iter().min_by_key(|(_, bucket)| bucket.at)
        {
            let quietest = quietest.0.clone();
            self.buckets.remove(&quietest);
        }
        let bucket = Bucket {
            tokens: BURST - 1.0,
            at: now,
        };
        self.buckets.insert(uid.to_owned(), bucket);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn an_object_has_a_burst_and_then_one_in_five_minutes() {
        let mut filter = SpamFilter::default();
        let admitted = (0..100).filter(|_| filter.admit("pod", at(0))).count();
        assert_eq!(admitted, 25);
        assert!(filter.admit("other", at(0)), "others are not concerned");
        assert!(!filter.admit("pod", at(299)));
        assert!(filter.admit("pod", at(301)));
        assert!(!filter.admit("pod", at(302)));
    }

    #[test]
    fn the_quietest_object_is_forgotten() {
        let mut filter = SpamFilter::default();
        for object in 0..=OBJECTS {
            filter.admit(&object.to_string(), at(object as i64));
        }
        assert_eq!(filter.buckets.len(), OBJECTS);
        assert!(!filter.buckets.contains_key("0"));
    }
}
