//! Types of events that came, made known as EventTypes (`eventtype-auto-create`).
//!
//! Who stores events tells what they were, and goes on: it costs a look into a set. What is new goes to one task that
//! creates the objects, a few each second. Producers choose types and sources, so the objects are bounded, for each
//! topic and in total; those that there are already, from before a restart, count.

mod known;
mod object;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crds::eventing::EventType;
use event::{Event, Str};
use informer::{Cache, Caches, Change};
use kube::Api;
use kube::api::PostParams;
use parking_lot::RwLock;
use prometheus::{IntCounter, IntGauge, Registry};
use tokio::sync::mpsc;

use crate::metrics::registered;
use crate::model::{Model, Topic};
use known::Known;

/// Objects that wait to be created.
const WAITING: usize = 256;
/// Between two creations.
const PACE: Duration = Duration::from_millis(100);
/// Bytes of type, source and schema together of what is made known.
const LONGEST: usize = 2_048;

/// What an event is, as far as EventTypes tell.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub event_type: Str,
    pub source: Str,
    pub schema: Option<Str>,
}

impl Kind {
    pub(crate) fn of(event: &Event) -> Self {
        let schema = event
            .get("dataschema")
            .map(|schema| Str::from(schema.text().into_owned()));
        Self {
            event_type: event.type_.clone(),
            source: event.source.clone(),
            schema: schema.filter(|schema| !schema.as_str().is_empty()),
        }
    }

    fn len(&self) -> usize {
        let schema = self.schema.as_ref().map_or(0, |schema| schema.as_bytes().len());
        self.event_type.as_bytes().len() + self.source.as_bytes().len() + schema
    }
}

/// Collects what comes.
pub(crate) struct EventTypes {
    /// By topic and digest of the kind: created, or about to be.
    known: RwLock<Known>,
    enabled: AtomicBool,
    digests: RandomState,
    queue: mpsc::Sender<New>,
    gauge: IntGauge,
    ignored: IntCounter,
    /// What is created; kept so that it goes on being watched.
    _cache: Cache<EventType>,
}

/// A kind that nobody knew.
struct New {
    topic: Arc<Topic>,
    kind: Kind,
    digest: u64,
}

impl EventTypes {
    /// Begins to watch, and to create: the second part is to be run.
    ///
    /// # Errors
    /// When the registry has its metrics already.
    pub(crate) fn start(
        caches: &Caches,
        registry: &Registry,
    ) -> prometheus::Result<(Arc<Self>, impl Future<Output = ()> + Send + use<>)> {
        let gauge = IntGauge::new(
            "event_types_known",
            "Types of events that are made known as EventTypes, of at most 2000, and 200 of one broker.",
        );
        let ignored = IntCounter::new(
            "event_types_ignored_total",
            "Events whose type was not made known: too many are, it is too long, or too many wait.",
        );
        let (queue, news) = mpsc::channel(WAITING);
        let cache: Cache<EventType> = caches.cache();
        let types = Arc::new(Self {
            known: RwLock::default(),
            enabled: AtomicBool::new(false),
            digests: RandomState::new(),
            queue,
            gauge: registered(registry, gauge)?,
            ignored: registered(registry, ignored)?,
            _cache: cache.clone(),
        });
        let follower = Arc::downgrade(&types);
        cache.on_change(move |change| {
            if let Some(types) = follower.upgrade() {
                types.follow(change);
            }
        });
        let creating = create(caches.client().clone(), news, Arc::downgrade(&types));
        Ok((types, creating))
    }

    /// Takes note of an event that a topic has stored.
    pub(crate) fn see(&self, topic: &Arc<Topic>, kind: &Kind) {
        let digest = self.digests.hash_one(kind);
        let known = self.known.read().has(topic.key.as_str(), digest);
        if !known && !self.announce(topic, kind, digest) {
            self.ignored.inc();
        }
    }

    /// Whether there is any use in telling what comes.
    pub(crate) fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Goes by this model from now on: forgets what was seen in topics that are gone.
    pub(crate) fn set(&self, model: &Model) {
        self.enabled.store(model.announces, Ordering::Relaxed);
        let mut known = self.known.write();
        known.retain(|uid| event_store::Topic::new(uid).is_ok_and(|key| model.topic(&key).is_some()));
        self.count(&known);
    }

    fn announce(&self, topic: &Arc<Topic>, kind: &Kind, digest: u64) -> bool {
        if kind.len() > LONGEST {
            return false;
        }
        let mut known = self.known.write();
        if !known.add_within_bounds(topic.key.as_str(), digest) {
            return false;
        }
        let new = New {
            topic: topic.clone(),
            kind: kind.clone(),
            digest,
        };
        let queued = self.queue.try_send(new).is_ok();
        if !queued {
            // It comes again with the next event.
            known.remove(topic.key.as_str(), digest);
        }
        self.count(&known);
        queued
    }

    /// What is there is known; what was deleted may be made again.
    fn follow(&self, change: &Change<EventType>) {
        let place = |object: &Arc<EventType>| {
            object::place(object).map(|(uid, kind)| (uid, self.digests.hash_one(&kind)))
        };
        let mut known = self.known.write();
        if let Some((uid, digest)) = change.old.as_ref().and_then(place) {
            known.remove(&uid, digest);
        }
        if let Some((uid, digest)) = change.new.as_ref().and_then(place) {
            known.add(&uid, digest);
        }
        self.count(&known);
    }

    /// What was not created may be announced again.
    fn forget(&self, new: &New) {
        let mut known = self.known.write();
        known.remove(new.topic.key.as_str(), new.digest);
        self.count(&known);
    }

    fn count(&self, known: &Known) {
        self.gauge.set(i64::try_from(known.len()).unwrap_or(i64::MAX));
    }
}

/// Creates one after the other. A failure is told and left: the next such event is another chance.
async fn create(client: kube::Client, mut news: mpsc::Receiver<New>, types: std::sync::Weak<EventTypes>) {
    while let Some(new) = news.recv().await {
        let object = object::event_type(&new.topic, &new.kind);
        let api: Api<EventType> = Api::namespaced(client.clone(), &new.topic.namespace);
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => {}
            // Of somebody else, or of another schema.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => {
                let (namespace, topic) = (&new.topic.namespace, &new.topic.name);
                tracing::warn!(%error, namespace, topic, "An EventType was not created");
                if let Some(types) = types.upgrade() {
                    types.forget(&new);
                }
            }
        }
        tokio::time::sleep(PACE).await;
    }
}
