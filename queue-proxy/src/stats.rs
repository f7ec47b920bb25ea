//! Counts requests for the autoscaler: how many run on average, how many come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What happened in one reporting period.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Report {
    pub concurrency: f64,
    pub proxied_concurrency: f64,
    /// Arrivals per second.
    pub requests: f64,
    pub proxied_requests: f64,
}

/// Running counts, integrated over time.
#[derive(Debug)]
pub(crate) struct Stats {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    all: Track,
    proxied: Track,
    period_start: Instant,
    changed: Instant,
}

#[derive(Debug, Default)]
struct Track {
    in_flight: u32,
    arrived: u32,
    /// Requests times seconds since the period began.
    request_seconds: f64,
}

impl Track {
    fn integrate(&mut self, passed: Duration) {
        self.request_seconds += f64::from(self.in_flight) * passed.as_secs_f64();
    }

    fn arrive(&mut self) {
        self.in_flight += 1;
        self.arrived += 1;
    }

    fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    fn take(&mut self, seconds: f64) -> (f64, f64) {
        let result = (self.request_seconds / seconds, f64::from(self.arrived) / seconds);
        (self.request_seconds, self.arrived) = (0.0, 0);
        result
    }
}

impl State {
    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.changed);
        self.all.integrate(passed);
        self.proxied.integrate(passed);
        self.changed = self.changed.max(now);
    }
}

impl Stats {
    pub(crate) fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                all: Track::default(),
                proxied: Track::default(),
                period_start: now,
                changed: now,
            }),
        })
    }

    /// Counts a request until the guard is dropped; `proxied` says that an activator counts it as well.
    pub(crate) fn start(self: &Arc<Self>, proxied: bool) -> InFlight {
        let mut state = self.state.lock();
        state.advance(Instant::now());
        state.all.arrive();
        if proxied {
            state.proxied.arrive();
        }
        InFlight {
            stats: self.clone(),
            proxied,
        }
    }

    /// Ends the period and begins the next.
    pub(crate) fn report(&self, now: Instant) -> Report {
        let mut state = self.state.lock();
        state.advance(now);
        let seconds = now.saturating_duration_since(state.period_start).as_secs_f64();
        if seconds <= 0.0 {
            return Report::default();
        }
        state.period_start = now;
        let (concurrency, requests) = state.all.take(seconds);
        let (proxied_concurrency, proxied_requests) = state.proxied.take(seconds);
        Report {
            concurrency,
            proxied_concurrency,
            requests,
            proxied_requests,
        }
    }
}

/// One counted request.
#[derive(Debug)]
pub(crate) struct InFlight {
    stats: Arc<Stats>,
    proxied: bool,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.stats.state.lock();
        state.advance(Instant::now());
        state.all.leave();
        if self.proxied {
            state.proxied.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency_is_averaged_over_the_period_and_counts_are_per_second() {
        let start = Instant::now();
        let mut state = State {
            all: Track::default(),
            proxied: Track::default(),
            period_start: start,
            changed: start,
        };
        let at = |ms| start + Duration::from_millis(ms);
        state.all.arrive();
        state.advance(at(500));
        state.all.arrive();
        state.proxied.arrive();
        state.advance(at(1500));
        state.all.leave();
        let stats = Stats {
            state: Mutex::new(state),
        };
        // 1 × 0.5 s + 2 × 1 s + 1 × 0.5 s over two seconds.
        let report = stats.report(at(2000));
        assert_eq!(
            report,
            Report {
                concurrency: 1.5,
                proxied_concurrency: 0.75,
                requests: 1.0,
                proxied_requests: 0.5
            }
        );
        assert_eq!(stats.report(at(2000)), Report::default());
        assert_eq!(
            stats.report(at(3000)),
            Report {
                concurrency: 1.0,
                proxied_concurrency: 1.0,
                ..Report::default()
            }
        );
    }

    #[test]
    fn a_dropped_guard_is_no_longer_in_flight() {
        let stats = Stats::new(Instant::now());
        let guard = stats.start(true);
        drop(guard);
        let state = stats.state.lock();
        assert_eq!(
            (
                state.all.in_flight,
                state.proxied.in_flight,
                state.proxied.arrived
            ),
            (0, 0, 1)
        );
    }
}
