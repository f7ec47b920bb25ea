//! What a listener counts, by the names that upstream's has.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The metrics of a listener.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    /// Requests, by what became of them.
    pub received: IntCounterVec,
    /// Objects that were made, by kind.
    pub made: IntCounterVec,
    /// Time until requests are answered.
    pub duration: Histogram,
    /// Deliveries that had come before.
    pub repeated: IntCounter,
    /// Interceptors that were asked again, because they were away.
    pub retried: IntCounter,
    /// Events that are being worked on.
    pub open: IntGauge,
}

impl Metrics {
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            received: IntCounterVec::new(
                Opts::new(
                    "eventlistener_event_received_total",
                    "Requests, by what became of them.",
                ),
                &["status"],
            )?,
            made: IntCounterVec::new(
                Opts::new(
                    "eventlistener_triggered_resources_total",
                    "Objects made, by kind.",
                ),
                &["kind"],
            )?,
            duration: Histogram::with_opts(HistogramOpts::new(
                "eventlistener_http_duration_seconds",
                "Time until requests are answered.",
            ))?,
            repeated: IntCounter::new(
                "eventlistener_event_repeated_total",
                "Deliveries that had come before.",
            )?,
            retried: IntCounter::new(
                "eventlistener_interceptor_retries_total",
                "Interceptors that were asked again, because they did not answer.",
            )?,
            open: IntGauge::new(
                "eventlistener_events_open",
                "Events being worked on; at 256 others are sent away.",
            )?,
        };
        registry.register(Box::new(metrics.received.clone()))?;
        registry.register(Box::new(metrics.made.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.repeated.clone()))?;
        registry.register(Box::new(metrics.retried.clone()))?;
        registry.register(Box::new(metrics.open.clone()))?;
        Ok(metrics)
    }
}
