//! Takes events: checked, stored, answered, and then worked on.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crds::triggers::{Decision, EventListener, Outcome, PAYLOAD_VALIDATION, ReceivedEvent, State};
use event_client::Client as Outgoing;
use http::header::HOST;
use http::{HeaderMap, Method, Request, Response};
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use proxy::held::{Count, announced};
use proxy::{Body, Handler, Held};
use serde::de::IgnoredAny;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::answer::{self, Refusal};
use super::api::Reader;
use super::chain::{Chain, Proof, judge};
use super::create::Maker;
use super::metrics::Metrics;
use super::notice::{self, Notice};
use super::record::{self, MAX_BODY};
use super::select::{Selected, select};
use super::store::{Kept, Store};
use super::work::Worker;
use super::{Config, StartError};
use crate::event::{Incoming, Seen, is_form};
use crate::interceptors::cel::Evaluator;

/// Bytes of bodies that are held at the same time.
const MAX_HELD: usize = 64 << 20;
/// Events that are worked on at the same time.
const MAX_OPEN: usize = 256;
/// For a body to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// For a request, until it is answered (upstream's limit).
const LIMIT: Duration = Duration::from_secs(30);
/// Time to tell somebody what becomes of an event.
const NOTICE_LIMIT: Duration = Duration::from_secs(10);
/// Events that are left by others are theirs for so long.
const OTHERS: k8s_openapi::jiff::SignedDuration = k8s_openapi::jiff::SignedDuration::from_mins(3);

pub(super) struct Service {
    namespace: String,
    name: String,
    reader: Reader,
    store: Store,
    worker: Worker,
    outgoing: Outgoing,
    metrics: Metrics,
    held: Arc<Semaphore>,
    open: Arc<Semaphore>,
    /// Events that this process works on.
    under_way: Mutex<HashSet<String>>,
    tasks: TaskTracker,
}

/// An event with what is needed to work on it.
struct Job {
    listener: Arc<EventListener>,
    event: Incoming,
    before: Vec<Decision>,
    _open: OwnedSemaphorePermit,
    /// Its body's share of what may be held.
    _share: OwnedSemaphorePermit,
}

impl Service {
    pub fn new(config: &Config) -> Result<Self, StartError> {
        let client = (config.client_for)(None)?;
        let reader = Reader::new(client.clone());
        let outgoing = Outgoing::new(config.outgoing.clone());
        let metrics = Metrics::new(&config.registry)?;
        Ok(Self {
            namespace: config.namespace.clone(),
            name: config.name.clone(),
            store: Store::new(client.clone(), &config.namespace, &config.name),
            worker: Worker {
                chain: Chain {
                    reader: reader.clone(),
                    outgoing: outgoing.clone(),
                    cluster_domain: config.outgoing.cluster_domain.clone(),
                    evaluator: Evaluator::default(),
                    retried: metrics.retried.clone(),
                },
                maker: Maker::new(config.client_for.clone(), client),
                metrics: metrics.clone(),
            },
            reader,
            outgoing,
            metrics,
            held: Arc::new(Semaphore::new(MAX_HELD)),
            open: Arc::new(Semaphore::new(MAX_OPEN)),
            under_way: Mutex::default(),
            tasks: TaskTracker::new(),
        })
    }

    async fn take(self: &Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        let (head, body) = request.into_parts();
        let (body, share) = self.read(&head.headers, body).await?.into_parts();
        let listener = self.listener().await?.ok_or(Refusal::Unreadable)?;
        check_payload(&listener, &head.headers, &body)?;
        let delivery = record::delivery(&head.headers);
        let event = Incoming {
            id: record::event_id(&listener, delivery.as_deref(), &body),
            url: url_of(&head.headers, &head.uri),
            headers: head.headers.clone(),
            body,
            received_at: Timestamp::now(),
        };
        let triggers = self.triggers(&listener).await?;
        self.check_sender(&triggers, &event).await?;

        let open = self.open.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let id = event.id.clone();
        let kept = self.store.keep(&listener, delivery.as_deref(), &event).await;
        let before = match kept.map_err(|error| Refusal::NotKept(error.to_string()))? {
            Kept::New => Some(Vec::new()),
            Kept::Known(known) => {
                self.metrics.repeated.inc();
                self.again(&listener, delivery.as_deref(), &event, &known).await?
            }
        };
        if let Some(before) = before {
            self.clone().start(Job {
                listener: listener.clone(),
                event,
                before,
                _open: open,
                _share: share,
            });
        }
        Ok(answer::taken(&listener, &id, &head.headers))
    }

