//! Consumers: from the store to the subscribers.
//!
//! Each Trigger, and each subscriber of a channel, is a task of its own, with its own place in the topic, its own bounds
//! and its own connections: a slow or dead subscriber delays nobody else. See [`consumer`] for how one works, [`step`]
//! for what follows from an answer, [`crate::delivery`] for the rules.
//!
//! Delivery is at least once. Without [`crate::model::Consumer::order_by`] (`delivery.orderBy`) events are sent
//! concurrently, in no order; with it, events with the same value of that attribute are sent one after the other, each
//! when the one before is settled (delivered, or a dead letter). Events that lack the attribute are not ordered.

mod attempt;
mod budget;
mod consumer;
mod dead_letters;
mod decoded;
mod feed;
mod metrics;
mod order;
mod plan;
mod progress;
mod report;
mod step;
#[cfg(test)]
mod tests;
mod waiting;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use event_store::{Store, Topic};
use parking_lot::Mutex;
use reconciler::Recorder;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::client::Client;
use crate::event_types::EventTypes;
use crate::model::{self, Backend, Model};
use attempt::Context;
use decoded::Decoder;
use plan::{ConsumerKey, Plan};
use report::Reports;

pub use dead_letters::{DeadLetter, DeadLetterError, Notice};
pub(crate) use feed::{Feeds, Heard, Progress, Watcher};
pub use metrics::DispatchMetrics;

/// How often idle connections, and batches that are held for others, are let go.
const SWEEP: Duration = Duration::from_secs(5);

/// Bounds of each consumer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most attempts under way.
    pub in_flight: usize,
    /// Most events that wait for another attempt or for their turn.
    pub waiting: usize,
    /// How long a consumer that is stopped waits for what is under way.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 256,
            waiting: 10_000,
            drain: Duration::from_secs(5),
        }
    }
}

/// Delivers what is stored, by the model it was given last. Dropped, it stops at once; see [`Dispatcher::drain`].
pub struct Dispatcher {
    stores: HashMap<Backend, Arc<dyn Store>>,
    client: Client,
    metrics: DispatchMetrics,
    limits: Limits,
    state: Mutex<State>,
    decoders: Decoders,
    feeds: Arc<Feeds>,
    /// Where deliveries that failed for good are told of.
    recorder: Recorder,
    /// Who is told of replies.
    event_types: Option<Arc<EventTypes>>,
}

/// Those of the topics that have consumers.
type Decoders = Arc<Mutex<HashMap<Topic, Weak<Decoder>>>>;

#[derive(Default)]
struct State {
    running: HashMap<ConsumerKey, watch::Sender<Arc<Plan>>>,
    tasks: JoinSet<()>,
}

impl Dispatcher {
    /// Must be called within a Tokio runtime. Topics whose backend is not among `stores` are not delivered.
    pub fn new(
        stores: HashMap<Backend, Arc<dyn Store>>,
        client: Client,
        metrics: DispatchMetrics,
        limits: Limits,
        recorder: Recorder,
    ) -> Self {
        let mut state = State::default();
        let (decoders, feeds) = (Decoders::default(), Arc::<Feeds>::default());
        let sweeping = sweep(client.clone(), decoders.clone(), feeds.clone());
        state.tasks.spawn(sweeping);
        Self {
            stores,
            client,
            metrics,
            limits,
            state: Mutex::new(state),
            decoders,
            feeds,
            recorder,
            event_types: None,
        }
    }

    /// Tells of the replies that it stores.
    pub(crate) fn announcing(mut self, event_types: Arc<EventTypes>) -> Self {
        self.event_types = Some(event_types);
        self
    }

    /// Starts, updates in place, and stops consumers, so that they are those of `model`.
    pub fn set(&self, model: &Model) {
        let mut state = self.state.lock();
        while let Some(ended) = state.tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "A consumer broke down");
            }
        }
        state.running.retain(|_, plans| !plans.is_closed());
        let mut wanted = HashMap::new();
        for topic in model.topics() {
            for consumer in &topic.consumers {
                let key = ConsumerKey {
                    topic: topic.key.clone(),
                    name: consumer.name.clone(),
                };
                wanted.insert(key, (topic, consumer));
            }
        }
        state.running.retain(|key, _| wanted.contains_key(key));
        for (key, (topic, consumer)) in wanted {
            match state.running.get(&key) {
                Some(plans) if same(&plans.borrow().consumer, consumer) => {}
                Some(plans) => {
                    plans.send_replace(Arc::new(Plan::new(&self.client, topic, consumer)));
                }
                None => self.start(&mut state, key, topic, consumer),
            }
        }
    }

    fn start(
        &self,
        state: &mut State,
        key: ConsumerKey,
        topic: &Arc<model::Topic>,
        consumer: &Arc<model::Consumer>,
    ) {
        let Some(store) = self.stores.get(&topic.backend) else {
            tracing::error!(
                namespace = topic.namespace,
                name = topic.name,
                "There is no store for this class of broker"
            );
            return;
        };
        let decoder = self.decoder(&key.topic);
        let (plans, receiver) = watch::channel(Arc::new(Plan::new(&self.client, topic, consumer)));
        let context = Context {
            store: store.clone(),
            meter: self.metrics.meter(topic, consumer),
            feed: self.feeds.of(&key.topic),
            reports: Reports::new(self.recorder.clone()),
            event_types: self.event_types.clone(),
        };
        state
            .tasks
            .spawn(consumer::run(context, decoder, self.limits, receiver));
        state.running.insert(key, plans);
    }

    fn decoder(&self, topic: &Topic) -> Arc<Decoder> {
        let mut decoders = self.decoders.lock();
        let decoder = decoders.get(topic).and_then(Weak::upgrade).unwrap_or_default();
        decoders.insert(topic.clone(), Arc::downgrade(&decoder));
        decoder
    }

    /// What becomes of events at the moment, by topic.
    pub(crate) fn feeds(&self) -> Arc<Feeds> {
        self.feeds.clone()
    }

    /// Consumers that are running.
    pub fn consumers(&self) -> usize {
        self.state.lock().running.len()
    }

    /// Stops all consumers and waits for what they have under way, for little longer than [`Limits::drain`].
    pub async fn drain(&self) {
        let mut tasks = {
            let mut state = self.state.lock();
            state.running.clear();
            std::mem::take(&mut state.tasks)
        };
        let all = async {
            // The sweeper does not end by itself.
            while tasks.len() > 1 && tasks.join_next().await.is_some() {}
        };
        let _ = timeout(self.limits.drain + Duration::from_secs(1), all).await;
    }
}

/// Whether a consumer's plan would be the same. Filters are compiled once for each generation of their object.
fn same(old: &model::Consumer, new: &model::Consumer) -> bool {
    Arc::ptr_eq(&old.filter, &new.filter)
        && old.subscriber == new.subscriber
        && old.reply == new.reply
        && old.dead_letter_sink == new.dead_letter_sink
        && old.policy == new.policy
        && old.account == new.account
        && old.order_by == new.order_by
        && old.object == new.object
        && old.uid == new.uid
}

async fn sweep(client: Client, decoders: Decoders, feeds: Arc<Feeds>) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        client.expire_idle();
        feeds.sweep();
        decoders.lock().retain(|_, decoder| match decoder.upgrade() {
            Some(decoder) => {
                decoder.clear();
                true
            }
            None => false,
        });
    }
}
