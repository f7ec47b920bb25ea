//! What became of deliveries, and how near the bounds are.

use std::sync::LazyLock;

use informer::registered;
use prometheus::{IntCounterVec, IntGauge, Opts};

/// Deliveries by what became of them.
pub(super) static DELIVERIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "spindrift_github_deliveries_total",
        "Deliveries of GitHub by what became of them",
    );
    registered(IntCounterVec::new(options, &["outcome"]))
});

/// At most [`MAX_REQUESTS`](super::MAX_REQUESTS).
pub(super) static IN_FLIGHT: LazyLock<IntGauge> = LazyLock::new(|| {
    let help = "Deliveries of GitHub that are read or passed on now; at most 256";
    registered(IntGauge::new("spindrift_github_deliveries_in_flight", help))
});

pub(super) static REMEMBERED: LazyLock<IntGauge> = LazyLock::new(|| {
    let help =
        "Accepted deliveries of GitHub that are remembered, so that they are not sent twice; at most 10000";
    registered(IntGauge::new("spindrift_github_deliveries_remembered", help))
});
