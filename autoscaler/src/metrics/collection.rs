//! What is known of one revision's load: concurrency and requests per second over the stable and the panic window.

use crds::stat::Stat;

use super::window::{Aggregation, Window};

/// Reports beyond this are nonsense, whoever sends them: they are ignored rather than allowed to order a million pods.
const PLAUSIBLE: f64 = 1e9;

/// Which load the pods are counted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadMetric {
    /// Requests at once.
    #[default]
    Concurrency,
    /// Requests per second.
    RequestsPerSecond,
}

/// Averages over the two windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    pub stable: f64,
    pub panic: f64,
}

/// The windows of one revision; about 16 bytes a second of window.
#[derive(Clone, Debug)]
pub struct Collection {
    concurrency: Pair,
    requests: Pair,
}

#[derive(Clone, Debug)]
struct Pair {
    stable: Window,
    panic: Window,
}

impl Pair {
    fn new(stable: u64, panic: u64) -> Self {
        Self {
            stable: Window::new(stable),
            panic: Window::new(panic),
        }
    }

    fn record(&mut self, second: u64, value: f64) {
        self.stable.record(second, value);
        self.panic.record(second, value);
    }
}

impl Collection {
    /// Empty windows of the given lengths in seconds.
    pub fn new(stable_seconds: u64, panic_seconds: u64) -> Self {
        Self {
            concurrency: Pair::new(stable_seconds, panic_seconds),
            requests: Pair::new(stable_seconds, panic_seconds),
        }
    }

    /// Length of the stable window in seconds.
    pub fn stable_seconds(&self) -> u64 {
        self.concurrency.stable.seconds()
    }

    /// Follows changed window lengths without losing what was recorded.
    pub fn resize(&mut self, stable_seconds: u64, panic_seconds: u64) {
        for pair in [&mut self.concurrency, &mut self.requests] {
            pair.stable.resize(stable_seconds);
            pair.panic.resize(panic_seconds);
        }
    }

    /// Takes in one report. What came through an activator is subtracted from what a pod says, since the activator
    /// reports the same requests itself.
    pub fn record(&mut self, second: u64, stat: &Stat) {
        let concurrency = stat.average_concurrent_requests - stat.average_proxied_concurrent_requests;
        let requests = stat.request_count - stat.proxied_request_count;
        let plausible = |value: f64| value.is_finite() && value.abs() <= PLAUSIBLE;
        if plausible(concurrency) && plausible(requests) {
            self.concurrency.record(second, concurrency);
            self.requests.record(second, requests);
        }
    }

    /// The load up to `now`; `None` if nothing was reported in the stable window.
    pub fn load(&self, now: u64, metric: LoadMetric, aggregation: Aggregation) -> Option<Load> {
        let pair = match metric {
            LoadMetric::Concurrency => &self.concurrency,
            LoadMetric::RequestsPerSecond => &self.requests,
        };
        (!pair.stable.is_empty(now)).then(|| Load {
            stable: pair.stable.average(now, aggregation),
            panic: pair.panic.average(now, aggregation),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(concurrent: f64, proxied: f64) -> Stat {
        Stat {
            average_concurrent_requests: concurrent,
            average_proxied_concurrent_requests: proxied,
            request_count: 10.0 * concurrent,
            proxied_request_count: 10.0 * proxied,
            ..Stat::default()
        }
    }

    fn load(collection: &Collection, now: u64) -> Option<Load> {
        collection.load(now, LoadMetric::Concurrency, Aggregation::Linear)
    }

    #[test]
    fn requests_through_an_activator_are_counted_once() {
        let mut collection = Collection::new(60, 6);
        collection.record(1, &stat(5.0, 3.0));
        collection.record(1, &stat(3.0, 0.0));
        assert_eq!(
            load(&collection, 1),
            Some(Load {
                stable: 5.0,
                panic: 5.0
            })
        );
        let requests = collection.load(1, LoadMetric::RequestsPerSecond, Aggregation::Linear);
        assert_eq!(
            requests,
            Some(Load {
                stable: 50.0,
                panic: 50.0
            })
        );
    }

    #[test]
    fn the_panic_window_forgets_sooner() {
        let mut collection = Collection::new(60, 2);
        collection.record(1, &stat(10.0, 0.0));
        collection.record(2, &stat(0.0, 0.0));
        collection.record(3, &stat(0.0, 0.0));
        assert_eq!(load(&collection, 3).map(|l| l.panic), Some(0.0));
        assert!(load(&collection, 3).is_some_and(|l| l.stable > 3.0));
    }

    #[test]
    fn no_report_is_not_zero_load_and_nonsense_is_no_report() {
        let mut collection = Collection::new(60, 6);
        assert_eq!(load(&collection, 1), None);
        for value in [f64::NAN, f64::INFINITY, 1e300] {
            collection.record(1, &stat(value, 0.0));
        }
        assert_eq!(load(&collection, 1), None);
    }
}
