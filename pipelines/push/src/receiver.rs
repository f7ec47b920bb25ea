//! The receiver of webhooks: `POST /<namespace>/<name>` of a Repository.
//!
//! A delivery is answered when its pushes are noted, with their numbers, in the status of the Repository: by optimistic
//! concurrency, so any number of replicas may receive. The controller makes the runs of the notes.

mod answer;
mod keys;
mod metrics;
mod signature;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crds::spindrift::Repository;
use http::{HeaderMap, Method, Request, Response};
use informer::{Cache, Caches, Key};
use kube::Api;
use kube::api::PostParams;
use proxy::held::{Count, announced};
use proxy::{Body, Handler, Held};
use reconciler::Clock;
use reconciler::error::is_conflict;
use tokio::sync::Semaphore;

use crate::delivery::{Event, Head, Push};
use crate::filter::verdict;
use crate::ledger::{Taken, take};
use answer::{Answer, Outcome, Refusal};
use keys::Keys;
use metrics::{DELIVERIES, IN_FLIGHT};
use signature::Signature;

/// Largest payload that GitHub sends.
const MAX_BODY: usize = 25 << 20;
/// Bytes of bodies that are held at the same time.
const MAX_HELD: usize = 64 << 20;
/// Deliveries at the same time.
pub(crate) const MAX_REQUESTS: usize = 256;
/// For a body to arrive; GitHub waits ten seconds for its answer.
const BODY_LIMIT: Duration = Duration::from_secs(8);
/// Attempts to note pushes while others write the same status.
const ATTEMPTS: usize = 10;

/// Answers deliveries of git hosts.
pub(crate) struct Receiver {
    client: kube::Client,
    repositories: Cache<Repository>,
    keys: Keys,
    clock: Clock,
    requests: Semaphore,
    held: Arc<Semaphore>,
}

impl Receiver {
    /// Subscribes to the Repositories.
    pub(crate) fn new(caches: &Caches, clock: Clock) -> Self {
        let repositories: Cache<Repository> = caches.cache();
        Self {
            client: caches.client().clone(),
            keys: Keys::new(caches.client().clone(), repositories.clone()),
            repositories,
            clock,
            requests: Semaphore::new(MAX_REQUESTS),
            held: Arc::new(Semaphore::new(MAX_HELD)),
        }
    }

    async fn take(&self, request: Request<Body>) -> Result<Answer, Refusal> {
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        let key = key(request.uri().path()).ok_or(Refusal::Path)?;
        let repository = self
            .repositories
            .get(&key)
            .filter(|found| !found.spec.url.is_empty() && found.metadata.deletion_timestamp.is_none())
            .ok_or_else(|| Refusal::NoRepository(key.to_string()))?;
        let _slot = self.requests.try_acquire().map_err(|_| Refusal::Busy)?;
        let _counted = Counted::new();
        let (head, body) = request.into_parts();
        let delivery = Head::read(&head.headers)?;
        let signature = Signature::read(delivery.host, &head.headers)?;
        let (body, _share) = self.read(&head.headers, body).await?.into_parts();
        self.keys.check(&repository, &body, signature.as_ref()).await?;
        match delivery.event(&body)? {
            Event::Ping => Ok(Answer::Ping),
            Event::Other(event) => Ok(Answer::Unwanted(event)),
            Event::Pushes(pushes) => self.note(&key, repository, &pushes, &delivery.id).await,
        }
    }

    /// Notes pushes in the status of the Repository; that is the only thing which must not get lost.
    async fn note(
        &self,
        key: &Key,
        repository: Arc<Repository>,
        pushes: &[Push],
        delivery: &str,
    ) -> Result<Answer, Refusal> {
        let api: Api<Repository> = Api::namespaced(self.client.clone(), &key.namespace);
        let mut repository = (*repository).clone();
        for attempt in 0..ATTEMPTS {
            let known = repository.status.clone();
            let outcomes = self.decide(&mut repository, pushes, delivery)?;
            if repository.status == known {
                return Ok(Answer::Taken(outcomes));
            }
            repository.metadata.managed_fields = None;
            match api
                .replace_status(&key.name, &PostParams::default(), &repository)
                .await
            {
                Ok(stored) => {
                    self.repositories.record(stored);
                    return Ok(Answer::Taken(outcomes));
                }
                Err(error) if is_conflict(&error) => {
                    tracing::debug!(namespace = %key.namespace, name = %key.name, attempt, "Somebody else wrote first");
                }
                Err(error) => {
                    tracing::warn!(%error, namespace = %key.namespace, name = %key.name, "A push cannot be noted");
                    return Err(Refusal::NotNoted);
                }
            }
            let live = api.get_opt(&key.name).await.map_err(|error| {
                tracing::warn!(%error, namespace = %key.namespace, name = %key.name, "A Repository cannot be read");
                Refusal::NotNoted
            })?;
            repository = live.ok_or_else(|| Refusal::NoRepository(key.to_string()))?;
        }
        Err(Refusal::NotNoted)
    }

    fn decide(
        &self,
        repository: &mut Repository,
        pushes: &[Push],
        delivery: &str,
    ) -> Result<Vec<Outcome>, Refusal> {
        let now = (self.clock)();
        let mut outcomes = Vec::with_capacity(pushes.len());
        for push in pushes {
            let verdict = verdict(&repository.spec, push);
            let mut outcome = Outcome::of(push);
            match take(repository, push, delivery, verdict, now) {
                Taken::Noted { status, run } => {
                    repository.status = Some(*status);
                    outcome.run = run;
                }
                Taken::Repeated { run } => outcome.run = run,
                Taken::Skipped { status, reason } => {
                    repository.status = Some(*status);
                    outcome.skipped = reason;
                }
                Taken::Full => return Err(Refusal::Full),
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// The body, and its share of what may be held. Nobody has shown a signature yet.
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Held, Refusal> {
        let reading = Held::read(body, announced(headers), MAX_BODY, &self.held, Count::Arrived);
        let read = tokio::time::timeout(BODY_LIMIT, reading).await;
        read.map_err(|_| Refusal::BodyTimeout)?.map_err(Refusal::from)
    }
}

impl Handler for Receiver {
    async fn handle(self: Arc<Self>, request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        let (outcome, response) = match self.take(request).await {
            Ok(answer) => (answer.outcome(), answer.response()),
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

/// The Repository that a path names.
fn key(path: &str) -> Option<Key> {
    let (namespace, name) = path.strip_prefix('/')?.split_once('/')?;
    let name = name.strip_suffix('/').unwrap_or(name);
    let ok = |text: &str| !text.is_empty() && !text.contains('/');
    (ok(namespace) && ok(name)).then(|| Key::new(namespace, name))
}

#[cfg(test)]
mod tests;
