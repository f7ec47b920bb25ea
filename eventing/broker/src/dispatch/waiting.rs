//! Deliveries that wait for their next attempt, by time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use tokio::time::Instant;

use super::attempt::Delivery;

#[derive(Debug, Default)]
pub struct Waiting(BinaryHeap<Reverse<Entry>>);

#[derive(Debug)]
struct Entry {
    due: Instant,
    delivery: Box<Delivery>,
}

impl Waiting {
    pub fn put(&mut self, due: Instant, delivery: Delivery) {
        self.0.push(Reverse(Entry {
            due,
            delivery: Box::new(delivery),
        }));
    }

    /// The next one whose time has come.
    pub fn due(&mut self, now: Instant) -> Option<Delivery> {
        if self.earliest()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| *entry.delivery)
    }

    pub fn earliest(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse(entry)| entry.due)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.0.iter().map(|Reverse(entry)| &*entry.delivery)
    }
}

impl Entry {
    fn rank(&self) -> (Instant, u64) {
        (self.due, self.delivery.position)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}
