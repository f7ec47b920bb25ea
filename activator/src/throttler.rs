//! Gives each request of a revision to a pod with a free slot, or lets it wait.
//!
//! All pods of the revision and all waiting requests are behind one lock, so that a slot is never given twice and the
//! queue is strictly first in, first out. The lock is held for a scan of the pods at most. A request is bound to a pod
//! only when that pod has a free slot: bound earlier, it would sit behind a slow call while a new pod idles.

mod pod;
mod queue;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;
use proxy::Protocol;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::balance::{choose, owns};
use crate::config::Bounds;
use crate::endpoints::Address;
use crate::model::Upstreams;
use crate::probe;
use crate::settings::RevisionSettings;

use pod::{Health, Pod, Tracker};
use queue::{Budget, Queue, Ticket};

pub use pod::Slot;

/// Why a request got no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("pending request queue full")]
    QueueFull,
    /// The revision was deleted while the request waited.
    #[error("the revision is gone")]
    Gone,
}

/// The slots and the queue of one revision.
#[derive(Debug)]
pub struct Throttler {
    state: Mutex<State>,
    upstreams: Upstreams,
    /// Owns the probes.
    tasks: TaskTracker,
}

#[derive(Debug)]
struct State {
    /// Sorted by address; those not listed any more stay until their requests are done.
    pods: Vec<Tracker>,
    queue: Queue,
    cursor: usize,
    concurrency: Option<NonZeroUsize>,
    protocol: Protocol,
    trust_own_probe: bool,
    /// Index of this activator and number of all, if the public endpoints list it.
    share: Option<(usize, usize)>,
    /// Whether a pod that is not listed any more still has requests.
    leaving: bool,
    closed: bool,
}

impl Throttler {
    pub(crate) fn new(
        settings: &RevisionSettings,
        bounds: Bounds,
        total_bytes: Arc<AtomicUsize>,
        upstreams: Upstreams,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                pods: Vec::new(),
                queue: Queue::new(Budget::new(bounds, total_bytes)),
                cursor: 0,
                concurrency: settings.concurrency,
                protocol: settings.protocol,
                trust_own_probe: settings.trust_own_probe,
                share: None,
                leaving: false,
                closed: false,
            }),
            upstreams,
            tasks,
        })
    }

    /// A slot on a ready pod, if one is free and nobody waits for it.
    pub fn try_acquire(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.state.lock();
        if state.queue.is_empty() {
            state.take_slot(self, false)
        } else {
            None
        }
    }

    /// A slot on the pod with the fewest requests, limit or not: for callers behind which nobody queues.
    pub fn least_loaded(self: &Arc<Self>) -> Option<Slot> {
        let state = self.state.lock();
        let usable = state.pods.iter().filter(|tracker| tracker.usable());
        usable
            .min_by_key(|tracker| tracker.pod.in_flight())
            .map(|tracker| Slot::new(self, &tracker.pod, false))
    }

    /// Waits for a slot in order of arrival; `bytes` is what the request occupies while it waits. Dropping the future
    /// leaves the queue at once.
    ///
    /// # Errors
    /// [`Refused::QueueFull`] at once when the queue may hold no more.
    pub async fn acquire(self: &Arc<Self>, bytes: usize) -> Result<Slot, Refused> {
        let (receiver, _leave) = {
            let mut state = self.state.lock();
            if state.closed {
                return Err(Refused::Gone);
            }
            if state.queue.is_empty()
                && let Some(slot) = state.take_slot(self, false)
            {
                return Ok(slot);
            }
            let (sender, receiver) = oneshot::channel();
            let ticket = state.queue.push(sender, bytes).ok_or(Refused::QueueFull)?;
            self.probe_candidates(&mut state);
            (
                receiver,
                Leave {
                    throttler: self.clone(),
                    ticket,
                },
            )
        };
        receiver.await.map_err(|_| Refused::Gone)
    }

    /// Requests waiting.
    pub fn queued(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Requests that pods work on for this activator.
    pub fn in_flight(&self) -> usize {
        self.state
            .lock()
            .pods
            .iter()
            .map(|tracker| tracker.pod.in_flight())
            .sum()
    }

    /// Pods that Kubernetes or our own probe calls ready.
    pub fn usable_pods(&self) -> usize {
        self.state
            .lock()
            .pods
            .iter()
            .filter(|tracker| tracker.usable())
            .count()
    }

    /// Takes over the revision's settings.
    pub(crate) fn configure(self: &Arc<Self>, settings: &RevisionSettings) {
        let mut state = self.state.lock();
        state.concurrency = settings.concurrency;
        state.protocol = settings.protocol;
        state.trust_own_probe = settings.trust_own_probe;
        self.settle(state);
    }

    /// Takes over which pods there are; `addresses` is sorted.
    pub(crate) fn set_pods(self: &Arc<Self>, addresses: &[Address]) {
        let mut state = self.state.lock();
        for tracker in &mut state.pods {
            tracker.listed = false;
        }
        for address in addresses {
            match state
                .pods
                .binary_search_by_key(&address.addr, |tracker| tracker.pod.addr())
            {
                Ok(index) => {
                    if let Some(tracker) = state.pods.get_mut(index) {
                        tracker.update(address.ready);
                    }
                }
                Err(index) => {
                    let pod = Pod::new(self.upstreams.get(address.addr));
                    state.pods.insert(index, Tracker::new(pod, address.ready));
                }
            }
        }
        self.settle(state);
    }

    /// Takes over this activator's place among all.
    pub(crate) fn set_share(self: &Arc<Self>, share: Option<(usize, usize)>) {
        let mut state = self.state.lock();
        state.share = share;
        self.settle(state);
    }

    /// Lets everybody go who waits: the revision is gone.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let waiting = state.queue.clear();
        drop(state);
        drop(waiting);
    }

    /// A pod could not be reached: no more requests until it answers a probe.
    fn suspect(self: &Arc<Self>, pod: &Arc<Pod>) {
        let mut state = self.state.lock();
        if let Some(tracker) = state
            .pods
            .iter_mut()
            .find(|tracker| Arc::ptr_eq(&tracker.pod, pod))
        {
            tracker.health = Health::Suspect;
        }
        self.probe_candidates(&mut state);
    }

    /// A request is done: its slot goes to the next in line.
    fn release(self: &Arc<Self>) {
        let state = self.state.lock();
        // The common case: nobody waits, nothing to tidy.
        if !state.queue.is_empty() || state.leaving {
            self.settle(state);
        }
    }

    /// After any change: forgets pods without work, serves the queue, probes for those still waiting.
    fn settle(self: &Arc<Self>, mut state: parking_lot::MutexGuard<'_, State>) {
        state
            .pods
            .retain(|tracker| tracker.listed || tracker.pod.in_flight() > 0);
        state.leaving = state.pods.iter().any(|tracker| !tracker.listed);
        state.apply_share();
        let mut served = Vec::new();
        while !state.queue.is_empty()
            && let Some(slot) = state.take_slot(self, true)
            && let Some(waiter) = state.queue.pop()
        {
            served.push((waiter, slot));
        }
        self.probe_candidates(&mut state);
        drop(state);
        // Outside the lock: a slot whose waiter has left comes back through `release`.
        for (waiter, slot) in served {
            let _ = waiter.send(slot);
        }
    }

    /// Probes pods that might serve those who wait.
    fn probe_candidates(self: &Arc<Self>, state: &mut State) {
        if state.queue.is_empty() {
            return;
        }
        let (protocol, trust) = (state.protocol, state.trust_own_probe);
        for tracker in &mut state.pods {
            let candidate = match tracker.health {
                Health::Suspect => true,
                Health::NotReady => trust,
                Health::Ready | Health::Probed => false,
            };
            if candidate && tracker.listed && !tracker.probing {
                tracker.probing = true;
                self.tasks.spawn(probe_until_ready(
                    Arc::downgrade(self),
                    tracker.pod.clone(),
                    protocol,
                ));
            }
        }
    }

    /// Whether a pod is still worth a probe; otherwise its probing ends here.
    fn still_wanted(&self, pod: &Arc<Pod>) -> bool {
        let mut state = self.state.lock();
        let wanted = !state.queue.is_empty();
        let Some(tracker) = state
            .pods
            .iter_mut()
            .find(|tracker| Arc::ptr_eq(&tracker.pod, pod))
        else {
            return false;
        };
        let wanted = wanted && tracker.listed && !tracker.usable();
        tracker.probing = wanted;
        wanted
    }

    fn probed(self: &Arc<Self>, pod: &Arc<Pod>) {
        let mut state = self.state.lock();
        if let Some(tracker) = state
            .pods
            .iter_mut()
            .find(|tracker| Arc::ptr_eq(&tracker.pod, pod))
        {
            tracker.probing = false;
            tracker.pod.note_probed(Instant::now());
            if !tracker.usable() {
                tracker.health = Health::Probed;
            }
        }
        self.settle(state);
    }
}

