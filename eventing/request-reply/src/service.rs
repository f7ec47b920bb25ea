//! Answers requests, within bounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crds::conditions::ConditionedStatus;
use crds::eventing::{RequestReply, Trigger};
use crds::names;
use event::{Event, Mode, ValueRef};
use event_identity::{Doorkeeper, Guarded};
use event_tls::Door;
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use informer::Cache;
use kube::Resource;
use proxy::held::{Count, announced};
use proxy::{Body, Handler, Held};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::broker::Brokers;
use crate::keyring;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::route::{Route, route};
use crate::run::Limits;
use crate::waiting::Waiting;

const KIND: &str = "RequestReply";
const METHODS: HeaderValue = HeaderValue::from_static("POST, OPTIONS");
/// What a RequestReply waits if it does not say: admission fills it in, unless nobody asked it.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Service {
    pub objects: Cache<RequestReply>,
    /// Whether all that is read has been read once.
    pub ready: watch::Receiver<bool>,
    pub brokers: Brokers,
    pub keys: Arc<Keys>,
    pub doorkeeper: Doorkeeper,
    pub door: Arc<Door>,
    pub waiting: Arc<Waiting>,
    pub limits: Limits,
    /// Bodies that are read or handed on at the same time.
    pub bodies: Semaphore,
    /// Likewise, of answers: a broker that is slow to take events in must not keep those out that end a wait.
    pub answers: Semaphore,
    /// Bytes of the bodies of both.
    pub held: Arc<Semaphore>,
    pub held_answers: Arc<Semaphore>,
    pub metrics: Arc<Metrics>,
    /// Requests wait no longer than until this.
    pub ending: CancellationToken,
}

