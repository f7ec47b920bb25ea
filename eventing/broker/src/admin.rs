//! What operators ask of a broker: events going by, what could not be delivered, and to send that again.
//!
//! ```text
//! GET  /.spindrift/v1/namespaces/<namespace>/brokers/<name>/tail?from=latest|earliest|<position>&follow=false&limit=<n>&filtered=true
//! GET  /.spindrift/v1/namespaces/<namespace>/brokers/<name>/dead-letters?from=<position>&limit=<n>
//! POST /.spindrift/v1/namespaces/<namespace>/brokers/<name>/replay?position=<position>&position=…   (or ?all=true)
//! ```
//! The two lists are lines of JSON; a tail that follows also has a line for each thing that becomes of its events:
//! attempts, answers, dead letters, and with `filtered` what filters hold back. Of several data planes that share a store
//! each tells what it delivers itself. Who asks shows a token of a ServiceAccount of the broker's namespace that was made
//! for the audience `spindrift-events`: whoever may make such a token may see the events of that namespace.

mod answer;
mod auth;
mod following;
mod lines;
mod replay;
mod request;

use std::sync::Arc;

use event_store::{Position, Store};
use http::{Request, Response};
use proxy::Body;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Stores;
use crate::dispatch::{DeadLetter, Feeds};
use crate::ingress::Current;
use crate::model::Topic;
use answer::{AdminError, ndjson};
use following::Following;
use lines::{End, Lines, Shape};
use request::{Ask, Begin, Verb};

const PREFIX: &str = "/.spindrift/v1/";

/// Requests that are answered at the same time, open tails included.
const MOST: usize = 32;

/// Whether a request is for here. No namespace begins with a dot.
pub(crate) fn is_ours<B>(request: &Request<B>) -> bool {
    request.uri().path().starts_with(PREFIX)
}

/// Answers operators.
pub(crate) struct Admin {
    client: kube::Client,
    model: Arc<Current>,
    stores: Stores,
    feeds: Arc<Feeds>,
    /// Ends tails.
    stop: CancellationToken,
    slots: Arc<Semaphore>,
}

impl Admin {
    pub(crate) fn new(
        client: kube::Client,
        model: Arc<Current>,
        stores: Stores,
        feeds: Arc<Feeds>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            client,
            model,
            stores,
            feeds,
            stop,
            slots: Arc::new(Semaphore::new(MOST)),
        }
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        match self.perform(request).await {
            Ok(response) => response,
            Err(error) => error.response(),
        }
    }

    async fn perform(&self, request: Request<Body>) -> Result<Response<Body>, AdminError> {
        let ask = request::read(&request)?;
        let slot = self
            .slots
            .clone()
            .try_acquire_owned()
            .map_err(|_| AdminError::Busy)?;
        auth::check(&self.client, request.headers(), &ask.namespace).await?;
        let (topic, store) = self.topic(&ask)?;
        match ask.verb {
            Verb::Tail {
                from,
                follow,
                limit,
                filtered,
            } => {
                // Before the place is looked up, so that nothing is missed that becomes of what comes after it.
                let watcher = follow.then(|| self.feeds.of(&topic.key).watch(filtered));
                let from = self.position(&store, &topic, from).await?;
                let end = match watcher {
                    Some(watcher) => End::Never(Box::new(Following::new(self.stop.clone(), watcher, from))),
                    None => End::Last,
                };
                let lines = Lines::new(store, topic.key.clone(), from, limit, Shape::Event, end, slot);
                Ok(ndjson(lines.into_stream()))
            }
            Verb::DeadLetters { from, limit } => {
                let letters = DeadLetter::topic(&topic.key).ok_or(AdminError::NoLetters)?;
                let lines = Lines::new(store, letters, from, limit, Shape::DeadLetter, End::Last, slot);
                Ok(ndjson(lines.into_stream()))
            }
            Verb::Replay(which) => {
                let done = replay::replay(store.as_ref(), &topic, &which).await?;
                Ok(answer::json(&done))
            }
        }
    }

    fn topic(&self, ask: &Ask) -> Result<(Arc<Topic>, Arc<dyn Store>), AdminError> {
        let model = self.model.load();
        let model = model.as_ref().ok_or(AdminError::NotReady)?;
        let topic = model.broker(&ask.namespace, &ask.broker).cloned();
        let topic = topic.ok_or_else(|| AdminError::NoBroker(format!("{}/{}", ask.namespace, ask.broker)))?;
        let store = self
            .stores
            .get(&topic.backend)
            .cloned()
            .ok_or(AdminError::NotReady)?;
        Ok((topic, store))
    }

    async fn position(
        &self,
        store: &Arc<dyn Store>,
        topic: &Topic,
        from: Begin,
    ) -> Result<Position, AdminError> {
        match from {
            Begin::Latest => Ok(store.status(&topic.key).await?.next),
            Begin::Earliest => Ok(0),
            Begin::Position(position) => Ok(position),
        }
    }
}