    /// What was decided of an event that had come before, if something remains to be done.
    async fn again(
        &self,
        listener: &EventListener,
        delivery: Option<&str>,
        event: &Incoming,
        known: &ReceivedEvent,
    ) -> Result<Option<Vec<Decision>>, Refusal> {
        let status = known.status.clone().unwrap_or_default();
        if status.state == State::Accepted {
            // Nobody here may be at it, after a crash.
            return Ok(Some(status.decisions));
        }
        if status.failed == 0 || self.under_way.lock().contains(&event.id) {
            return Ok(None);
        }
        let reopened = self.store.reopen(listener, delivery, event).await;
        reopened.map_err(|error| Refusal::NotKept(error.to_string()))?;
        Ok(Some(status.decisions))
    }

    async fn listener(&self) -> Result<Option<Arc<EventListener>>, Refusal> {
        let found = self.reader.get(&self.namespace, &self.name).await;
        found.map_err(|error| {
            tracing::warn!(%error, "The EventListener cannot be read");
            Refusal::Unreadable
        })
    }

    async fn triggers(&self, listener: &EventListener) -> Result<Vec<Selected>, Refusal> {
        select(&self.reader, listener).await.map_err(|error| {
            tracing::warn!(%error, "The triggers cannot be read");
            Refusal::Unreadable
        })
    }

    /// Refuses an event when every trigger asks for a proof of who sent it, and it has none.
    async fn check_sender(&self, triggers: &[Selected], event: &Incoming) -> Result<(), Refusal> {
        let seen = Seen::new(event);
        let mut proofs = Vec::with_capacity(triggers.len());
        for trigger in triggers {
            let chain = &self.worker.chain;
            proofs.push(
                chain
                    .proof(&trigger.interceptors, &trigger.namespace, &seen)
                    .await,
            );
        }
        match judge(&proofs) {
            Proof::NotAsked | Proof::Good => Ok(()),
            Proof::Bad(why) => Err(Refusal::Forged(why)),
            Proof::Unknown(why) => Err(Refusal::NoProof(why)),
        }
    }

    /// The body, and its share of what may be held. Nobody has shown a signature yet.
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Held, Refusal> {
        let reading = Held::read(body, announced(headers), MAX_BODY, &self.held, Count::Arrived);
        let read = tokio::time::timeout(BODY_LIMIT, reading).await;
        read.map_err(|_| Refusal::BodyTimeout)?.map_err(Refusal::from)
    }

    /// Works on an event, unless this process does already.
    fn start(self: Arc<Self>, job: Job) {
        let id = job.event.id.clone();
        if !self.under_way.lock().insert(id.clone()) {
            return;
        }
        let tasks = self.tasks.clone();
        tasks.spawn(async move {
            let _under_way = UnderWay {
                service: self.clone(),
                id,
            };
            self.metrics.open.inc();
            self.work(&job).await;
            self.metrics.open.dec();
        });
    }

    async fn work(&self, job: &Job) {
        let (listener, event) = (&job.listener, &job.event);
        self.tell(listener, &event.id, Notice::Started).await;
        let triggers = match select(&self.reader, listener).await {
            Ok(triggers) => triggers,
            // It stays open, and is taken up again.
            Err(error) => return tracing::warn!(%error, event = %event.id, "The triggers cannot be read"),
        };
        let decisions = self.worker.decide(listener, triggers, event, &job.before).await;
        let failed = decisions
            .iter()
            .any(|decision| decision.outcome == Outcome::Failed);
        if let Err(error) = self.store.done(&event.id, decisions, Timestamp::now()).await {
            return tracing::warn!(%error, event = %event.id, "What became of an event cannot be written down");
        }
        let outcome = if failed {
            Notice::Failed
        } else {
            Notice::Successful
        };
        self.tell(listener, &event.id, outcome).await;
        self.tell(listener, &event.id, Notice::Done).await;
    }

    /// Whoever wants to be told must not hold up the triggers.
    async fn tell(&self, listener: &EventListener, event: &str, notice: Notice) {
        let sent = notice::send(&self.outgoing, listener, event, notice);
        if tokio::time::timeout(NOTICE_LIMIT, sent).await.is_err() {
            tracing::warn!(event, "Who is to be told of events does not answer");
        }
    }