impl Service {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let closed = self.door.check(&head.extensions);
        let routed = closed
            .map_err(Refusal::from)
            .and_then(|()| route(&head.method, head.uri.path()));
        let (is_reply, answered) = match routed {
            Ok(Route::Handshake) => (false, Ok(handshake())),
            Ok(Route::Ask { namespace, name }) => {
                (false, self.ask((namespace, name), &head.headers, body).await)
            }
            Ok(Route::Reply { namespace, name }) => {
                (true, self.reply((namespace, name), &head.headers, body).await)
            }
            Err(refusal) => (false, Err(refusal)),
        };
        let mut response = answered.unwrap_or_else(|refusal| {
            if refusal.status().is_server_error() {
                tracing::debug!(error = %refusal, path = head.uri.path(), "A request was not answered");
            }
            refusal.response()
        });
        self.metrics.answered(is_reply, response.status());
        response.headers_mut().insert(ALLOW, METHODS);
        response
    }

    /// Sends an event to the broker, and waits for the one that answers it.
    async fn ask(
        &self,
        at: (&str, &str),
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response<Body>, Refusal> {
        let begun = Instant::now();
        let object = self.object(at)?;
        let slot = self.bodies.try_acquire().map_err(|_| Refusal::Busy)?;
        // Boxed, so that a request that waits does not carry what went before.
        let guest = Box::pin(self.doorkeeper.greet(KIND, at, guarded(&object), headers)).await?;
        let (bytes, room) = self.collected(headers, body, &self.held).await?.into_parts();
        let mut event = event::http::read(headers, bytes)?;
        guest.brings(&event)?;
        let mode = event.mode;

        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        let mark = names::request_reply_mark(uid);
        let keys = self.keys.now();
        let (text, ticket) = keys.seal(uid, &mark, &event.id)?;
        let mut place = self.waiting.enter(uid, ticket, keys).map_err(|_| Refusal::Full)?;
        let _counted = Counted::new(&self.metrics);
        event.set_extension(object.spec.correlation(), text);
        let limit = limit(&object);
        let sending = self.brokers.send(&object, headers, &event, limit);
        let deadline = begun + limit;
        timeout_at(deadline, Box::pin(sending))
            .await
            .map_err(|_| Refusal::Late(limit))??;
        // What waits from here on is small.
        drop((slot, event, object, room));
        tokio::select! {
            answer = timeout_at(deadline, place.answer()) => match answer {
                Ok(Some(answer)) => Ok(shown(&answer, mode)),
                Ok(None) | Err(_) => Err(Refusal::Late(limit)),
            },
            () = self.ending.cancelled() => Err(Refusal::Ending),
        }
    }

    /// Gives an event to the request that it answers.
    async fn reply(
        &self,
        at: (&str, &str),
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response<Body>, Refusal> {
        let object = self.object(at)?;
        let _slot = self.answers.try_acquire().map_err(|_| Refusal::Busy)?;
        if self.doorkeeper.is_enabled() {
            self.is_from_our_trigger(at, &object, headers).await?;
        }
        let (bytes, _room) = self
            .collected(headers, body, &self.held_answers)
            .await?
            .into_parts();
        let event = event::http::read(headers, bytes)?;
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        let attribute = object.spec.reply();
        let text = event.get(attribute).and_then(ValueRef::as_str);
        let text = text.ok_or_else(|| Refusal::NoReplyId(attribute.to_owned()))?;
        let mark = names::request_reply_mark(uid);
        // Those that wait keep their keys: a Secret that changes makes nobody's answer a forged one.
        let claimed = keyring::claimed(&mark, text).and_then(|ticket| self.waiting.keys(&ticket));
        let keys = claimed.unwrap_or_else(|| self.keys.now());
        let ticket = keys.open(uid, &mark, text)?;
        if self.waiting.answer(&ticket, event) {
            Ok(empty(StatusCode::ACCEPTED))
        } else {
            Err(Refusal::NobodyWaits)
        }
    }

    /// Answers come from the broker alone. Policies say who may ask, and mean nobody else.
    async fn is_from_our_trigger(
        &self,
        (namespace, name): (&str, &str),
        object: &RequestReply,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let receiver = format!("{KIND} {namespace}/{name}");
        let audience = guarded(object)
            .address
            .and_then(|address| address.audience.as_deref());
        let subject = self.doorkeeper.subject(audience, &receiver, headers).await?;
        let trigger = names::request_reply_trigger(name);
        let account = names::identity(&trigger, &Trigger::group(&()), &Trigger::kind(&()));
        if *subject == *format!("system:serviceaccount:{namespace}:{account}") {
            return Ok(());
        }
        Err(Refusal::Denied(event_identity::Denied::Forbidden {
            subject: subject.to_string(),
            event_type: "answers".to_owned(),
            receiver,
        }))
    }

    fn object(&self, (namespace, name): (&str, &str)) -> Result<Arc<RequestReply>, Refusal> {
        if !*self.ready.borrow() {
            return Err(Refusal::NotReady);
        }
        let found = self.objects.named(namespace, name);
        let found = found.filter(|object| object.metadata.deletion_timestamp.is_none());
        found.ok_or_else(|| Refusal::NotFound(format!("{namespace}/{name}")))
    }

    /// Counted as it comes: who announces much and sends nothing keeps nobody out.
    async fn collected(
        &self,
        headers: &HeaderMap,
        body: Body,
        total: &Arc<Semaphore>,
    ) -> Result<Held, Refusal> {
        let (most, limit) = (self.limits.body_bytes, self.limits.body_timeout);
        let reading = Held::read(body, announced(headers), most, total, Count::Arrived);
        let held = timeout(limit, reading)
            .await
            .map_err(|_| Refusal::BodyTimeout(limit))?;
        Ok(held?)
    }
}

fn guarded(object: &RequestReply) -> Guarded<'_> {
    let status = object.status.as_ref();
    Guarded {
        address: status.and_then(|status| status.address.as_ref()),
        policies: status.map_or(&[][..], |status| &status.policies),
        condition: status.and_then(|status| status.condition("EventPoliciesReady")),
    }
}

/// How long a request waits.
fn limit(object: &RequestReply) -> Duration {
    let given = object.spec.timeout.as_deref();
    given
        .and_then(|text| crds::iso_duration::parse(text).ok())
        .filter(|given| !given.is_zero())
        .unwrap_or(TIMEOUT)
}

/// An event as the answer to a request that came in this mode.
fn shown(event: &Event, mode: Mode) -> Response<Body> {
    let (headers, body) = event::http::write(event, mode);
    let mut response = Response::new(Body::full(body));
    *response.headers_mut() = headers;
    response
}

/// Producers that ask before they send (the web hook specification) may all send, at any rate.
fn handshake() -> Response<Body> {
    let mut response = empty(StatusCode::OK);
    for name in ["webhook-allowed-origin", "webhook-allowed-rate"] {
        response.headers_mut().insert(name, HeaderValue::from_static("*"));
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
        self.answer(request).await
    }
}

/// A request that waits.
struct Counted<'a>(&'a Metrics);

impl<'a> Counted<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.waiting.inc();
        Self(metrics)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.waiting.dec();
    }
}
