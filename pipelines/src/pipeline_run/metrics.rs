//! Metrics of PipelineRuns, under the names that dashboards of Tekton know. No name of a user becomes a label.

use std::sync::LazyLock;
use std::time::Duration;

use crds::conditions::ConditionStatus;
use crds::tekton::reasons::pipeline_run as reasons;
use crds::tekton::{PipelineRun, RunStatus as _};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};
use reconciler::registered;

/// Bounds in seconds: from builds of seconds to those of a day (as upstream).
const BUCKETS: [f64; 12] = [
    10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 5400.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0,
];

static TOTAL: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "tekton_pipelines_controller_pipelinerun_total",
        "PipelineRuns that ended.",
    );
    registered(IntCounterVec::new(options, &["status"]))
});

static DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    let options = HistogramOpts::new(
        "tekton_pipelines_controller_pipelinerun_duration_seconds",
        "Time from the start of PipelineRuns to their end.",
    );
    registered(HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["status"]))
});

/// Counts a run that has just ended.
pub(super) fn ended(run: &PipelineRun) {
    let Some(status) = &run.status else { return };
    let Some(label) = status.succeeded().and_then(|condition| {
        Some(match (condition.status, condition.reason.as_deref()) {
            (ConditionStatus::Unknown, _) => return None,
            (ConditionStatus::True, _) => "success",
            (ConditionStatus::False, Some(reasons::CANCELLED)) => "cancelled",
            (ConditionStatus::False, _) => "failed",
        })
    }) else {
        return;
    };
    TOTAL.with_label_values(&[label]).inc();
    if let (Some(start), Some(end)) = (&status.start_time, &status.completion_time) {
        let took = Duration::try_from(end.0.duration_since(start.0)).unwrap_or_default();
        DURATION.with_label_values(&[label]).observe(took.as_secs_f64());
    }
}
