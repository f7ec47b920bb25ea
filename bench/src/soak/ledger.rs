//! Which events were accepted, and how often each arrived.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Events that can be told apart in one run.
const MOST: usize = 1 << 24;
/// Ids of lost events that are shown.
const SHOWN: usize = 20;

pub struct Ledger {
    next: AtomicU64,
    accepted: Box<[AtomicBool]>,
    triggers: Vec<Trigger>,
    arrivals: AtomicU64,
    requests: AtomicU64,
}

struct Trigger {
    name: &'static str,
    /// Times that each event was taken.
    taken: Box<[AtomicU8]>,
}

/// What came of a run for one trigger.
#[derive(Debug, PartialEq, Eq)]
pub struct Totals {
    pub name: &'static str,
    /// Events answered with 202.
    pub accepted: u64,
    /// Those of them that arrived.
    pub delivered: u64,
    pub lost: u64,
    /// Deliveries beyond the first one of each event.
    pub duplicated: u64,
    /// Events that arrived although their 202 did not.
    pub unasked: u64,
}

impl Ledger {
    pub fn new<const N: usize>(triggers: [&'static str; N]) -> Self {
        Self {
            next: AtomicU64::new(0),
            accepted: (0..MOST).map(|_| AtomicBool::new(false)).collect(),
            triggers: triggers
                .map(|name| Trigger {
                    name,
                    taken: (0..MOST).map(|_| AtomicU8::new(0)).collect(),
                })
                .into(),
            arrivals: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        }
    }

    /// The id of one more event; `None` when there are too many.
    pub fn issue(&self) -> Option<u64> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        (id < MOST as u64).then_some(id)
    }

    pub fn accepted(&self, id: u64) {
        if let Some(accepted) = self.accepted.get(id as usize) {
            accepted.store(true, Ordering::Relaxed);
        }
    }

    /// The subscriber of this trigger took an event.
    pub fn took(&self, trigger: usize, id: u64) {
        let taken = self
            .triggers
            .get(trigger)
            .and_then(|trigger| trigger.taken.get(id as usize));
        if let Some(taken) = taken {
            let _ = taken.try_update(Ordering::Relaxed, Ordering::Relaxed, |times| times.checked_add(1));
            self.arrivals.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The number of a request to a subscriber.
    pub fn requests(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// Deliveries so far.
    pub fn arrivals(&self) -> u64 {
        self.arrivals.load(Ordering::Relaxed)
    }

    pub fn totals(&self) -> Vec<Totals> {
        self.triggers
            .iter()
            .map(|trigger| {
                let mut totals = Totals {
                    name: trigger.name,
                    accepted: 0,
                    delivered: 0,
                    lost: 0,
                    duplicated: 0,
                    unasked: 0,
                };
                for (accepted, taken) in self.events(trigger) {
                    totals.accepted += u64::from(accepted);
                    totals.delivered += u64::from(accepted && taken > 0);
                    totals.lost += u64::from(accepted && taken == 0);
                    totals.unasked += u64::from(!accepted && taken > 0);
                    totals.duplicated += u64::from(taken.saturating_sub(1));
                }
                totals
            })
            .collect()
    }

    /// The first ids that each trigger lost, if it lost any.
    pub fn lost(&self) -> Vec<(&'static str, Vec<usize>)> {
        let lost = |trigger: &Trigger| -> Vec<usize> {
            let events = self.events(trigger).enumerate();
            let lost = events.filter(|(_, (accepted, taken))| *accepted && *taken == 0);
            lost.map(|(id, _)| id).take(SHOWN).collect()
        };
        let all = self.triggers.iter().map(|trigger| (trigger.name, lost(trigger)));
        all.filter(|(_, lost)| !lost.is_empty()).collect()
    }

    fn events(&self, trigger: &Trigger) -> impl Iterator<Item = (bool, u8)> {
        let issued = self.next.load(Ordering::Relaxed).min(MOST as u64) as usize;
        let both = self.accepted.iter().zip(&trigger.taken).take(issued);
        both.map(|(accepted, taken)| (accepted.load(Ordering::Relaxed), taken.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_lost() {
        let ledger = Ledger::new(["one"]);
        for _ in 0..5 {
            ledger.issue();
        }
        for id in [0, 1, 2] {
            ledger.accepted(id);
        }
        for id in [0, 0, 0, 1, 3, 3] {
            ledger.took(0, id);
        }
        let expected = Totals {
            name: "one",
            accepted: 3,
            delivered: 2,
            lost: 1,
            duplicated: 3,
            unasked: 1,
        };
        assert_eq!(ledger.totals(), [expected]);
        assert_eq!((ledger.lost(), ledger.arrivals()), (vec![("one", vec![2])], 6));
    }
}
