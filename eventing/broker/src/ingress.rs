//! Accepts events over HTTP, and answers when they are stored.

mod accept;
mod refusal;
mod route;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use event_store::StoreError;
use event_tls::Door;
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use jiff::Timestamp;
use proxy::held::{Count, announced};
use proxy::{Body, Handler, Held};
use tokio::sync::Semaphore;

use crate::admin::{self, Admin};
use crate::config::{Config, Limits, Stores};
use crate::event_types::EventTypes;
use crate::identity::{Access, Unverified, Verifier, bearer};
use crate::metrics::{IngressMetrics, TopicMeter};
use crate::model::{Model, Topic};
use accept::Accepted;
use refusal::Refusal;
use route::{Destination, Route};

const METHODS: HeaderValue = HeaderValue::from_static("POST, OPTIONS");

/// The model as it is now; none until the caches have been filled once.
pub(crate) type Current = ArcSwapOption<Model>;

/// Answers the requests of producers.
pub(crate) struct Ingress {
    admin: Admin,
    model: Arc<Current>,
    stores: Stores,
    limits: Limits,
    /// `svc.<cluster domain>`.
    service_domain: String,
    requests: Semaphore,
    held: Arc<Semaphore>,
    verifier: Arc<Verifier>,
    event_types: Arc<EventTypes>,
    metrics: Arc<IngressMetrics>,
    door: Arc<Door>,
}

impl Ingress {
    pub(crate) fn new(
        admin: Admin,
        model: Arc<Current>,
        config: &Config,
        verifier: Arc<Verifier>,
        event_types: Arc<EventTypes>,
        metrics: Arc<IngressMetrics>,
        door: Arc<Door>,
    ) -> Self {
        let permits = |most: usize| Semaphore::new(most.min(Semaphore::MAX_PERMITS));
        let limits = config.limits.clone();
        Self {
            admin,
            model,
            stores: config.stores.clone(),
            service_domain: format!("svc.{}", config.cluster_domain),
            requests: permits(limits.requests),
            held: Arc::new(permits(limits.held_bytes)),
            limits,
            verifier,
            event_types,
            metrics,
            door,
        }
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let mut response = match self.route(&request) {
            Route::Handshake => handshake(),
            Route::Refused(refusal) => self.refused(&refusal),
            Route::Events(destination) => match self.take(destination, request).await {
                Ok(()) => empty(StatusCode::ACCEPTED),
                Err(refusal) => self.refused(&refusal),
            },
        };
        response.headers_mut().insert(ALLOW, METHODS);
        response
    }

    fn route(&self, request: &Request<Body>) -> Route {
        match self.door.check(request.extensions()) {
            Ok(()) => route::route(request, &self.service_domain),
            Err(closed) => Route::Refused(closed.into()),
        }
    }

    fn refused(&self, refusal: &Refusal) -> Response<Body> {
        self.metrics.refused(refusal.reason());
        refusal.response()
    }

    /// Stores what the request carries.
    async fn take(&self, destination: Destination, request: Request<Body>) -> Result<(), Refusal> {
        let topic = self.topic(&destination)?;
        let store = self.stores.get(&topic.backend).ok_or(Refusal::NoStore)?;
        let _slot = self.requests.try_acquire().map_err(|_| Refusal::Busy)?;
        let _counted = self.metrics.in_flight();
        let (head, body) = request.into_parts();
        let sender = match &topic.access {
            None => None,
            // Boxed, so that brokers that nobody guards do not carry its state.
            Some(access) => Some(Box::pin(self.sender(&topic, access, &head.headers)).await?),
        };
        let (announced, limit) = (announced(&head.headers), self.limits.body_bytes);
        let reading = Held::read(body, announced, limit, &self.held, Count::Announced);
        let held = tokio::time::timeout(self.limits.body_timeout, reading)
            .await
            .map_err(|_| Refusal::BodyTimeout(self.limits.body_timeout))??;
        let meter = self.metrics.topic(&topic);
        let now = Timestamp::now();
        let accepted = accept::accept(
            &topic,
            sender.as_deref(),
            self.event_types.enabled(),
            &head.headers,
            held.bytes(),
            self.limits.batch_events,
            now,
        )?;
        meter.received(accepted.mode, held.bytes().len());
        self.append(&topic, store.as_ref(), accepted, &meter).await
    }

    fn topic(&self, destination: &Destination) -> Result<Arc<Topic>, Refusal> {
        let model = self.model.load();
        let model = model.as_ref().ok_or(Refusal::NotReady)?;
        let found = match destination {
            Destination::Broker { namespace, name } => model.broker(namespace, name),
            Destination::Channel { namespace, name } => model.channel(namespace, name),
        };
        found
            .cloned()
            .ok_or_else(|| Refusal::NotFound(destination.to_string()))
    }

    /// Whose token the request shows.
    async fn sender(&self, topic: &Topic, access: &Access, headers: &HeaderMap) -> Result<Arc<str>, Refusal> {
        let audience = access.audience.as_deref();
        let audience = audience.ok_or_else(|| Refusal::NoAudience(topic.to_string()))?;
        let unauthenticated = || Refusal::Unauthenticated {
            audience: audience.to_owned(),
        };
        let token = bearer(headers).ok_or_else(unauthenticated)?;
        let subject = self.verifier.subject(token, audience).await;
        subject.map_err(|why| match why {
            Unverified::Invalid => unauthenticated(),
            Unverified::Unavailable(reason) => Refusal::Review(reason),
        })
    }

    async fn append(
        &self,
        topic: &Arc<Topic>,
        store: &dyn event_store::Store,
        accepted: Accepted,
        meter: &TopicMeter,
    ) -> Result<(), Refusal> {
        // A batch may be empty: there is nothing to wait for.
        if accepted.payloads.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let appending = store.append(&topic.key, accepted.payloads);
        let stored = tokio::time::timeout(self.limits.append_timeout, appending).await;
        let took = begun.elapsed();
        self.metrics.appended(took);
        match stored {
            Ok(Ok(_)) => {
                for kind in &accepted.kinds {
                    self.event_types.see(topic, kind);
                }
                for event_type in &accepted.types {
                    meter.stored(event_type, took);
                }
                Ok(())
            }
            Ok(Err(error)) => {
                if !matches!(error, StoreError::TooLarge { .. }) {
                    tracing::warn!(%error, namespace = %topic.namespace, name = %topic.name, "Events were not stored");
                }
                Err(Refusal::Store(error))
            }
            Err(_) => Err(Refusal::StoreTimeout(self.limits.append_timeout)),
        }
    }
}

impl Handler for Ingress {
    async fn handle(self: Arc<Self>, request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        if admin::is_ours(&request) {
            return self.admin.answer(request).await;
        }
        self.answer(request).await
    }
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
