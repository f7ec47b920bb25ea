//! Waits for the requests to stop coming before a pod goes away.
//!
//! Endpoints are withdrawn slowly and by others, so requests keep arriving after the decision to stop. Draining means:
//! fail the probes, keep serving, and be done when nothing came for a whole quiet period.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Whether a pod drains, and since when it is quiet.
#[derive(Debug)]
pub struct Drainer {
    quiet_period: Duration,
    phase: watch::Sender<Phase>,
    last_request: Mutex<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// No request came for a quiet period.
    Quiet,
    /// [`Drainer::reset`] was called: the process stays.
    Reset,
}

impl Drainer {
    pub fn new(quiet_period: Duration) -> Self {
        Self {
            quiet_period,
            phase: watch::Sender::new(Phase::Serving),
            last_request: Mutex::new(Instant::now()),
        }
    }

    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() == Phase::Draining
    }

    /// Notes a request that is no probe: the quiet period starts anew.
    pub fn note_request(&self) {
        if self.is_draining() {
            *self.last_request.lock() = Instant::now();
        }
    }

    /// Starts to drain (or joins a drain under way) and waits for its end.
    pub async fn drain(&self) -> Drained {
        let started = self.phase.send_if_modified(|phase| {
            let starts = *phase == Phase::Serving;
            *phase = Phase::Draining;
            starts
        });
        if started {
            *self.last_request.lock() = Instant::now();
        }
        let mut phase = self.phase.subscribe();
        loop {
            let quiet_at = *self.last_request.lock() + self.quiet_period;
            if Instant::now() >= quiet_at {
                return Drained::Quiet;
            }
            tokio::select! {
                () = sleep_until(quiet_at) => {}
                reset = phase.wait_for(|phase| *phase == Phase::Serving) => {
                    drop(reset);
                    return Drained::Reset;
                }
            }
        }
    }

    /// Takes a drain back: probes succeed again and whoever waits is told.
    pub fn reset(&self) {
        self.phase.send_replace(Phase::Serving);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const QUIET: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_request_restarts_the_quiet_period() {
        let drainer = Arc::new(Drainer::new(QUIET));
        let started = Instant::now();
        let waiting = tokio::spawn({
            let drainer = drainer.clone();
            async move { drainer.drain().await }
        });
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(drainer.is_draining());
        drainer.note_request();
        assert_eq!(waiting.await.unwrap(), Drained::Quiet);
        assert_eq!(started.elapsed().as_secs(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_before_the_drain_do_not_shorten_it() {
        let drainer = Drainer::new(QUIET);
        tokio::time::sleep(Duration::from_secs(100)).await;
        drainer.note_request();
        let started = Instant::now();
        drainer.drain().await;
        assert_eq!(started.elapsed(), QUIET);
    }

    #[tokio::test(start_paused = true)]
    async fn reset_ends_the_drain_and_a_later_one_starts_anew() {
        let drainer = Arc::new(Drainer::new(QUIET));
        let waiting = tokio::spawn({
            let drainer = drainer.clone();
            async move { drainer.drain().await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        drainer.reset();
        assert_eq!(waiting.await.unwrap(), Drained::Reset);
        assert!(!drainer.is_draining());
        tokio::time::sleep(Duration::from_secs(100)).await;
        let started = Instant::now();
        assert_eq!(drainer.drain().await, Drained::Quiet);
        assert_eq!(started.elapsed(), QUIET);
    }
}
