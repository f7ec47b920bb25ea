//! What is read: records, in batches that consumers share.

use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

/// A record's place in its topic: dense and increasing from 1. 0 is before the first record.
pub type Position = u64;

/// One stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the topic.
    pub position: Position,
    /// When it was stored.
    pub time: Timestamp,
    /// What was stored. May be a slice of a larger buffer: see [`Record::detached`].
    pub payload: Bytes,
}

impl Record {
    /// The record with a payload of its own. Worth it when one record is kept for long while its batch is not, such
    /// as an event that waits for its next try: a payload read from disk keeps up to 1 MiB of neighbours in memory.
    pub fn detached(&self) -> Record {
        Record {
            payload: Bytes::copy_from_slice(&self.payload),
            ..*self
        }
    }
}

/// Records in order of position, shared by all consumers that are at the same place. Never empty.
#[derive(Clone, Debug)]
pub struct Batch {
    records: Arc<[Record]>,
    range: Range<usize>,
    lost: u64,
}

impl Batch {
    /// All of `records`.
    pub fn new(records: Arc<[Record]>) -> Self {
        let range = 0..records.len();
        Self {
            records,
            range,
            lost: 0,
        }
    }

    /// What of the batch is at `position` or after it.
    pub fn starting_at(mut self, position: Position) -> Self {
        let before = self
            .iter()
            .take_while(|record| record.position < position)
            .count();
        self.range.start += before;
        self
    }

    /// The batch with a count of records that should have come before it and are gone.
    pub fn after_losing(mut self, lost: u64) -> Self {
        self.lost = lost;
        self
    }

    /// Records between the batch before and this one that can no longer be delivered: removed by retention, or
    /// damaged. They are counted in [`crate::ConsumerStatus::lost`] as well.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl Deref for Batch {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        self.records.get(self.range.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_share_their_records() {
        let records: Arc<[Record]> = (3..6)
            .map(|position| Record {
                position,
                time: Timestamp::UNIX_EPOCH,
                payload: Bytes::from_static(b"x"),
            })
            .collect();
        let positions = |from| -> Vec<Position> {
            let batch = Batch::new(records.clone()).starting_at(from);
            batch.iter().map(|record| record.position).collect()
        };
        assert_eq!(positions(0), [3, 4, 5]);
        assert_eq!(positions(4), [4, 5]);
        assert_eq!(positions(9), [] as [Position; 0]);
        assert_eq!(Arc::strong_count(&records), 1);
    }
}
