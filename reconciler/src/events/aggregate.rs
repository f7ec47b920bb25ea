//! Which notes become writes: the first of its kind at once, repeats at most every ten seconds with their count.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::Kind;

/// Repeats of one event are written no more often than this.
const PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// Distinct events remembered; when it is reached everything is forgotten, and counts go on from the stored ones.
const REMEMBERED: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct Note {
    pub about: ObjectReference,
    pub kind: Kind,
    pub reason: &'static str,
    pub message: String,
}

/// A write that is due.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub note: Note,
    /// Name of the Event: the same note has the same name, also after a restart.
    pub name: String,
    /// How often this process saw it; 1 means that the Event may not exist yet.
    pub count: i32,
    /// How often since the last write.
    pub since_last: i32,
    pub last: Timestamp,
}

#[derive(Default)]
pub(super) struct Aggregator {
    seen: HashMap<String, Seen>,
}

struct Seen {
    count: i32,
    unwritten: i32,
    written: Timestamp,
}

impl Aggregator {
    pub(super) fn take_in(&mut self, note: Note, now: Timestamp) -> Option<Due> {
        let name = name_of(&note);
        if self.seen.len() >= REMEMBERED && !self.seen.contains_key(&name) {
            self.seen.clear();
        }
        let first = !self.seen.contains_key(&name);
        let seen = self.seen.entry(name.clone()).or_insert(Seen {
            count: 0,
            unwritten: 0,
            written: now,
        });
        seen.count = seen.count.saturating_add(1);
        seen.unwritten = seen.unwritten.saturating_add(1);
        if !first && now.duration_since(seen.written) < PAUSE {
            return None;
        }
        let due = Due {
            note,
            name,
            count: seen.count,
            since_last: seen.unwritten,
            last: now,
        };
        seen.unwritten = 0;
        seen.written = now;
        Some(due)
    }
}

fn name_of(note: &Note) -> String {
    let mut hasher = DefaultHasher::new();
    (
        &note.about.uid,
        &note.about.kind,
        note.kind,
        note.reason,
        &note.message,
    )
        .hash(&mut hasher);
    let mut object = note.about.name.clone().unwrap_or_default();
    // The whole name must stay a DNS subdomain of at most 253 characters; names of objects are ASCII.
    object.truncate(253 - 17);
    format!("{object}.{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(message: &str) -> Note {
        Note {
            about: ObjectReference {
                name: Some("a".into()),
                uid: Some("u".into()),
                ..ObjectReference::default()
            },
            kind: Kind::Warning,
            reason: "InternalError",
            message: message.into(),
        }
    }

    #[test]
    fn repeats_are_counted_and_written_together() {
        let (mut aggregator, start) = (Aggregator::default(), Timestamp::UNIX_EPOCH);
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        assert_eq!(aggregator.take_in(note("x"), at(0)).unwrap().count, 1);
        for second in 1..10 {
            assert!(aggregator.take_in(note("x"), at(second)).is_none());
        }
        assert!(
            aggregator.take_in(note("y"), at(5)).is_some(),
            "another message is another event"
        );
        let due = aggregator.take_in(note("x"), at(11)).unwrap();
        assert_eq!((due.count, due.since_last), (11, 10));
    }

    #[test]
    fn names_are_stable_and_memory_is_bounded() {
        assert_eq!(name_of(&note("x")), name_of(&note("x")));
        let mut aggregator = Aggregator::default();
        for message in 0..2 * REMEMBERED {
            aggregator.take_in(note(&message.to_string()), Timestamp::UNIX_EPOCH);
        }
        assert!(aggregator.seen.len() <= REMEMBERED);
    }
}