impl State {
    fn apply_share(&mut self) {
        let share = self.share;
        let pods = self.pods.iter().filter(|tracker| tracker.listed).count();
        for (index, tracker) in self.pods.iter_mut().filter(|tracker| tracker.listed).enumerate() {
            // Without a limit the share does not matter: nothing is counted that could be given twice.
            tracker.own = self.concurrency.is_none() || owns(index, pods, share);
        }
    }

    fn take_slot(&mut self, throttler: &Arc<Throttler>, waited: bool) -> Option<Slot> {
        let pods = &self.pods;
        let in_flight = |index: usize| {
            let tracker = pods.get(index)?;
            (tracker.usable() && tracker.own).then(|| tracker.pod.in_flight())
        };
        let random = |bound| rand::random_range(0..bound);
        let index = choose(pods.len(), self.concurrency, &mut self.cursor, in_flight, random)?;
        let tracker = self.pods.get(index)?;
        Some(Slot::new(throttler, &tracker.pod, waited))
    }
}

async fn probe_until_ready(throttler: std::sync::Weak<Throttler>, pod: Arc<Pod>, protocol: Protocol) {
    for pause in probe::pauses() {
        match throttler.upgrade() {
            Some(throttler) if throttler.still_wanted(&pod) => {}
            _ => return,
        }
        let next = Instant::now() + pause;
        if probe::attempt(pod.upstream(), protocol).await {
            if let Some(throttler) = throttler.upgrade() {
                throttler.probed(&pod);
            }
            return;
        }
        tokio::time::sleep_until(next).await;
    }
}

/// Leaves the queue when the waiting future is dropped.
struct Leave {
    throttler: Arc<Throttler>,
    ticket: Ticket,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.throttler.state.lock().queue.remove(self.ticket);
    }
}

#[cfg(test)]
mod tests;
