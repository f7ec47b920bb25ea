//! The receiver of GitHub's webhooks: `POST /<namespace>/<name>` of a GitHubSource.
//!
//! A delivery is answered when the sink has its event, so GitHub shows what failed, and can deliver it again: under the
//! same id, which is that of the event. Every replica receives; no lease is needed.

mod answer;
mod delivered;
mod headers;
mod keys;
mod message;
mod metrics;
mod payload;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker::delivery::{Backoff, BackoffPolicy, Policy};
use crds::sources::GitHubSource;
use http::{HeaderMap, Method, Request, Response};
use informer::{Cache, Caches, Key};
use proxy::held::{Count, announced};
use proxy::{Body, Handler, Held};
use reconciler::Recorder;
use tokio::sync::Semaphore;

use crate::post::{Poster, Sink};
use answer::{Refusal, Taken};
use delivered::{Begun, Delivered};
use keys::Keys;
use metrics::{DELIVERIES, IN_FLIGHT};

pub use headers::{Head, HeadError};

/// Largest payload that GitHub sends.
const MAX_BODY: usize = 25 << 20;
/// Bytes of bodies that are held at the same time.
const MAX_HELD: usize = 64 << 20;
/// Deliveries at the same time.
const MAX_REQUESTS: usize = 256;
/// For a body to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// For the sink, all attempts together: GitHub waits ten seconds for its answer.
const SINK_LIMIT: Duration = Duration::from_secs(9);

/// Answers GitHub's deliveries.
pub(crate) struct Receiver {
    sources: Cache<GitHubSource>,
    keys: Keys,
    delivered: Delivered,
    poster: Poster,
    recorder: Recorder,
    requests: Semaphore,
    held: Arc<Semaphore>,
}

/// How an event is delivered while GitHub waits.
fn policy() -> Policy {
    Policy {
        retries: 4,
        backoff: Some(Backoff {
            policy: BackoffPolicy::Exponential,
            delay: Duration::from_millis(200),
        }),
        timeout: Some(Duration::from_secs(5)),
        ..Policy::default()
    }
}

impl Receiver {
    /// Subscribes to the sources.
    pub fn new(caches: &Caches, poster: Poster, recorder: Recorder) -> Self {
        let sources: Cache<GitHubSource> = caches.cache();
        Self {
            keys: Keys::new(caches.client().clone(), sources.clone()),
            sources,
            delivered: Delivered::default(),
            poster,
            recorder,
            requests: Semaphore::new(MAX_REQUESTS),
            held: Arc::new(Semaphore::new(MAX_HELD)),
        }
    }

    async fn take(&self, request: Request<Body>) -> Result<Taken, Refusal> {
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        let key = key(request.uri().path()).ok_or(Refusal::Path)?;
        let source = self
            .sources
            .get(&key)
            .ok_or_else(|| Refusal::NoSource(key.to_string()))?;
        let _slot = self.requests.try_acquire().map_err(|_| Refusal::Busy)?;
        let _counted = Counted::new();
        let (head, body) = request.into_parts();
        let delivery = Head::read(&head.headers)?;
        let (body, _share) = self.read(&head.headers, body).await?.into_parts();
        self.keys.check(&source, &body, &delivery.signature).await?;
        let wanted = source.spec.event_types.contains(&delivery.event);
        if !wanted {
            return match delivery.event.as_str() {
                "ping" => Ok(Taken::Ping),
                _ => Err(Refusal::Unwanted(delivery.event)),
            };
        }
        let event = message::event(&source.spec, &delivery, body)
            .map_err(|error| Refusal::Payload(error.to_string()))?;
        let sink = sink(&source).ok_or(Refusal::NoSink)?;
        let uid = source.metadata.uid.as_deref().unwrap_or_default();
        let turn = match self.delivered.begin(uid, &delivery.id) {
            Begun::New(turn) => turn,
            Begun::UnderWay => return Err(Refusal::UnderWay),
            Begun::Accepted => return Ok(Taken::Repeated),
        };
        let policy = policy();
        let posting = self.poster.post(&sink, &event, &policy);
        let refusal = match tokio::time::timeout(SINK_LIMIT, posting).await {
            Ok(Ok(())) => {
                turn.accepted();
                return Ok(Taken::Accepted);
            }
            Ok(Err(failure)) => {
                let data = String::from_utf8_lossy(&failure.data).into_owned();
                self.tell(
                    &source,
                    &delivery.id,
                    &format!("{} answered {}: {data}", sink.url, failure.code),
                );
                Refusal::Sink(failure.code)
            }
            Err(_) => {
                self.tell(
                    &source,
                    &delivery.id,
                    &format!("{} did not answer within {SINK_LIMIT:?}", sink.url),
                );
                Refusal::SinkTimeout
            }
        };
        Err(refusal)
    }

    /// The body, and its share of what may be held. Nobody has shown a signature yet.
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Held, Refusal> {
        let reading = Held::read(body, announced(headers), MAX_BODY, &self.held, Count::Arrived);
        let read = tokio::time::timeout(BODY_LIMIT, reading).await;
        read.map_err(|_| Refusal::BodyTimeout)?.map_err(Refusal::from)
    }

    /// Puts a warning on the source.
    fn tell(&self, source: &GitHubSource, delivery: &str, problem: &str) {
        let key = Key::of(source);
        tracing::warn!(namespace = %key.namespace, name = %key.name, delivery, problem, "A delivery of GitHub failed");
        let message = format!("the event of delivery {delivery} was not delivered: {problem}");
        self.recorder.warning(source, "DeliveryFailed", message);
    }
}

impl Handler for Receiver {
    async fn handle(self: Arc<Self>, request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        let taken = self.take(request).await;
        let (outcome, response) = match &taken {
            Ok(taken) => (taken.outcome(), taken.response()),
            Err(refusal) => (refusal.outcome(), refusal.response()),
        };
        DELIVERIES.with_label_values(&[outcome]).inc();
        response
    }
}

/// Counts a delivery until it is dropped, whether it ends or its client goes away.
struct Counted;

impl Counted {
    fn new() -> Self {
        IN_FLIGHT.inc();
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        IN_FLIGHT.dec();
    }
}

/// Where the events of a source go, if that is known.
fn sink(source: &GitHubSource) -> Option<Sink> {
    let status = source.status.as_ref()?;
    Sink::of(
        source.metadata.namespace.as_ref(),
        status.sink_uri.as_ref(),
        status.sink_ca_certs.as_ref(),
        status.sink_audience.as_ref(),
        status.auth.as_ref(),
    )
}

/// The source that a path names.
fn key(path: &str) -> Option<Key> {
    let (namespace, name) = path.strip_prefix('/')?.split_once('/')?;
    let name = name.strip_suffix('/').unwrap_or(name);
    let ok = |text: &str| !text.is_empty() && !text.contains('/');
    (ok(namespace) && ok(name)).then(|| Key::new(namespace, name))
}

#[cfg(test)]
mod tests;
