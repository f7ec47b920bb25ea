//! The newest records in memory, so that consumers at the end of a topic share what was just written.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::topic::TopicLog;
use crate::{Batch, Position, Record};

/// Bytes of memory that a record takes besides its payload.
const OVERHEAD: usize = size_of::<Record>() + 32;

/// The newest blocks of one topic, without gaps.
#[derive(Default)]
pub struct Tail {
    blocks: VecDeque<Arc<[Record]>>,
}

/// The budget that all tails share: the oldest block of all goes first.
pub struct TailBudget {
    most: usize,
    blocks: Mutex<Blocks>,
}

#[derive(Default)]
struct Blocks {
    order: VecDeque<(Weak<TopicLog>, Position, usize)>,
    bytes: usize,
}

impl Tail {
    /// The block with `position`, from there on.
    pub fn get(&self, position: Position) -> Option<Batch> {
        let after = self.blocks.partition_point(|block| first(block) <= position);
        let block = self.blocks.get(after.checked_sub(1)?)?;
        let batch = Batch::new(block.clone()).starting_at(position);
        (!batch.is_empty()).then_some(batch)
    }

    /// Forgets blocks up to the one that begins with `position`.
    fn forget(&mut self, position: Position) {
        while self.blocks.front().is_some_and(|block| first(block) <= position) {
            self.blocks.pop_front();
        }
    }
}

impl TailBudget {
    /// A budget of `most` bytes.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            blocks: Mutex::default(),
        }
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.blocks.lock().bytes
    }

    /// Adds the newest block of a topic.
    pub fn push(&self, topic: &Arc<TopicLog>, block: Arc<[Record]>) {
        let size = block
            .iter()
            .map(|record| record.payload.len() + OVERHEAD)
            .sum::<usize>();
        let position = first(&block);
        if size > self.most / 2 {
            // Whoever wants it reads it from disk. What is older would leave a gap.
            topic.tail.write().forget(position);
            return;
        }
        topic.tail.write().blocks.push_back(block);
        let mut gone = Vec::new();
        {
            let mut blocks = self.blocks.lock();
            blocks.order.push_back((Arc::downgrade(topic), position, size));
            blocks.bytes += size;
            while blocks.bytes > self.most {
                let Some((topic, position, size)) = blocks.order.pop_front() else {
                    break;
                };
                blocks.bytes -= size;
                gone.push((topic, position));
            }
        }
        for (topic, position) in gone {
            if let Some(topic) = topic.upgrade() {
                topic.tail.write().forget(position);
            }
        }
    }
}

fn first(block: &[Record]) -> Position {
    block.first().map_or(0, |record| record.position)
}
