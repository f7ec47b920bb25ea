//! Who waits, in order, within a budget of requests and bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::pod::Slot;
use crate::config::Bounds;

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
pub(super) struct Queue {
    /// By ticket: the first is the longest waiting, and leaving from the middle is cheap.
    waiting: BTreeMap<Ticket, Waiting>,
    next: u64,
    budget: Budget,
}

#[derive(Debug)]
struct Waiting {
    sender: oneshot::Sender<Slot>,
    bytes: usize,
}

/// What may wait: of this revision, and of all together.
#[derive(Debug)]
pub(super) struct Budget {
    bounds: Bounds,
    bytes: usize,
    total: Arc<AtomicUsize>,
}

impl Budget {
    pub(super) fn new(bounds: Bounds, total: Arc<AtomicUsize>) -> Self {
        Self {
            bounds,
            bytes: 0,
            total,
        }
    }

    fn spend(&mut self, bytes: usize) -> bool {
        if self.bytes.saturating_add(bytes) > self.bounds.bytes {
            return false;
        }
        let limit = self.bounds.total_bytes;
        let spent = self
            .total
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |total| {
                total.checked_add(bytes).filter(|total| *total <= limit)
            });
        if spent.is_ok() {
            self.bytes += bytes;
        }
        spent.is_ok()
    }

    fn give_back(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.total.fetch_sub(bytes, Ordering::AcqRel);
    }
}

impl Queue {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            waiting: BTreeMap::new(),
            next: 0,
            budget,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// `None` when the budget is spent.
    pub(super) fn push(&mut self, sender: oneshot::Sender<Slot>, bytes: usize) -> Option<Ticket> {
        if self.waiting.len() >= self.budget.bounds.requests || !self.budget.spend(bytes) {
            return None;
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.insert(ticket, Waiting { sender, bytes });
        Some(ticket)
    }

    pub(super) fn pop(&mut self) -> Option<oneshot::Sender<Slot>> {
        let (_, waiting) = self.waiting.pop_first()?;
        self.budget.give_back(waiting.bytes);
        Some(waiting.sender)
    }

    /// Does nothing for a ticket that was served.
    pub(super) fn remove(&mut self, ticket: Ticket) {
        if let Some(waiting) = self.waiting.remove(&ticket) {
            self.budget.give_back(waiting.bytes);
        }
    }

    /// Empties the queue; dropping what it returns tells those who waited.
    pub(super) fn clear(&mut self) -> Vec<oneshot::Sender<Slot>> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        drop(self.clear());
    }
}
