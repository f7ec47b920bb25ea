//! One revision, as the data path sees it.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::report::RevisionStats;
use crate::settings::RevisionSettings;
use crate::throttler::Throttler;
use crate::watch::ObjectKey;

/// Namespace and name of a revision.
pub type RevisionKey = ObjectKey;

/// A revision that exists: how to treat its requests, and where to send them.
#[derive(Debug)]
pub struct Revision {
    key: RevisionKey,
    settings: ArcSwap<RevisionSettings>,
    throttler: Arc<Throttler>,
    pub(crate) stats: Arc<RevisionStats>,
}

impl Revision {
    pub(crate) fn new(key: RevisionKey, settings: RevisionSettings, throttler: Arc<Throttler>) -> Arc<Self> {
        Arc::new(Self {
            key,
            settings: ArcSwap::from_pointee(settings),
            throttler,
            stats: RevisionStats::new(Instant::now()),
        })
    }

    pub fn key(&self) -> &RevisionKey {
        &self.key
    }

    /// The settings as of now.
    pub fn settings(&self) -> arc_swap::Guard<Arc<RevisionSettings>> {
        self.settings.load()
    }

    /// Its pods and who waits for them.
    pub fn throttler(&self) -> &Arc<Throttler> {
        &self.throttler
    }

    pub(crate) fn configure(&self, settings: RevisionSettings) {
        if **self.settings.load() != settings {
            self.throttler.configure(&settings);
            self.settings.store(Arc::new(settings));
        }
    }
}
