//! Which tick of each source was sent last.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::record;

/// Name of the ConfigMap.
const NAME: &str = "pingsource-ticks";

/// The last tick of each source, by UID.
pub(crate) struct Record(record::Record);

/// The last tick, and the generation of the spec that it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    generation: i64,
    time: Timestamp,
}

impl Record {
    pub fn new(client: kube::Client, namespace: &str) -> Self {
        Self(record::Record::new(client, namespace, NAME))
    }

    /// Reads what is stored. If that fails nothing is known of the past, and nothing is made up for it.
    pub async fn load(&mut self) {
        let _ = self.0.load().await;
    }

    /// The last tick of a source while its spec had this generation.
    pub fn last(&self, uid: &str, generation: i64) -> Option<Timestamp> {
        let last = read(self.0.get(uid)?)?;
        (last.generation == generation).then_some(last.time)
    }

    /// Notes a tick. One that ends after a later one does not count.
    pub fn set(&mut self, uid: &str, generation: i64, time: Timestamp) {
        let newer = self
            .0
            .get(uid)
            .and_then(read)
            .is_none_or(|known| (known.generation, known.time) < (generation, time));
        if newer {
            self.0.set(uid, text(Last { generation, time }));
        }
    }

    pub fn remove(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    /// Forgets all sources but these.
    pub fn retain(&mut self, uids: &HashSet<&str>) {
        self.0.retain(uids);
    }

    /// Stores what has changed. Takes no longer than two seconds: ticks wait for it.
    pub async fn store(&mut self) {
        self.0.store().await;
    }
}

fn text(last: Last) -> String {
    format!("{} {}", last.generation, last.time)
}

fn read(text: &str) -> Option<Last> {
    let (generation, time) = text.split_once(' ')?;
    Some(Last {
        generation: generation.parse().ok()?,
        time: time.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_nonsense_is_passed_over() {
        let last = Last {
            generation: 3,
            time: "2026-11-21T09:00:00.5Z".parse().unwrap(),
        };
        for (text, expected) in [
            (text(last).as_str(), Some(last)),
            ("x", None),
            ("1 yesterday", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
