//! Admits at most `containerConcurrency` requests at a time, and queues a bounded number behind them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More requests are waiting than the queue may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pending request queue full")]
pub struct QueueFull;

/// A counting gate: exact, first in first out.
///
/// A waiting request that is dropped (its client is gone) leaves the queue at once, and a [`Permit`] that is dropped
/// admits the next one at once. At the limit of the queue [`Breaker::acquire`] refuses without waiting.
#[derive(Debug, Clone)]
pub struct Breaker {
    slots: Arc<Semaphore>,
    /// Admitted and waiting together.
    pending: Arc<AtomicUsize>,
    limit: usize,
    total: usize,
}

/// The right to run one request.
#[derive(Debug)]
pub struct Permit {
    // Order matters: the slot goes first, so that the next in line is woken before a new arrival may take its place.
    _slot: OwnedSemaphorePermit,
    _pending: Pending,
}

#[derive(Debug)]
struct Pending(Arc<AtomicUsize>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Breaker {
    /// Admits `limit` requests at once (at least one) and lets `queue` more wait.
    pub fn new(limit: usize, queue: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            slots: Arc::new(Semaphore::new(limit)),
            pending: Arc::new(AtomicUsize::new(0)),
            limit,
            total: limit.saturating_add(queue),
        }
    }

    /// Waits for a slot in order of arrival.
    ///
    /// # Errors
    /// [`QueueFull`], at once, when the queue holds as many as it may.
    pub async fn acquire(&self) -> Result<Permit, QueueFull> {
        let pending = self.join()?;
        match self.slots.clone().acquire_owned().await {
            Ok(slot) => Ok(Permit {
                _slot: slot,
                _pending: pending,
            }),
            // The semaphore is never closed; refusing is the safe answer all the same.
            Err(_) => Err(QueueFull),
        }
    }

    fn join(&self) -> Result<Pending, QueueFull> {
        self.pending
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                (n < self.total).then_some(n + 1)
            })
            .map(|_| Pending(self.pending.clone()))
            .map_err(|_| QueueFull)
    }

    /// Requests admitted and not finished.
    pub fn in_flight(&self) -> usize {
        self.limit - self.slots.available_permits().min(self.limit)
    }

    /// Requests waiting for a slot.
    pub fn queued(&self) -> usize {
        self.pending
            .load(Ordering::Acquire)
            .saturating_sub(self.in_flight())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn admits_exactly_the_limit_and_refuses_past_the_queue() {
        let breaker = Breaker::new(2, 3);
        let admitted = [breaker.acquire().await.unwrap(), breaker.acquire().await.unwrap()];
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(breaker.acquire())).collect();
        for wait in &mut waiting {
            assert!(futures::poll!(wait.as_mut()).is_pending());
        }
        assert_eq!((breaker.in_flight(), breaker.queued()), (2, 3));
        assert_eq!(breaker.acquire().await.unwrap_err(), QueueFull);
        drop(admitted);
        assert!(futures::poll!(waiting[0].as_mut()).is_ready());
    }

    #[tokio::test]
    async fn serves_in_order_of_arrival() {
        let breaker = Breaker::new(1, 10);
        let first = breaker.acquire().await.unwrap();
        let mut second = Box::pin(breaker.acquire());
        let mut third = Box::pin(breaker.acquire());
        assert!(futures::poll!(second.as_mut()).is_pending());
        assert!(futures::poll!(third.as_mut()).is_pending());
        drop(first);
        assert!(futures::poll!(third.as_mut()).is_pending());
        let futures = futures::poll!(second.as_mut());
        assert!(futures.is_ready());
    }

    #[tokio::test]
    async fn a_client_that_leaves_frees_its_place_at_once() {
        let breaker = Breaker::new(1, 1);
        let running = breaker.acquire().await.unwrap();
        let mut waiting = Box::pin(breaker.acquire());
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        assert!(breaker.acquire().await.is_err());
        drop(waiting);
        assert_eq!(breaker.queued(), 0);
        let mut next = Box::pin(breaker.acquire());
        assert!(futures::poll!(next.as_mut()).is_pending());
        drop(running);
        assert!(futures::poll!(next.as_mut()).is_ready());
        drop(next);
        assert_eq!((breaker.in_flight(), breaker.queued()), (0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_burst_never_runs_more_than_the_limit_and_loses_no_slot() {
        let breaker = Breaker::new(3, 1000);
        let running = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..500)
            .map(|i| {
                let (breaker, running) = (breaker.clone(), running.clone());
                tokio::spawn(async move {
                    let acquire = breaker.acquire();
                    // Every seventh client gives up early.
                    if i % 7 == 0 {
                        let _ = tokio::time::timeout(Duration::from_micros(i), acquire).await;
                        return 0;
                    }
                    let _permit = acquire.await.unwrap();
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    tokio::task::yield_now().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    now
                })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap() <= 3);
        }
        assert_eq!((breaker.in_flight(), breaker.queued()), (0, 0));
    }
}
