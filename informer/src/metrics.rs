//! Metrics of queues and caches, in the process-wide Prometheus registry.

use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts,
};

/// Bounds of all duration histograms, in seconds.
pub const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Objects that each cache holds; `kind` is the kind, with the selection if there is one.
pub(crate) static OBJECTS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new("informer_objects", "Objects that are held in a cache.");
    registered(IntGaugeVec::new(options, &["kind"]))
});

/// Watches that failed and were begun anew.
pub(crate) static WATCH_FAILURES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new("informer_watch_failures_total", "Lists and watches that failed.");
    registered(IntCounterVec::new(options, &["kind"]))
});

/// Objects that a watch showed and that do not have the shape of their kind.
pub(crate) static UNREADABLE: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "informer_unreadable_objects_total",
        "Objects that do not have the shape of their kind.",
    );
    registered(IntCounterVec::new(options, &["kind"]))
});

/// The metric families of a set of queues, told apart by the label `name`.
pub struct QueueMetrics {
    adds: IntCounterVec,
    retries: IntCounterVec,
    queued: HistogramVec,
    worked: HistogramVec,
    live: Live,
}

/// The metrics of one queue.
pub(crate) struct Meter {
    pub adds: IntCounter,
    pub retries: IntCounter,
    pub queued: Histogram,
    pub worked: Histogram,
}

/// What can be seen of a queue at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    pub depth: usize,
    /// Sum of the ages of what is being worked on, in seconds.
    pub unfinished: f64,
    /// Age of the oldest of them, in seconds.
    pub longest: f64,
}

/// A queue that lets itself be read.
pub(crate) trait Measured: Send + Sync {
    fn read(&self) -> Reading;
}

impl QueueMetrics {
    /// The families under the names that client-go gives them.
    pub(crate) fn kubernetes() -> &'static Self {
        static FAMILIES: LazyLock<QueueMetrics> =
            LazyLock::new(|| QueueMetrics::register("workqueue", "work"));
        &FAMILIES
    }

    /// Registers families whose names begin with `prefix`; `work` is what the time spent on a key is called.
    pub fn register(prefix: &str, work: &str) -> Self {
        let counter = |name: &str, help: &str| {
            let options = Opts::new(format!("{prefix}_{name}"), help);
            registered(IntCounterVec::new(options, &["name"]))
        };
        let seconds = |name: &str, help: &str| {
            let options = HistogramOpts::new(format!("{prefix}_{name}_duration_seconds"), help);
            registered(HistogramVec::new(options.buckets(SECONDS.to_vec()), &["name"]))
        };
        Self {
            adds: counter("adds_total", "Keys added to the queue."),
            retries: counter("retries_total", "Keys that are tried again after an error."),
            queued: seconds("queue", "Time from being added to being worked on."),
            worked: seconds(work, "Duration of the work on one key."),
            live: registered(Live::new(prefix)),
        }
    }

    pub(crate) fn meter(&self, name: &str) -> Meter {
        let label = &[name];
        Meter {
            adds: self.adds.with_label_values(label),
            retries: self.retries.with_label_values(label),
            queued: self.queued.with_label_values(label),
            worked: self.worked.with_label_values(label),
        }
    }

    /// Reads `queue` at each scrape for as long as it lives.
    pub(crate) fn measure(&self, name: &'static str, queue: &Arc<dyn Measured>) {
        let mut queues = self.live.queues.lock();
        queues.retain(|(_, queue)| queue.strong_count() > 0);
        queues.push((name, Arc::downgrade(queue)));
    }
}

/// Registers a family, or hands back an unregistered one if its name is taken: metrics never stop a controller.
pub fn registered<C: Collector + Clone + 'static>(collector: prometheus::Result<C>) -> C {
    #[expect(
        clippy::expect_used,
        reason = "names and labels are constants that tests register"
    )]
    let collector = collector.expect("constant metric names are valid");
    if let Err(error) = prometheus::register(Box::new(collector.clone())) {
        tracing::warn!(%error, "Metric could not be registered");
    }
    collector
}

/// A queue under its name, for as long as it lives.
type Named = (&'static str, Weak<dyn Measured>);

/// Gauges that are computed at scrape time.
#[derive(Clone)]
struct Live {
    queues: Arc<Mutex<Vec<Named>>>,
    depth: GaugeVec,
    unfinished: GaugeVec,
    longest: GaugeVec,
}

impl Live {
    fn new(prefix: &str) -> prometheus::Result<Self> {
        let gauge =
            |name: &str, help: &str| GaugeVec::new(Opts::new(format!("{prefix}_{name}"), help), &["name"]);
        Ok(Self {
            queues: Arc::default(),
            depth: gauge("depth", "Keys that wait to be worked on.")?,
            unfinished: gauge("unfinished_work_seconds", "Sum of the ages of unfinished work.")?,
            longest: gauge(
                "longest_running_processor_seconds",
                "Age of the oldest unfinished work.",
            )?,
        })
    }

    fn gauges(&self) -> [&GaugeVec; 3] {
        [&self.depth, &self.unfinished, &self.longest]
    }
}

impl Collector for Live {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauges().into_iter().for_each(GaugeVec::reset);
        for (name, queue) in self.queues.lock().iter() {
            let Some(queue) = queue.upgrade() else { continue };
            let reading = queue.read();
            // Queues of one name are clones of a controller in tests; their readings add up.
            let depth = u32::try_from(reading.depth).unwrap_or(u32::MAX);
            self.depth.with_label_values(&[name]).add(f64::from(depth));
            self.unfinished.with_label_values(&[name]).add(reading.unfinished);
            let longest = self.longest.with_label_values(&[name]);
            longest.set(longest.get().max(reading.longest));
        }
        self.gauges().into_iter().flat_map(Collector::collect).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::queue::Queue;

    #[tokio::test]
    async fn families_carry_the_names_of_client_go() {
        let queue = Queue::new("test-metrics");
        queue.add("a");
        queue.add("b");
        queue.next().await;
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&prometheus::gather())
            .unwrap();
        for line in [
            "workqueue_adds_total{name=\"test-metrics\"} 2",
            "workqueue_depth{name=\"test-metrics\"} 1",
            "workqueue_retries_total{name=\"test-metrics\"} 0",
            "workqueue_queue_duration_seconds_count{name=\"test-metrics\"} 1",
            "workqueue_work_duration_seconds_count{name=\"test-metrics\"} 0",
            "workqueue_unfinished_work_seconds{name=\"test-metrics\"}",
            "workqueue_longest_running_processor_seconds{name=\"test-metrics\"}",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
