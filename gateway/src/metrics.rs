//! The gateway's metrics.

use http::{Method, StatusCode};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};
use proxy::metrics::{SECONDS, method_label, status_label};
use std::time::Duration;

/// Registered once per process.
pub(crate) struct Metrics {
    requests: HistogramVec,
    pub(crate) hosts: IntGauge,
    pub(crate) connections: IntGauge,
    /// Connections that may be open; beyond it new ones wait in the kernel's backlog.
    pub(crate) connections_limit: IntGauge,
    /// Connections closed on their clients, by reason.
    pub(crate) closed: IntCounterVec,
}

impl Metrics {
    /// # Errors
    /// Metrics of the same names are registered already.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: HistogramVec::new(
                HistogramOpts::new(
                    "spindrift_gateway_response_start_seconds",
                    "Time from a request's arrival to the head of its response",
                )
                .buckets(SECONDS.to_vec()),
                &["http_request_method", "http_response_status_code"],
            )?,
            hosts: IntGauge::new("spindrift_gateway_hosts", "Hosts that the gateway answers to")?,
            connections: IntGauge::new(
                "spindrift_gateway_connections",
                "Client connections that are open",
            )?,
            connections_limit: IntGauge::new(
                "spindrift_gateway_connections_limit",
                "Client connections that may be open",
            )?,
            closed: IntCounterVec::new(
                Opts::new(
                    "spindrift_gateway_connections_closed_total",
                    "Client connections closed because of what their clients did",
                ),
                &["reason"],
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.hosts.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.connections_limit.clone()))?;
        registry.register(Box::new(metrics.closed.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn answered(&self, method: &Method, status: StatusCode, took: Duration) {
        self.requests
            .with_label_values(&[method_label(method), &status_label(status)])
            .observe(took.as_secs_f64());
    }
}
