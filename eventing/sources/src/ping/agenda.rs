//! What ticks when: decisions only, the time is passed in.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use informer::Key;
use jiff::{SignedDuration, Timestamp};

use super::plan::Plan;

/// Ticks are spread over this time after their second, each source at a place of its own.
const SPREAD_MILLIS: u64 = 500;

/// The sources that tick, and the next tick of each.
#[derive(Default)]
pub(crate) struct Agenda {
    entries: HashMap<Key, Entry>,
    order: BTreeSet<(Timestamp, Key)>,
}

struct Entry {
    plan: Arc<Plan>,
    /// The time that the schedule says.
    tick: Timestamp,
    late: bool,
}

/// A tick to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Tick {
    pub plan: Arc<Plan>,
    /// The time that the schedule says.
    pub time: Timestamp,
    /// It should have been sent before this process took over.
    pub late: bool,
}

impl Entry {
    fn at(&self) -> Timestamp {
        self.tick + spread(&self.plan.uid)
    }
}

impl Agenda {
    /// Adds or changes a source. `last` is its last tick as far as known: if another was due since then, that one is
    /// sent now, and no more of those that were missed.
    ///
    /// # Errors
    /// The plan, if its schedule has no tick any more.
    pub fn put(&mut self, plan: Plan, last: Option<Timestamp>, now: Timestamp) -> Result<(), Box<Plan>> {
        let known = self.entries.get(&plan.key);
        let same = known.filter(|known| known.plan.uid == plan.uid && known.plan.schedule == plan.schedule);
        let missed = last
            .and_then(|last| plan.schedule.next(last))
            .filter(|missed| *missed <= now);
        let (tick, late) = match (same, missed) {
            // Something else about it has changed.
            (Some(known), _) => (known.tick, known.late),
            (None, Some(missed)) if known.is_none() => (missed, true),
            _ => match plan.schedule.next(now) {
                Some(next) => (next, false),
                None => {
                    self.remove(&plan.key);
                    return Err(Box::new(plan));
                }
            },
        };
        self.remove(&plan.key);
        let entry = Entry {
            plan: Arc::new(plan),
            tick,
            late,
        };
        self.order.insert((entry.at(), entry.plan.key.clone()));
        self.entries.insert(entry.plan.key.clone(), entry);
        Ok(())
    }

    /// Forgets a source.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<Plan>> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&(entry.at(), key.clone()));
        Some(entry.plan)
    }

    /// When there is something to send.
    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// What is to be sent now. However long this was not asked, each source ticks once at most.
    pub fn due(&mut self, now: Timestamp) -> Vec<Tick> {
        let mut due = Vec::new();
        while let Some((at, key)) = self.order.first().cloned() {
            if at > now {
                break;
            }
            self.order.pop_first();
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            due.push(Tick {
                plan: entry.plan.clone(),
                time: entry.tick,
                late: entry.late,
            });
            // Clocks may be set back, too: a tick is not sent a second time for that.
            match entry.plan.schedule.next(now.max(entry.tick)) {
                Some(next) => {
                    (entry.tick, entry.late) = (next, false);
                    self.order.insert((entry.at(), key));
                }
                None => {
                    self.entries.remove(&key);
                }
            }
        }
        due
    }
}

/// Where within the spread a source has its place (FNV-1a of its UID).
fn spread(uid: &str) -> SignedDuration {
    let hash = uid.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    SignedDuration::from_millis(i64::try_from(hash % SPREAD_MILLIS).unwrap_or_default())
}

#[cfg(test)]
mod tests;
