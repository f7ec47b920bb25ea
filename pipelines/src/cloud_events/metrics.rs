//! How sending goes.

use std::sync::LazyLock;

use prometheus::{IntCounterVec, IntGauge, Opts};
use reconciler::registered;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Sent,
    Failed,
    /// There was no room for it.
    Dropped,
}

static TOTAL: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "spindrift_run_events_total",
        "CloudEvents about runs, by what became of them.",
    );
    registered(IntCounterVec::new(options, &["outcome"]))
});

pub(super) static WAITING: LazyLock<IntGauge> = LazyLock::new(|| {
    let help = "CloudEvents about runs that wait for their sink, or are being sent.";
    registered(IntGauge::new("spindrift_run_events_waiting", help))
});

pub(super) fn count(outcome: Outcome) {
    let label = match outcome {
        Outcome::Sent => "sent",
        Outcome::Failed => "failed",
        Outcome::Dropped => "dropped",
    };
    TOTAL.with_label_values(&[label]).inc();
}
