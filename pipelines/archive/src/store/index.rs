//! What is in a store, by name; and how much that is.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::{Entry, Subject, Usage};

/// What is in a store.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: BTreeMap<(Subject, String), (u64, SystemTime)>,
    bytes: u64,
}

impl Index {
    /// Adds an entry, in the place of one of the same id.
    pub fn add(&mut self, entry: Entry) {
        self.remove(&entry);
        self.bytes += entry.size;
        self.entries
            .insert((entry.subject, entry.id), (entry.size, entry.written));
    }

    pub fn remove(&mut self, entry: &Entry) {
        let key = (entry.subject.clone(), entry.id.clone());
        if let Some((size, _)) = self.entries.remove(&key) {
            self.bytes -= size;
        }
    }

    pub fn has(&self, subject: &Subject, id: &str) -> bool {
        self.entries.contains_key(&(subject.clone(), id.to_owned()))
    }

    pub fn find(&self, subject: &Subject) -> Vec<Entry> {
        let from = (subject.clone(), String::new());
        self.entries
            .range(from..)
            .take_while(|((found, _), _)| found == subject)
            .map(entry)
            .collect()
    }

    pub fn usage(&self) -> Usage {
        Usage {
            bytes: self.bytes,
            entries: self.entries.len(),
        }
    }

    /// Those from before that time.
    pub fn older(&self, before: SystemTime) -> Vec<Entry> {
        self.entries
            .iter()
            .map(entry)
            .filter(|entry| entry.written < before)
            .collect()
    }

    /// The oldest ones, so many that no more than `kept` is left.
    pub fn oldest(&self, kept: Usage) -> Vec<Entry> {
        let mut all: Vec<Entry> = self.entries.iter().map(entry).collect();
        all.sort_by(|a, b| (a.written, &a.subject, &a.id).cmp(&(b.written, &b.subject, &b.id)));
        let Usage {
            mut bytes,
            mut entries,
        } = self.usage();
        all.into_iter()
            .take_while(|entry| {
                let goes = bytes > kept.bytes || entries > kept.entries;
                if goes {
                    bytes -= entry.size;
                    entries -= 1;
                }
                goes
            })
            .collect()
    }
}

fn entry(((subject, id), (size, written)): (&(Subject, String), &(u64, SystemTime))) -> Entry {
    Entry {
        subject: subject.clone(),
        id: id.clone(),
        size: *size,
        written: *written,
    }
}
