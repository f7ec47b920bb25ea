//! How many pulls run at once, for each registry by itself: one that hangs must not hold up the others.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pulls from one registry; more would only slow each other down.
const PER_REGISTRY: usize = 4;

/// The registries that are pulled from now, each with its free slots.
#[derive(Debug, Default)]
pub(crate) struct PullSlots {
    registries: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl PullSlots {
    /// Waits for a slot of `registry`; it is free again when the permit is dropped. `None` never comes: no semaphore
    /// is ever closed.
    pub(crate) async fn acquire(&self, registry: &str) -> Option<OwnedSemaphorePermit> {
        let slots = {
            let mut registries = self.registries.lock();
            // Whoever waits or pulls holds a clone: the rest is of the past.
            registries.retain(|name, slots| name == registry || Arc::strong_count(slots) > 1);
            let new = || Arc::new(Semaphore::new(PER_REGISTRY));
            Arc::clone(registries.entry(registry.to_owned()).or_insert_with(new))
        };
        slots.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn a_full_registry_holds_up_nobody_else_and_old_ones_are_forgotten() {
        let slots = PullSlots::default();
        let mut held: Vec<_> = (0..PER_REGISTRY)
            .map(|_| slots.acquire("slow").now_or_never().unwrap())
            .collect();
        assert!(slots.acquire("slow").now_or_never().is_none());
        assert!(slots.acquire("fast").now_or_never().is_some());
        held.pop();
        assert!(slots.acquire("slow").now_or_never().is_some());
        held.clear();
        assert!(slots.acquire("other").now_or_never().is_some());
        assert_eq!(slots.registries.lock().len(), 1);
    }
}
