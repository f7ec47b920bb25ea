//! Answers requests, within bounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crds::conditions::ConditionedStatus;
use crds::sinks::JobSink;
use event::Event;
use event_identity::{Doorkeeper, Guarded, Guest};
use event_tls::Door;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use kube::Client;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use proxy::held::{Count, announced};
use proxy::{Body, Handler, Held};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::jobs::{Jobs, MAX_EVENT, Progress};
use crate::names::Address;
use crate::refusal::Refusal;
use crate::route::{Route, route};

/// Requests under way at once.
const MAX_REQUESTS: usize = 512;
/// Bytes of their bodies.
const MAX_HELD: usize = 64 << 20;
/// Requests of which the API server is told at the same time; the others wait for it, within their time.
const MAX_CALLS: usize = 64;
/// Time for a request, its body and three writes to the API server.
const TIME_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Service {
    jobs: Jobs,
    door: Arc<Door>,
    doorkeeper: Doorkeeper,
    /// Whether the policies have been read once.
    ready: watch::Receiver<bool>,
    requests: Semaphore,
    held: Arc<Semaphore>,
    calls: Semaphore,
    answered: IntCounterVec,
    in_flight: IntGauge,
}

impl Service {
    pub fn new(
        client: Client,
        door: Arc<Door>,
        doorkeeper: Doorkeeper,
        ready: watch::Receiver<bool>,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let answered = IntCounterVec::new(
            Opts::new("job_sink_requests_total", "Requests answered, by status code."),
            &["code"],
        )?;
        let in_flight = IntGauge::new(
            "job_sink_requests_in_flight",
            "Requests being worked on; at 512 others are sent away.",
        )?;
        registry.register(Box::new(answered.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        Ok(Self {
            jobs: Jobs::new(client),
            door,
            doorkeeper,
            ready,
            requests: Semaphore::new(MAX_REQUESTS),
            held: Arc::new(Semaphore::new(MAX_HELD)),
            calls: Semaphore::new(MAX_CALLS),
            answered,
            in_flight,
        })
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        let route = route(request.method(), request.uri().path())?;
        if matches!(route, Route::Event { .. }) {
            self.door.check(request.extensions())?;
        }
        let _slot = self.requests.try_acquire().map_err(|_| Refusal::Busy)?;
        let _counted = Counted::new(&self.in_flight);
        let work = async {
            match route {
                Route::Event { namespace, sink } => self.take(namespace, sink, request).await,
                Route::Status(address) => {
                    let _call = self.call().await?;
                    self.jobs.progress(&address).await.map(shown)
                }
            }
        };
        tokio::time::timeout(TIME_LIMIT, work)
            .await
            .map_err(|_| Refusal::Timeout(TIME_LIMIT))?
    }

    /// A turn to speak to the API server.
    async fn call(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        // Never closed.
        self.calls.acquire().await.map_err(|_| Refusal::Busy)
    }

    /// Who sends, before anything of it is read.
    async fn guest<'a>(
        &self,
        at: (&'a str, &str),
        sink: &JobSink,
        headers: &HeaderMap,
    ) -> Result<Guest<'a>, Refusal> {
        if !*self.ready.borrow() {
            return Err(Refusal::NotReady);
        }
        Ok(self
            .doorkeeper
            .greet("JobSink", at, guarded(sink), headers)
            .await?)
    }

    async fn take(
        &self,
        namespace: String,
        sink: String,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let (head, body) = request.into_parts();
        let object = {
            let _call = self.call().await?;
            self.jobs.sink(&namespace, &sink).await?
        };
        let at = (namespace.as_str(), sink.as_str());
        let guest = self.guest(at, &object, &head.headers).await?;
        // Counted as it comes: who announces much and sends nothing keeps nobody out.
        let announced = announced(&head.headers);
        let held = Held::read(body, announced, MAX_EVENT, &self.held, Count::Arrived).await?;
        let (bytes, _room) = held.into_parts();
        let event = event::http::read(&head.headers, bytes)?;
        guest.brings(&event)?;
        let address = address(namespace.clone(), sink.clone(), &event);
        let _call = self.call().await?;
        self.jobs.make(&object, &address, &event).await?;
        let mut response = empty(StatusCode::ACCEPTED);
        if let Ok(location) = HeaderValue::from_str(&address.location()) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }
}

/// What the status of a sink says about senders.
fn guarded(sink: &JobSink) -> Guarded<'_> {
    let status = sink.status.as_ref();
    Guarded {
        address: status.and_then(|status| status.address.as_ref()),
        policies: status.map_or(&[][..], |status| &status.policies),
        condition: status.and_then(|status| status.condition("EventPoliciesReady")),
    }
}

fn address(namespace: String, sink: String, event: &Event) -> Address {
    Address {
        namespace,
        sink,
        source: event.source.to_string(),
        id: event.id.to_string(),
    }
}

fn shown(progress: Progress) -> Response<Body> {
    let (status, reason) = match progress {
        Progress::Running => (StatusCode::ACCEPTED, None),
        Progress::Complete => (StatusCode::OK, Some("Complete")),
        Progress::Failed => (StatusCode::BAD_REQUEST, Some("Failed")),
    };
    let mut response = empty(status);
    if let Some(reason) = reason {
        response
            .headers_mut()
            .insert("reason", HeaderValue::from_static(reason));
    }
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

impl Handler for Service {
    async fn handle(self: Arc<Self>, request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        let response = self.answer(request).await.unwrap_or_else(|refusal| {
            if refusal.status().is_server_error() {
                tracing::warn!(error = %refusal, "An event was not taken in");
            }
            refusal.response()
        });
        self.answered
            .with_label_values(&[response.status().as_str()])
            .inc();
        response
    }
}

/// A request that is being worked on.
struct Counted<'a>(&'a IntGauge);

impl<'a> Counted<'a> {
    fn new(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
