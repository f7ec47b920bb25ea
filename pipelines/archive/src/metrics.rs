//! Metrics of pruning and of the archive. No name of a user becomes a label.

use std::sync::LazyLock;

use prometheus::{IntCounterVec, IntGauge, Opts};
use reconciler::registered;

fn gauge(name: &str, help: &str) -> IntGauge {
    registered(IntGauge::new(name, help))
}

/// Bytes on disk.
pub static BYTES: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "spindrift_run_archive_bytes",
        "Bytes of archived runs and logs on disk.",
    )
});
/// Bytes that are kept at the most.
pub static BYTES_LIMIT: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "spindrift_run_archive_bytes_limit",
        "Bytes of archived runs and logs that are kept at the most.",
    )
});
/// Entries.
pub static ENTRIES: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("spindrift_run_archive_entries", "Archived runs and logs of pods."));
/// Entries that are kept at the most.
pub static ENTRIES_LIMIT: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "spindrift_run_archive_entries_limit",
        "Archived runs and logs of pods that are kept at the most.",
    )
});
/// What was put in, and what could not be.
pub static WRITTEN: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "spindrift_run_archive_writes_total",
        "Runs and logs put into the archive.",
    );
    registered(IntCounterVec::new(options, &["kind", "result"]))
});
/// What had to go for something newer, or was too old.
pub static DROPPED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "spindrift_run_archive_dropped_total",
        "Archived runs and logs that were dropped to stay within the bounds.",
    );
    registered(IntCounterVec::new(options, &["bound"]))
});
/// Runs that were deleted, or could not be.
pub static PRUNED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "spindrift_runs_pruned_total",
        "Runs that were deleted for the limits of history.",
    );
    registered(IntCounterVec::new(options, &["kind", "result"]))
});
