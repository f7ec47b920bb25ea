//! Readiness probes of the user container: what core/v1 `Probe` says, carried out from beside it.

mod check;
mod spec;

use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared, join_all};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

pub use check::check;
pub use spec::{Action, HttpHeader, ParseProbeError, Probe, parse_probes};

/// Waits between the attempts of an aggressive probe, in milliseconds; the last one repeats.
///
/// Upstream polls every 50 ms. An attempt on loopback costs some 50 µs, and each millisecond here is one of a cold
/// start, so we begin at once and slow down.
const STEPS: [u64; 9] = [1, 1, 2, 2, 5, 5, 10, 10, 25];
/// How long an aggressive probe goes on (upstream value).
const AGGRESSIVE_LIMIT: Duration = Duration::from_secs(10);
/// Time for one attempt of an aggressive probe (upstream value).
const AGGRESSIVE_ATTEMPT: Duration = Duration::from_millis(100);

/// Checks the user containers; checks asked for at the same time share one run.
pub struct Prober {
    probes: Vec<Probe>,
    autodetect_http2: bool,
    running: Mutex<Option<WeakShared<BoxFuture<'static, bool>>>>,
}

impl Prober {
    /// All of `probes` must pass. With `autodetect_http2` an HTTP probe tries HTTP/2 by prior knowledge first.
    pub fn new(probes: Vec<Probe>, autodetect_http2: bool) -> Self {
        Self {
            probes,
            autodetect_http2,
            running: Mutex::new(None),
        }
    }

    /// Whether the containers are ready; an aggressive probe answers when they are, or after ten seconds.
    pub async fn ready(&self) -> bool {
        let run = self.join_or_start();
        run.await
    }

    fn join_or_start(&self) -> Shared<BoxFuture<'static, bool>> {
        let mut running = self.running.lock();
        if let Some(run) = running.as_ref().and_then(WeakShared::upgrade)
            && run.peek().is_none()
        {
            return run;
        }
        let probes = self.probes.clone();
        let autodetect_http2 = self.autodetect_http2;
        let run = async move {
            let runs = probes.iter().map(|probe| run(probe, autodetect_http2));
            join_all(runs).await.into_iter().all(|passed| passed)
        }
        .boxed()
        .shared();
        *running = run.downgrade();
        run
    }
}

async fn run(probe: &Probe, autodetect_http2: bool) -> bool {
    if !probe.is_aggressive() {
        return attempt(probe, probe.timeout(), autodetect_http2).await;
    }
    let limit = Instant::now() + AGGRESSIVE_LIMIT;
    let mut successes = 0;
    let mut steps = STEPS.iter().copied().chain(std::iter::repeat(25));
    loop {
        let next = Instant::now() + Duration::from_millis(steps.next().unwrap_or(25));
        if attempt(probe, AGGRESSIVE_ATTEMPT, autodetect_http2).await {
            successes += 1;
            if successes >= probe.success_threshold() {
                return true;
            }
        } else {
            successes = 0;
        }
        if next >= limit {
            return false;
        }
        sleep_until(next).await;
    }
}

async fn attempt(probe: &Probe, limit: Duration, autodetect_http2: bool) -> bool {
    timeout(limit, check(&probe.action, autodetect_http2))
        .await
        .unwrap_or(false)
}

#[cfg(test)]
mod tests;
