//! Metrics that every controller has, under the names of section "observability" of the serving contract
//! (`kn.workqueue.*`, dots as underscores), in the process-wide Prometheus registry.

use std::sync::LazyLock;

use informer::{QueueMetrics, registered};
use prometheus::{IntCounterVec, Opts};

use crate::Queue;

static QUEUES: LazyLock<QueueMetrics> = LazyLock::new(|| QueueMetrics::register("kn_workqueue", "process"));

static RECONCILES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new("kn_reconciles_total", "Reconciles by result.");
    registered(IntCounterVec::new(options, &["name", "result"]))
});

/// A queue whose metrics carry `name`.
pub fn queue(name: &'static str) -> Queue {
    Queue::reporting(name, &QUEUES)
}

/// Counts one reconcile of the controller `name` that ended with `outcome` (`success` or an error class).
pub(crate) fn reconciled(name: &str, outcome: &str) {
    RECONCILES.with_label_values(&[name, outcome]).inc();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn families_carry_the_names_of_the_contract() {
        let queue = queue("test-metrics");
        let key = crate::Key::new("ns", "a");
        queue.add(key.clone());
        queue.next().await;
        reconciled("test-metrics", "success");
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&prometheus::gather())
            .unwrap();
        for family in [
            "kn_workqueue_depth{name=\"test-metrics\"} 0",
            "kn_workqueue_adds_total{name=\"test-metrics\"} 1",
            "kn_workqueue_retries_total{name=\"test-metrics\"} 0",
            "kn_workqueue_queue_duration_seconds_count{name=\"test-metrics\"} 1",
            "kn_workqueue_process_duration_seconds_count{name=\"test-metrics\"} 0",
            "kn_workqueue_unfinished_work_seconds{name=\"test-metrics\"}",
            "kn_workqueue_longest_running_processor_seconds{name=\"test-metrics\"}",
            "kn_reconciles_total{name=\"test-metrics\",result=\"success\"} 1",
        ] {
            assert!(text.contains(family), "{family} in {text}");
        }
        queue.done(&key);
    }
}