    /// Takes up events that nobody works on: all of them, or those that whoever took them should have done long ago.
    pub async fn take_up(self: Arc<Self>, all: bool) {
        let listener = match self.listener().await {
            Ok(Some(listener)) => listener,
            _ => return,
        };
        let mut page = None;
        loop {
            let (events, next) = match self.store.open(page).await {
                Ok(found) => found,
                Err(error) => return tracing::warn!(%error, "Open events cannot be listed"),
            };
            for head in events {
                let id = &head.spec.event_id;
                let since = head
                    .spec
                    .received_at
                    .as_ref()
                    .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
                let theirs = !all && Timestamp::now().duration_since(since) < OTHERS;
                if theirs || self.under_way.lock().contains(id) {
                    continue;
                }
                // Waits, so that no more of them are in memory than may be.
                let Ok(open) = self.open.clone().acquire_owned().await else {
                    return;
                };
                let most = u32::try_from(MAX_BODY).unwrap_or(u32::MAX);
                let Ok(share) = self.held.clone().acquire_many_owned(most).await else {
                    return;
                };
                match self.store.read(&head).await {
                    Ok(event) => {
                        tracing::info!(event = %id, "An event that was left is taken up");
                        self.clone().start(Job {
                            listener: listener.clone(),
                            event,
                            before: head.status.clone().unwrap_or_default().decisions,
                            _open: open,
                            _share: share,
                        });
                    }
                    Err(error) => tracing::warn!(%error, event = %id, "A stored event cannot be read"),
                }
            }
            match next {
                Some(next) => page = Some(next),
                None => return,
            }
        }
    }

    /// Clears away events that are done.
    pub async fn trim(&self) {
        if let Err(error) = self.store.trim(Timestamp::now()).await {
            tracing::warn!(%error, "Old events cannot be cleared away");
        }
    }

    /// Closes what is idle, and forgets what is old.
    pub fn expire(&self) {
        self.outgoing.expire_idle();
        self.reader.expire();
    }

    /// Lets what is under way finish.
    pub async fn finish(&self, grace: Duration) {
        self.tasks.close();
        let _ = tokio::time::timeout(grace, self.tasks.wait()).await;
    }
}

/// Marks an event as one that is worked on, until this is dropped.
struct UnderWay {
    service: Arc<Service>,
    id: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.service.under_way.lock().remove(&self.id);
    }
}

impl Handler for Service {
    async fn handle(self: Arc<Self>, request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        if request.uri().path() == "/live" {
            return match *request.method() {
                Method::GET | Method::HEAD => answer::live(self.worker.chain.evaluator.is_stuck()),
                _ => answer::live(false),
            };
        }
        let timer = self.metrics.duration.start_timer();
        let taken = tokio::time::timeout(LIMIT, self.take(request)).await;
        timer.observe_duration();
        let (outcome, response) = match taken.unwrap_or(Err(Refusal::Timeout)) {
            Ok(response) => ("succeeded", response),
            Err(refusal) => {
                tracing::info!(error = %refusal, "An event was not taken");
                (refusal.outcome(), refusal.response(&self.namespace, &self.name))
            }
        };
        self.metrics.received.with_label_values(&[outcome]).inc();
        response
    }
}

/// Refuses a body that is no JSON object, where such are asked for.
fn check_payload(listener: &EventListener, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    let annotations = listener.metadata.annotations.as_ref();
    let off = annotations
        .and_then(|annotations| annotations.get(PAYLOAD_VALIDATION))
        .is_some_and(|value| value == "false");
    if off || is_form(headers) {
        return Ok(());
    }
    // Looked at, not built: as a value it takes many times the memory, and who sent it is not known yet.
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) if body.trim_ascii_start().starts_with(b"{") => Ok(()),
        Ok(_) => Err(Refusal::Payload("it is no JSON object".to_owned())),
        Err(error) => Err(Refusal::Payload(error.to_string())),
    }
}

/// The URL that a request was sent to.
fn url_of(headers: &HeaderMap, uri: &http::Uri) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or(uri.authority().map(http::uri::Authority::as_str));
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    format!("http://{}{path}", host.unwrap_or_default())
}
