//! Readiness probes of the user container: what core/v1 `Probe` says, carried out from beside it.

mod check;
mod spec;

use std::sync::Arc;
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

/// A run of all probes: why it failed, if it did.
type Run = BoxFuture<'static, Result<(), Arc<str>>>;

/// Checks the user containers; checks asked for at the same time share one run.
pub struct Prober {
    probes: Vec<Probe>,
    autodetect_http2: bool,
    running: Mutex<Option<WeakShared<Run>>>,
    /// What was wrong with the latest attempt, also of a run that has not ended.
    last_error: Arc<Mutex<Option<Arc<str>>>>,
}

impl Prober {
    /// All of `probes` must pass. With `autodetect_http2` an HTTP probe tries HTTP/2 by prior knowledge first.
    pub fn new(probes: Vec<Probe>, autodetect_http2: bool) -> Self {
        Self {
            probes,
            autodetect_http2,
            running: Mutex::new(None),
            last_error: Arc::default(),
        }
    }

    /// Whether a run goes on until the containers are ready.
    pub fn is_aggressive(&self) -> bool {
        self.probes.iter().any(Probe::is_aggressive)
    }

    /// Whether the containers are ready; an aggressive probe answers when they are, or after ten seconds.
    ///
    /// # Errors
    /// What was wrong with the last attempt.
    pub async fn ready(&self) -> Result<(), Arc<str>> {
        let run = self.join_or_start();
        run.await
    }

    /// As [`Self::ready`], for an asker who waits no longer than `limit`: the answer then is what was wrong last.
    ///
    /// # Errors
    /// What was wrong with the last attempt.
    pub async fn ready_within(&self, limit: Duration) -> Result<(), Arc<str>> {
        match timeout(limit, self.ready()).await {
            Ok(result) => result,
            Err(_) => Err(self.last_error.lock().clone().unwrap_or_else(no_answer)),
        }
    }

    fn join_or_start(&self) -> Shared<Run> {
        let mut running = self.running.lock();
        if let Some(run) = running.as_ref().and_then(WeakShared::upgrade)
            && run.peek().is_none()
        {
            return run;
        }
        let probes = self.probes.clone();
        let autodetect_http2 = self.autodetect_http2;
        let last_error = Arc::clone(&self.last_error);
        let run = async move {
            let runs = probes
                .iter()
                .map(|probe| run(probe, autodetect_http2, &last_error));
            let all: Result<(), Arc<str>> = join_all(runs).await.into_iter().collect();
            all
        }
        .boxed()
        .shared();
        *running = run.downgrade();
        run
    }
}

type LastError = Mutex<Option<Arc<str>>>;

async fn run(probe: &Probe, autodetect_http2: bool, last_error: &LastError) -> Result<(), Arc<str>> {
    if !probe.is_aggressive() {
        return attempt(probe, probe.timeout(), autodetect_http2, last_error).await;
    }
    let limit = Instant::now() + AGGRESSIVE_LIMIT;
    let mut successes = 0;
    let mut steps = STEPS.iter().copied().chain(std::iter::repeat(25));
    loop {
        let next = Instant::now() + Duration::from_millis(steps.next().unwrap_or(25));
        let result = attempt(probe, AGGRESSIVE_ATTEMPT, autodetect_http2, last_error).await;
        if result.is_ok() {
            successes += 1;
            if successes >= probe.success_threshold() {
                return Ok(());
            }
        } else {
            successes = 0;
        }
        if next >= limit {
            return result;
        }
        sleep_until(next).await;
    }
}

async fn attempt(
    probe: &Probe,
    limit: Duration,
    autodetect_http2: bool,
    last_error: &LastError,
) -> Result<(), Arc<str>> {
    let result = match timeout(limit, check(&probe.action, autodetect_http2)).await {
        Ok(result) => result.map_err(Arc::from),
        Err(_) => Err(no_answer()),
    };
    // An attempt fails many times in a row with the same words.
    let mut last = last_error.lock();
    if last.as_deref() != result.as_ref().err().map(|error: &Arc<str>| &**error) {
        *last = result.as_ref().err().cloned();
    }
    result
}

fn no_answer() -> Arc<str> {
    Arc::from("no answer in time")
}

#[cfg(test)]
mod tests;
