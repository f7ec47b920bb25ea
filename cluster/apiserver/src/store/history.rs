//! The recent past: enough changes to resume a watch or to list as of an earlier revision.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::watch::Event;

/// Changes kept at most.
const MAX_EVENTS: usize = 10_000;
/// Bytes of superseded objects kept at most: the budget of an idle platform leaves no room for more.
const MAX_BYTES: usize = 16 << 20;
/// Changes older than this are dropped once there is anything to add.
const MAX_AGE: Duration = Duration::from_secs(600);

/// A bounded ring of changes in revision order.
#[derive(Debug)]
pub(super) struct History {
    events: VecDeque<(Instant, Arc<Event>)>,
    bytes: usize,
    /// Changes after this revision are all present.
    complete_after: u64,
}

impl History {
    /// Starts without a past: everything up to `revision` is unknown.
    pub(super) fn starting_at(revision: u64) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            complete_after: revision,
        }
    }

    pub(super) fn push(&mut self, now: Instant, event: Arc<Event>) {
        self.bytes = self.bytes.saturating_add(event.weight());
        self.events.push_back((now, event));
        while let Some((at, oldest)) = self.events.front() {
            let full = self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES;
            if !full && now.saturating_duration_since(*at) <= MAX_AGE {
                break;
            }
            self.bytes = self.bytes.saturating_sub(oldest.weight());
            self.complete_after = oldest.revision;
            self.events.pop_front();
        }
    }

    /// Returns the changes after `revision`, oldest first; `None` when some of them are forgotten.
    pub(super) fn after(&self, revision: u64) -> Option<impl DoubleEndedIterator<Item = &Arc<Event>>> {
        if revision < self.complete_after {
            return None;
        }
        let start = self
            .events
            .partition_point(|(_, event)| event.revision <= revision);
        Some(self.events.range(start..).map(|(_, event)| event))
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
