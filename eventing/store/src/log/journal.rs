//! The file of places: what is remembered of topics and consumers, as a log of facts of which the last one counts.
//!
//! Each fact is a frame: magic `SCu1`, length of the body (u32), CRC-32 of salt and body, body. When the file has
//! grown far beyond what it says, it is written anew beside itself and renamed.

mod codec;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::block::Salt;
use super::cursor::Cursor;
use super::folder;
use crate::Position;

/// The file may have this many bytes more than four times what is needed, before it is written anew.
const SLACK: u64 = 256 << 10;

/// What is remembered of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it did.
    pub cursor: Cursor,
    /// Records it never got.
    pub lost: u64,
    /// When it was last subscribed to, microseconds since 1970; kept current while it is.
    pub seen_micros: i64,
}

/// What is remembered of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPlaces {
    /// Records before this position were acknowledged, whatever is found on disk.
    pub next: Position,
    /// The consumers.
    pub consumers: BTreeMap<String, Place>,
}

/// One thing to remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Where a consumer of a topic is.
    Consumer(String, String, Place),
    /// A consumer of a topic is no more.
    Forgotten(String, String),
    /// Records before this position were acknowledged.
    Acknowledged(String, Position),
    /// A topic is no more.
    Removed(String),
    /// No change: what could not be written before is tried again with it.
    Nothing,
}

/// All that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// By topic.
    pub topics: BTreeMap<String, TopicPlaces>,
}

/// The open file.
pub struct Journal {
    path: PathBuf,
    file: File,
    salt: Salt,
    length: u64,
    /// Length when it was last written anew.
    needed: u64,
    /// Whether facts are missing that could not be written.
    behind: bool,
}

impl Places {
    /// Takes notice of a fact.
    pub fn apply(&mut self, fact: Fact) {
        match fact {
            Fact::Consumer(topic, name, place) => {
                self.topics
                    .entry(topic)
                    .or_default()
                    .consumers
                    .insert(name, place);
            }
            Fact::Forgotten(topic, name) => {
                if let Some(topic) = self.topics.get_mut(&topic) {
                    topic.consumers.remove(&name);
                }
            }
            Fact::Acknowledged(topic, next) => self.topics.entry(topic).or_default().next = next,
            Fact::Removed(topic) => {
                self.topics.remove(&topic);
            }
            Fact::Nothing => {}
        }
    }

    /// What brings an empty value to this one.
    fn facts(&self) -> impl Iterator<Item = Fact> {
        self.topics.iter().flat_map(|(topic, places)| {
            let consumers = places.consumers.iter();
            std::iter::once(Fact::Acknowledged(topic.clone(), places.next)).chain(
                consumers
                    .map(move |(name, place)| Fact::Consumer(topic.clone(), name.clone(), place.clone())),
            )
        })
    }
}

/// What was read from a file of places.
pub struct Remembered {
    /// What it says.
    pub places: Places,
    /// Whether facts in the middle were damaged, so that consumers may be missing.
    pub damaged: bool,
}

impl Journal {
    /// Opens or makes the file `places` in `folder`.
    pub fn open(folder: &Path, salt: Salt) -> io::Result<(Self, Remembered)> {
        let path = folder.join("places");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let replay = codec::replay(salt, &bytes);
        if replay.good_until < bytes.len() {
            let bytes = bytes.len() - replay.good_until;
            warn!(bytes, path = %path.display(), "Half-written places of consumers cut off");
        }
        if replay.damaged > 0 {
            let bytes = replay.damaged;
            warn!(bytes, path = %path.display(), "Places of consumers damaged; what they read may come again");
        }
        let remembered = Remembered {
            damaged: replay.damaged > 0,
            places: replay.places,
        };
        let mut journal = Self {
            file: OpenOptions::new()
                .create(true)
                .append(false)
                .write(true)
                .truncate(false)
                .open(&path)?,
            path,
            salt,
            length: replay.good_until as u64,
            needed: 0,
            behind: false,
        };
        journal.rewrite(&remembered.places)?;
        Ok((journal, remembered))
    }

    /// Makes facts durable: all or none of them. `places` is what is remembered with them.
    pub fn write(&mut self, facts: &[Fact], places: &Places) -> io::Result<()> {
        if self.behind || self.length > 4 * self.needed + SLACK {
            return self.rewrite(places);
        }
        let mut bytes = Vec::new();
        for fact in facts {
            codec::frame(self.salt, fact, &mut bytes);
        }
        let written = self
            .file
            .write_all_at(&bytes, self.length)
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += bytes.len() as u64,
            // Half a frame must not stay: the next one would follow it. If even this fails, the next write covers it.
            Err(_) => {
                drop(self.file.set_len(self.length));
                self.behind = true;
            }
        }
        written
    }

    fn rewrite(&mut self, places: &Places) -> io::Result<()> {
        let mut bytes = Vec::new();
        for fact in places.facts() {
            codec::frame(self.salt, &fact, &mut bytes);
        }
        self.file = folder::replace(&self.path, &bytes)?;
        self.length = bytes.len() as u64;
        self.needed = self.length;
        self.behind = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(low: Position) -> Place {
        Place {
            cursor: Cursor::new(low),
            lost: 0,
            seen_micros: 5,
        }
    }

    #[test]
    fn remembers_across_restarts_and_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, remembered) = Journal::open(folder.path(), Salt(1)).unwrap();
        assert_eq!(remembered.places, Places::default());
        let mut places = Places::default();
        for round in 0..20_000 {
            let facts = [
                Fact::Consumer("t".into(), "a".into(), place(round)),
                Fact::Acknowledged("t".into(), round),
            ];
            facts.iter().for_each(|fact| places.apply(fact.clone()));
            // The sync is not what is looked at here.
            if round % 500 == 0 {
                journal.write(&facts, &places).unwrap();
            } else {
                let mut bytes = Vec::new();
                facts
                    .iter()
                    .for_each(|fact| codec::frame(Salt(1), fact, &mut bytes));
                journal.file.write_all_at(&bytes, journal.length).unwrap();
                journal.length += bytes.len() as u64;
            }
        }
        drop(journal);
        let length = std::fs::metadata(folder.path().join("places")).unwrap().len();
        assert!(length < 2 * SLACK, "{length}");
        let (_, remembered) = Journal::open(folder.path(), Salt(1)).unwrap();
        assert_eq!(remembered.places, places);
        assert!(!remembered.damaged);
    }
}
