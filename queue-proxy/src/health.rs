//! Answers probes before anything else sees them.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use proxy::drain::Drainer;
use proxy::error::text;
use proxy::network_probe::{
    NetworkProbe, QUEUE, echo_hash, is_kubelet_probe, is_part_probe, network_probe, unexpected_probe,
};
use proxy::probe::Prober;
use proxy::{Body, Failure};

/// The health check and its exceptions.
pub(crate) struct Health {
    prober: Prober,
    drainer: Arc<Drainer>,
}

impl Health {
    pub(crate) fn new(prober: Prober, drainer: Arc<Drainer>) -> Self {
        Self { prober, drainer }
    }

    /// The answer to a probe; `None` for a request that is none.
    pub(crate) async fn answer(&self, headers: &HeaderMap) -> Option<Response<Body>> {
        let probe = network_probe(headers);
        if probe.is_none() && !is_kubelet_probe(headers) && !is_part_probe(headers) {
            return None;
        }
        // Failing here takes the pod out of the endpoints; requests still on their way are served.
        if self.drainer.is_draining() {
            return Some(Failure::ShuttingDown.response());
        }
        Some(match probe {
            Some(NetworkProbe::Ingress) => echo_hash(headers),
            Some(NetworkProbe::Part(part)) if part == QUEUE => self.check().await,
            Some(NetworkProbe::Part(other)) => unexpected_probe(&other),
            None => unexpected_probe(&http::HeaderValue::from_static("")),
        })
    }

    async fn check(&self) -> Response<Body> {
        if self.prober.ready().await {
            text(StatusCode::OK, QUEUE)
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "the container is not ready\n")
        }
    }
}
