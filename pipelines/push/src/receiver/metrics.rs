//! What became of deliveries, and how near the bounds are.

use std::sync::LazyLock;

use informer::registered;
use prometheus::{IntCounterVec, IntGauge, Opts};

/// Deliveries by what became of them.
pub(super) static DELIVERIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "spindrift_push_deliveries_total",
        "Deliveries of git hosts by what became of them",
    );
    registered(IntCounterVec::new(options, &["outcome"]))
});

/// At most [`MAX_REQUESTS`](super::MAX_REQUESTS).
pub(super) static IN_FLIGHT: LazyLock<IntGauge> = LazyLock::new(|| {
    let help = "Deliveries of git hosts that are read or noted now; at most 256";
    registered(IntGauge::new("spindrift_push_deliveries_in_flight", help))
});
