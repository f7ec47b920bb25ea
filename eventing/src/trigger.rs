//! Trigger: resolves its subscriber, and says whether its events flow.
//!
//! Nothing is made for a trigger either: the data plane delivers to `status.subscriberUri` of every trigger of a
//! broker. `SubscriptionReady` says that it can.

mod dependency;
mod injection;
mod status;

use std::sync::Arc;

use crds::eventing::{Broker, Trigger};
use event_filter::Filter;
use reconciler::{Applier, Controller, Error, Key, Next, Queue, Reconcile, report};

use crate::broker::is_ours;
use crate::dead_letter::DeadLetterSink;
use crate::identity::Identity;
use crate::shared::{Shared, namespace_of};
use crate::tracker::Referrer;
use dependency::Dependency;
use status::Observed;

const NAME: &str = "trigger";
/// Index of triggers by namespace and name of their broker.
const BY_BROKER: &str = "broker";

pub(crate) struct Triggers {
    shared: Shared,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(shared: &Shared) -> Controller<Triggers> {
    let queue = reconciler::queue("eventing-trigger");
    let reconciler = Triggers {
        shared: shared.clone(),
        applier: shared.applier("spindrift-trigger"),
        queue: queue.clone(),
    };
    shared.triggers.add_index(BY_BROKER, |trigger: &Trigger| {
        let (namespace, name) = trigger.spec.broker_of(namespace_of(&trigger.metadata));
        vec![Key::new(namespace, name).to_string()]
    });
    let triggers = shared.triggers.clone();
    Controller::with_queue("eventing-trigger", queue, reconciler)
        .watches(&shared.triggers)
        .owns::<Trigger, _>(&shared.identities)
        .wakes(&shared.brokers, move |broker: &Broker| {
            let woken = triggers.indexed(BY_BROKER, &Key::of(broker).to_string());
            woken.iter().map(|trigger| Key::of(trigger.as_ref())).collect()
        })
}

impl Reconcile for Triggers {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let referrer = Referrer::new(NAME, &self.queue, key);
        self.shared.tracker.forget(&referrer);
        let Some(trigger) = self.shared.triggers.get(key) else {
            return Ok(Next::OnChange);
        };
        if trigger.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let (namespace, name) = trigger.spec.broker_of(&key.namespace);
        let broker = self.shared.brokers.named(namespace, name);
        if broker.as_ref().is_some_and(|broker| !is_ours(broker)) {
            return Ok(Next::OnChange);
        }
        if broker.is_none() {
            injection::inject(&self.shared, &trigger).await?;
        }
        let mut observed = self.observe(&trigger, broker, &referrer).await;
        let identity = Identity::ensure(&self.shared, &self.applier, trigger.as_ref()).await;
        let applied = match identity {
            Ok(identity) => {
                observed.identity = identity;
                Ok(observed.next())
            }
            Err(error) => {
                observed.identity = Identity::Failed(reconciler::error::chain(&error));
                Err(error)
            }
        };
        let mut updated = (*trigger).clone();
        updated.status = Some(status::trigger_status(&trigger, &observed, self.shared.now()));
        let (shared, triggers) = (&self.shared, &self.shared.triggers);
        report(
            &shared.events,
            &self.applier,
            triggers,
            &trigger,
            updated,
            applied,
        )
        .await
    }
}

impl Triggers {
    async fn observe(
        &self,
        trigger: &Arc<Trigger>,
        broker: Option<Arc<Broker>>,
        referrer: &Referrer,
    ) -> Observed {
        let (resolver, spec) = (&self.shared.resolver, &trigger.spec);
        let namespace = namespace_of(&trigger.metadata);
        let filter = Filter::compile(
            &spec.filters,
            spec.filter.as_ref().map(|filter| &filter.attributes),
        );
        Observed {
            broker,
            subscriber: resolver.resolve(&spec.subscriber, namespace, referrer).await,
            dead_letter_sink: DeadLetterSink::resolve(resolver, spec.delivery.as_ref(), namespace, referrer)
                .await,
            dependency: Dependency::observe(&self.shared.tracker, trigger, referrer).await,
            filter_problem: filter.err().map(|error| error.to_string()),
            identity: Identity::default(),
        }
    }
}
