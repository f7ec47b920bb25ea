//! The way of a request through the sidecar.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::HOST;
use http::{HeaderMap, Request, Response, StatusCode};
use proxy::body::Observer;
use proxy::breaker::Permit;
use proxy::drain::Drainer;
use proxy::forward::{Forwarded, Outgoing, Splice};
use proxy::forwarded::add_forwarded;
use proxy::headers::{
    DEFAULT_ROUTE, K_KUBELET_PROBE, K_NETWORK_HASH, K_ORIGINAL_HOST, K_PASSTHROUGH_LB, K_PROXY_REQUEST,
    NAMESPACE, REVISION,
};
use proxy::network_probe::ACTIVATOR;
use proxy::request_log::{Entry, RequestLog};
use proxy::timeout::Clock;
use proxy::{Body, Breaker, Failure, Handler, Protocol, Timeouts, Upstream};
use tokio_util::task::TaskTracker;

use crate::health::Health;
use crate::stats::{InFlight, Stats};
use crate::telemetry::{RequestFacts, Telemetry};

/// Body of our 504, and the text appended to a response that is cut (upstream's words).
const TIMEOUT_TEXT: &str = "request timeout";

/// Everything a request passes.
pub(crate) struct Chain {
    pub(crate) health: Health,
    pub(crate) drainer: Arc<Drainer>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) request_log: Option<Arc<RequestLog>>,
    pub(crate) timeouts: Timeouts,
    pub(crate) stats: Arc<Stats>,
    /// `None` admits everything.
    pub(crate) breaker: Option<Breaker>,
    pub(crate) application: Arc<Upstream>,
    /// Upgraded connections, which outlive their requests.
    pub(crate) upgraded: TaskTracker,
}

impl Handler for Chain {
    async fn handle(self: Arc<Self>, mut request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        // Probes come first: they must neither be counted, nor wait, nor restart the quiet period of a drain.
        if let Some(probe) = self.health.probe(request.headers()) {
            return Box::pin(self.health.answer(probe, request.headers())).await;
        }
        self.drainer.note_request();
        // The clocks start here, so that waiting for a slot counts.
        let clock = self.timeouts.start();
        let mut record = Record::new(&self, &request, peer);
        add_forwarded(request.headers_mut());
        let proxied = request
            .headers()
            .get(K_PROXY_REQUEST)
            .is_some_and(|by| by == ACTIVATOR);
        restore_host(request.headers_mut());
        strip_hop_headers(request.headers_mut());

        let in_flight = self.stats.start(proxied);
        match self
            .admit_and_forward(request, clock, in_flight, &mut record)
            .await
        {
            Ok(answer) => answer,
            Err(failure) => {
                let response = failure.response();
                record.status = response.status();
                response
            }
        }
    }
}

impl Chain {
    async fn admit_and_forward(
        self: &Arc<Self>,
        request: Request<Body>,
        mut clock: Clock,
        in_flight: InFlight,
        record: &mut Record,
    ) -> Result<Response<Body>, Failure> {
        let protocol = Protocol::of(request.version());
        let answered = clock.head(async {
            let permit = self.admit().await?;
            let outgoing = Outgoing::new(request, protocol);
            match outgoing.send(&self.application).await {
                Ok(forwarded) => Ok((forwarded, permit)),
                Err(failed) => {
                    tracing::debug!(
                        error = &failed.error as &dyn std::error::Error,
                        "Application did not answer"
                    );
                    Err(Failure::from(&failed.error))
                }
            }
        });
        let (Forwarded { response, splice }, permit) = answered
            .await
            .map_err(|_timed_out| Failure::TimedOut(TIMEOUT_TEXT))??;

        record.status = response.status();
        // Dropped with the last byte: only then is the slot free.
        let held = Held {
            record: record.take(),
            _in_flight: in_flight,
            _permit: permit,
        };
        if let Some(splice) = splice {
            self.splice(splice, clock, held);
            return Ok(response);
        }
        Ok(clock.body(response, TIMEOUT_TEXT).map(|body| body.observed(held)))
    }

    async fn admit(&self) -> Result<Option<Permit>, Failure> {
        let Some(breaker) = &self.breaker else {
            return Ok(None);
        };
        let _waiting = Waiting::new(&self.telemetry);
        Ok(Some(breaker.acquire().await?))
    }

    /// An upgraded connection holds its slot, and no timeout forgives it.
    fn splice(&self, splice: Splice, clock: Clock, held: Held) {
        self.upgraded.spawn(async move {
            let _held = held;
            let result = match clock.upgraded_deadline() {
                Some(deadline) => tokio::time::timeout_at(deadline, splice.run())
                    .await
                    .unwrap_or(Ok(())),
                None => splice.run().await,
            };
            if let Err(error) = result {
                tracing::debug!(%error, "Upgraded connection ended");
            }
        });
    }
}

/// The application sees the host that its client asked for.
fn restore_host(headers: &mut HeaderMap) {
    if let Some(host) = headers.remove(&K_ORIGINAL_HOST) {
        headers.insert(HOST, host);
    }
}

/// What the hops before us told each other is none of the application's business.
fn strip_hop_headers(headers: &mut HeaderMap) {
    for name in [
        &REVISION,
        &NAMESPACE,
        &K_PROXY_REQUEST,
        &K_PASSTHROUGH_LB,
        &K_NETWORK_HASH,
        &K_KUBELET_PROBE,
        &DEFAULT_ROUTE,
    ] {
        headers.remove(name);
    }
}

struct Waiting<'a>(&'a Telemetry);

impl<'a> Waiting<'a> {
    fn new(telemetry: &'a Telemetry) -> Self {
        telemetry.queue_depth.inc();
        Self(telemetry)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.queue_depth.dec();
    }
}

/// What a response body holds until its end. The record goes first, so that it is written when the slot is free.
struct Held {
    record: Record,
    _in_flight: InFlight,
    _permit: Option<Permit>,
}

impl Observer for Held {
    fn data(&mut self, bytes: usize) {
        self.record.bytes += bytes as u64;
    }
}

/// Notes a request when it is over, whichever way it went.
struct Record {
    chain: Option<Arc<Chain>>,
    facts: RequestFacts,
    log: Option<Entry>,
    started: Instant,
    /// A client that left before the head has no status; upstream notes those as 500 too.
    status: StatusCode,
    bytes: u64,
}

impl Record {
    fn new(chain: &Arc<Chain>, request: &Request<Body>, peer: SocketAddr) -> Self {
        Self {
            facts: chain.telemetry.facts(request.method(), request.headers()),
            log: chain.request_log.as_ref().map(|log| log.entry(request, peer)),
            chain: Some(chain.clone()),
            started: Instant::now(),
            status: StatusCode::INTERNAL_SERVER_ERROR,
            bytes: 0,
        }
    }

    fn take(&mut self) -> Self {
        Self {
            chain: self.chain.take(),
            log: self.log.take(),
            ..*self
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(chain) = self.chain.take() else { return };
        chain
            .telemetry
            .record(&self.facts, self.status, self.started, self.bytes);
        if let (Some(log), Some(entry)) = (&chain.request_log, self.log.take()) {
            log.write(entry, self.status, self.bytes, self.started.elapsed());
        }
    }
}
