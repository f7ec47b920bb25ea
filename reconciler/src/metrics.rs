//! Metrics that every controller has, under the names of section "observability" of the serving contract
//! (`kn.workqueue.*`, dots as underscores), in the process-wide Prometheus registry.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Instant;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

use crate::key::Key;

/// Bounds of all duration histograms, in seconds.
pub const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

static FAMILIES: LazyLock<Families> = LazyLock::new(Families::register);

/// The workers of all queues: what is being worked on, since when.
static WORKING: LazyLock<Mutex<HashMap<(&'static str, Key), Instant>>> = LazyLock::new(Mutex::default);

struct Families {
    depth: IntGaugeVec,
    adds: IntCounterVec,
    retries: IntCounterVec,
    queue_duration: HistogramVec,
    process_duration: HistogramVec,
    reconciles: IntCounterVec,
}

/// The metrics of one queue.
#[derive(Clone)]
pub(crate) struct QueueMetrics {
    name: &'static str,
    pub depth: IntGauge,
    pub adds: IntCounter,
    pub retries: IntCounter,
    pub queue_duration: Histogram,
    pub process_duration: Histogram,
}

impl QueueMetrics {
    pub(crate) fn named(name: &'static str) -> Self {
        let label = &[name];
        Self {
            name,
            depth: FAMILIES.depth.with_label_values(label),
            adds: FAMILIES.adds.with_label_values(label),
            retries: FAMILIES.retries.with_label_values(label),
            queue_duration: FAMILIES.queue_duration.with_label_values(label),
            process_duration: FAMILIES.process_duration.with_label_values(label),
        }
    }

    pub(crate) fn started(&self, key: &Key) {
        WORKING.lock().insert((self.name, key.clone()), Instant::now());
    }

    /// Counts one reconcile that ended with `outcome` (`success` or an error class).
    pub(crate) fn finished(&self, key: &Key, outcome: &'static str) {
        if let Some(since) = WORKING.lock().remove(&(self.name, key.clone())) {
            self.process_duration.observe(since.elapsed().as_secs_f64());
        }
        FAMILIES.reconciles.with_label_values(&[self.name, outcome]).inc();
    }
}

impl Families {
    fn register() -> Self {
        let families = Self {
            depth: registered(IntGaugeVec::new(
                Opts::new("kn_workqueue_depth", "Keys that wait to be reconciled."),
                &["name"],
            )),
            adds: registered(IntCounterVec::new(
                Opts::new("kn_workqueue_adds_total", "Keys added to the queue."),
                &["name"],
            )),
            retries: registered(IntCounterVec::new(
                Opts::new(
                    "kn_workqueue_retries_total",
                    "Keys that are tried again after an error.",
                ),
                &["name"],
            )),
            queue_duration: registered(HistogramVec::new(
                HistogramOpts::new(
                    "kn_workqueue_queue_duration_seconds",
                    "Time from being added to being worked on.",
                )
                .buckets(SECONDS.to_vec()),
                &["name"],
            )),
            process_duration: registered(HistogramVec::new(
                HistogramOpts::new(
                    "kn_workqueue_process_duration_seconds",
                    "Duration of one reconcile.",
                )
                .buckets(SECONDS.to_vec()),
                &["name"],
            )),
            reconciles: registered(IntCounterVec::new(
                Opts::new("kn_reconciles_total", "Reconciles by result."),
                &["name", "result"],
            )),
        };
        registered(Working::new());
        families
    }
}

/// Registers a family, or hands back an unregistered one if its name is taken: metrics never stop a controller.
pub(crate) fn registered<C: Collector + Clone + 'static>(collector: prometheus::Result<C>) -> C {
    #[expect(
        clippy::expect_used,
        reason = "names and labels are constants that the tests of this file register"
    )]
    let collector = collector.expect("constant metric names are valid");
    if let Err(error) = prometheus::register(Box::new(collector.clone())) {
        tracing::warn!(%error, "Metric could not be registered");
    }
    collector
}

/// Computes at scrape time how long the current work has been going on.
#[derive(Clone)]
struct Working {
    unfinished: GaugeVec,
    longest: GaugeVec,
}

impl Working {
    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            unfinished: GaugeVec::new(
                Opts::new(
                    "kn_workqueue_unfinished_work_seconds",
                    "Sum of the ages of unfinished reconciles.",
                ),
                &["name"],
            )?,
            longest: GaugeVec::new(
                Opts::new(
                    "kn_workqueue_longest_running_processor_seconds",
                    "Age of the oldest unfinished reconcile.",
                ),
                &["name"],
            )?,
        })
    }
}

impl Collector for Working {
    fn desc(&self) -> Vec<&Desc> {
        self.unfinished
            .desc()
            .into_iter()
            .chain(self.longest.desc())
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.unfinished.reset();
        self.longest.reset();
        for ((name, _), since) in WORKING.lock().iter() {
            let age = since.elapsed().as_secs_f64();
            self.unfinished.with_label_values(&[name]).add(age);
            let longest = self.longest.with_label_values(&[name]);
            longest.set(longest.get().max(age));
        }
        self.unfinished
            .collect()
            .into_iter()
            .chain(self.longest.collect())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_families_register_and_unfinished_work_is_seen() {
        let metrics = QueueMetrics::named("test-metrics");
        let key = Key::new("ns", "a");
        metrics.adds.inc();
        metrics.started(&key);
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&prometheus::gather())
            .unwrap();
        for family in [
            "kn_workqueue_adds_total{name=\"test-metrics\"} 1",
            "kn_workqueue_unfinished_work_seconds{name=\"test-metrics\"}",
            "kn_workqueue_longest_running_processor_seconds{name=\"test-metrics\"}",
        ] {
            assert!(text.contains(family), "{family} in {text}");
        }
        metrics.finished(&key, "success");
        assert_eq!(metrics.process_duration.get_sample_count(), 1);
    }
}
