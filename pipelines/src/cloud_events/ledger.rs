//! How far changes have been told.
//!
//! Each kind has a mark: the version up to which nothing is left to tell. Changes that are being told hold it back; a
//! [`Ticket`] stands for one of them, and lets go when the last event about it has come to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::run::Kind;

/// A version for each kind, in the order of [`Kind::ALL`].
pub(super) type Marks = [u64; Kind::ALL.len()];

/// Cheap to clone, and clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<[Progress; Kind::ALL.len()]>>);

#[derive(Debug, Default)]
struct Progress {
    /// The newest version that was seen.
    newest: u64,
    /// How many changes to a version are being told.
    telling: BTreeMap<u64, usize>,
}

impl Ledger {
    /// Takes notice of a version.
    pub(super) fn see(&self, kind: Kind, version: u64) {
        let progress = &mut self.0.lock()[kind as usize];
        progress.newest = progress.newest.max(version);
    }

    /// The newest versions.
    pub(super) fn newest(&self) -> Marks {
        self.0.lock().each_ref().map(|progress| progress.newest)
    }

    /// Holds the mark back below this version until the ticket is dropped.
    pub(super) fn hold(&self, kind: Kind, version: u64) -> Ticket {
        *self.0.lock()[kind as usize].telling.entry(version).or_default() += 1;
        Ticket {
            ledger: self.clone(),
            kind,
            version,
        }
    }

    /// Up to which versions all has been told.
    pub(super) fn marks(&self) -> Marks {
        self.0.lock().each_ref().map(|progress| {
            let oldest = progress.telling.first_key_value();
            oldest.map_or(progress.newest, |(version, _)| version.saturating_sub(1))
        })
    }
}

/// A change that is being told.
#[derive(Debug)]
pub(super) struct Ticket {
    ledger: Ledger,
    kind: Kind,
    version: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let telling = &mut self.ledger.0.lock()[self.kind as usize].telling;
        if let Some(count) = telling.get_mut(&self.version) {
            *count -= 1;
            if *count == 0 {
                telling.remove(&self.version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stays_below_what_is_being_told() {
        let ledger = Ledger::default();
        let mark = || ledger.marks()[Kind::TaskRun as usize];
        ledger.see(Kind::TaskRun, 5);
        assert_eq!(mark(), 5);
        let later = ledger.hold(Kind::TaskRun, 8);
        let [sooner, again] = [(); 2].map(|()| ledger.hold(Kind::TaskRun, 7));
        ledger.see(Kind::TaskRun, 8);
        ledger.see(Kind::TaskRun, 6);
        for (ticket, wanted) in [(sooner, 6), (again, 7), (later, 8)] {
            let other = ledger.hold(Kind::PipelineRun, 1);
            drop(ticket);
            assert_eq!(mark(), wanted, "whatever becomes of other kinds");
            drop(other);
        }
        assert_eq!(ledger.newest(), [8, 0, 0]);
    }
}
