//! Which kinds of events are known, within bounds.

use std::collections::{HashMap, HashSet};

/// Most kinds of one topic that are made known.
const OF_TOPIC: usize = 200;
/// And of all together.
const OF_ALL: usize = 2_000;

/// Digests of kinds, by UID of the topic.
#[derive(Debug, Default)]
pub(super) struct Known {
    topics: HashMap<String, HashSet<u64>>,
    total: usize,
}

impl Known {
    pub(super) fn len(&self) -> usize {
        self.total
    }

    pub(super) fn has(&self, topic: &str, digest: u64) -> bool {
        self.topics
            .get(topic)
            .is_some_and(|known| known.contains(&digest))
    }

    /// For what there is, however much that is.
    pub(super) fn add(&mut self, topic: &str, digest: u64) {
        let known = self.topics.entry(topic.to_owned()).or_default();
        self.total += usize::from(known.insert(digest));
    }

    /// For what is to be made: `false` if there is no room, or it is there by now.
    pub(super) fn add_within_bounds(&mut self, topic: &str, digest: u64) -> bool {
        let of_topic = self.topics.get(topic).map_or(0, HashSet::len);
        let room = of_topic < OF_TOPIC && self.total < OF_ALL && !self.has(topic, digest);
        if room {
            self.add(topic, digest);
        }
        room
    }

    pub(super) fn remove(&mut self, topic: &str, digest: u64) {
        if let Some(known) = self.topics.get_mut(topic) {
            self.total -= usize::from(known.remove(&digest));
            if known.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    pub(super) fn retain(&mut self, lives: impl Fn(&str) -> bool) {
        self.topics.retain(|topic, _| lives(topic));
        self.total = self.topics.values().map(HashSet::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_and_all_together_are_bounded() {
        let mut known = Known::default();
        let taken = (0..1_000)
            .filter(|&digest| known.add_within_bounds("a", digest))
            .count();
        assert_eq!((taken, known.len()), (OF_TOPIC, OF_TOPIC));
        for topic in 0..100 {
            for digest in 0..100 {
                known.add_within_bounds(&topic.to_string(), digest);
            }
        }
        assert_eq!(known.len(), OF_ALL);
        // What is there counts beyond the bound, and its end makes room.
        known.add("z", 1);
        assert_eq!(known.len(), OF_ALL + 1);
        known.retain(|topic| topic != "a");
        assert_eq!(known.len(), OF_ALL + 1 - OF_TOPIC);
        assert!(known.add_within_bounds("z", 2));
        assert!(!known.add_within_bounds("z", 2), "it is known by now");
        for digest in [1, 2, 2, 3] {
            known.remove("z", digest);
        }
        assert_eq!(known.len(), OF_ALL - OF_TOPIC);
        assert!(!known.topics.contains_key("z"));
    }
}
