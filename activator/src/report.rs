//! Counts the requests that one revision has here, for the autoscaler.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::stat::Stat;
use parking_lot::Mutex;

/// Requests of one revision, integrated over a reporting period.
#[derive(Debug)]
pub(crate) struct RevisionStats(Mutex<State>);

#[derive(Debug)]
struct State {
    /// False until a request comes; then the autoscaler must hear of it at once.
    active: bool,
    /// The first request was reported when it came: the next report must not count it again.
    first_reported: bool,
    in_flight: u32,
    arrived: u32,
    request_seconds: f64,
    changed: Instant,
    period_start: Instant,
}

/// One counted request.
#[derive(Debug)]
pub(crate) struct Counted(Arc<RevisionStats>);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.advance(Instant::now());
        state.in_flight = state.in_flight.saturating_sub(1);
    }
}

impl State {
    fn advance(&mut self, now: Instant) {
        let passed: Duration = now.saturating_duration_since(self.changed);
        self.request_seconds += f64::from(self.in_flight) * passed.as_secs_f64();
        self.changed = self.changed.max(now);
    }
}

impl RevisionStats {
    pub(crate) fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            active: false,
            first_reported: false,
            in_flight: 0,
            arrived: 0,
            request_seconds: 0.0,
            changed: now,
            period_start: now,
        })))
    }

    /// Counts a request until the guard is dropped. The flag says that the autoscaler must hear of it now.
    pub(crate) fn start(self: &Arc<Self>, now: Instant) -> (Counted, bool) {
        let mut state = self.0.lock();
        let first = !state.active;
        if first {
            state.active = true;
            state.first_reported = true;
            state.period_start = now;
            state.changed = now;
        }
        state.advance(now);
        state.in_flight += 1;
        state.arrived += 1;
        (Counted(self.clone()), first)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.0.lock().in_flight
    }

    /// Ends the period. `None` for a revision without requests since the last but one report.
    pub(crate) fn report(&self, now: Instant) -> Option<Stat> {
        let mut state = self.0.lock();
        if !state.active {
            return None;
        }
        state.advance(now);
        let seconds = now.saturating_duration_since(state.period_start).as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let concurrency = state.request_seconds / seconds;
        let count = f64::from(state.arrived) / seconds;
        let already = if std::mem::take(&mut state.first_reported) {
            1.0
        } else {
            0.0
        };
        if concurrency == 0.0 {
            // Silent for a whole period: the next request is a first again.
            state.active = false;
        }
        (state.request_seconds, state.arrived, state.period_start) = (0.0, 0, now);
        Some(Stat {
            average_concurrent_requests: (concurrency - already).max(0.0),
            request_count: count - already,
            ..Stat::default()
        })
    }
}

/// What is sent the moment a first request comes.
pub(crate) fn first_request() -> Stat {
    Stat {
        average_concurrent_requests: 1.0,
        request_count: 1.0,
        ..Stat::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_is_reported_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let stats = RevisionStats::new(start);
        assert!(stats.report(at(1)).is_none());
        let (first, is_first) = stats.start(at(10));
        let (second, again) = stats.start(at(10));
        assert_eq!((is_first, again), (true, false));
        let report = stats.report(at(11)).unwrap();
        assert_eq!(
            (report.average_concurrent_requests, report.request_count),
            (1.0, 1.0)
        );
        let report = stats.report(at(12)).unwrap();
        assert_eq!(
            (report.average_concurrent_requests, report.request_count),
            (2.0, 0.0)
        );
        {
            let mut state = stats.0.lock();
            state.in_flight = 0;
        }
        assert_eq!(stats.report(at(13)).unwrap().average_concurrent_requests, 0.0);
        assert!(stats.report(at(14)).is_none());
        let (third, first_again) = stats.start(at(20));
        assert!(first_again);
        for guard in [first, second, third] {
            std::mem::forget(guard);
        }
    }
}
