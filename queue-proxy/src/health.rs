//! Answers probes before anything else sees them.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use proxy::drain::Drainer;
use proxy::error::text;
use proxy::network_probe::{
    NetworkProbe, QUEUE, echo_hash, is_kubelet_probe, is_part_probe, network_probe, unexpected_probe,
};
use proxy::probe::Prober;
use proxy::{Body, Failure};

/// Kubelet gives up after a second unless the probe says otherwise, and a probe without a period, which goes on for ten
/// seconds, may not: an answer before that carries the cause into its event.
const KUBELET_PATIENCE: Duration = Duration::from_millis(900);

/// The health check and its exceptions.
pub(crate) struct Health {
    prober: Prober,
    /// Whether a check may take longer than kubelet waits.
    aggressive: bool,
    drainer: Arc<Drainer>,
}

/// What a probe asks.
pub(crate) enum Asked {
    Network(NetworkProbe),
    /// A prober's user agent without a word of whom it means.
    Unnamed,
}

impl Health {
    pub(crate) fn new(prober: Prober, drainer: Arc<Drainer>) -> Self {
        Self {
            aggressive: prober.is_aggressive(),
            prober,
            drainer,
        }
    }

    /// What a request asks for, if it is a probe.
    pub(crate) fn probe(&self, headers: &HeaderMap) -> Option<Asked> {
        match network_probe(headers) {
            Some(probe) => Some(Asked::Network(probe)),
            None if is_kubelet_probe(headers) || is_part_probe(headers) => Some(Asked::Unnamed),
            None => None,
        }
    }

    pub(crate) async fn answer(&self, asked: Asked, headers: &HeaderMap) -> Response<Body> {
        // Failing here takes the pod out of the endpoints; requests still on their way are served.
        if self.drainer.is_draining() {
            return Failure::ShuttingDown.response();
        }
        match asked {
            Asked::Network(NetworkProbe::Ingress) => echo_hash(headers),
            Asked::Network(NetworkProbe::Part(part)) if part == QUEUE => self.check(headers).await,
            Asked::Network(NetworkProbe::Part(other)) => unexpected_probe(&other),
            Asked::Unnamed => unexpected_probe(&http::HeaderValue::from_static("")),
        }
    }

    async fn check(&self, headers: &HeaderMap) -> Response<Body> {
        let result = if self.aggressive && is_kubelet_probe(headers) {
            self.prober.ready_within(KUBELET_PATIENCE).await
        } else {
            self.prober.ready().await
        };
        match result {
            Ok(()) => text(StatusCode::OK, QUEUE),
            Err(error) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the container is not ready: {error}\n"),
            ),
        }
    }
}
