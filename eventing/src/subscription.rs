//! Subscription: resolves who gets the events of a channel and who the answers, and writes it into the channel.

mod entry;
mod status;
mod sync;

use std::sync::Arc;

use crds::KReference;
use crds::messaging::Subscription;
use crds::names::SUBSCRIPTION_FINALIZER;
use reconciler::{Applier, Controller, Error, Key, Next, Queue, Reconcile, finalizer, report};

use crate::dead_letter::DeadLetterSink;
use crate::identity::Identity;
use crate::resolver::{ResolveError, Resolved};
use crate::shared::{Shared, namespace_of};
use crate::tracker::{Kind, Referrer, Target};
use status::{Observed, Physical};

const NAME: &str = "subscription";

pub(crate) struct Subscriptions {
    shared: Shared,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(shared: &Shared) -> Controller<Subscriptions> {
    let queue = reconciler::queue("eventing-subscription");
    let reconciler = Subscriptions {
        shared: shared.clone(),
        applier: shared.applier("spindrift-subscription"),
        queue: queue.clone(),
    };
    Controller::with_queue("eventing-subscription", queue, reconciler)
        .watches(&shared.subscriptions)
        .owns::<Subscription, _>(&shared.identities)
}

impl Reconcile for Subscriptions {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let shared = &self.shared;
        let referrer = Referrer::new(NAME, &self.queue, key);
        shared.tracker.forget(&referrer);
        let Some(subscription) = shared.subscriptions.get(key) else {
            return Ok(Next::OnChange);
        };
        if subscription.metadata.deletion_timestamp.is_some() {
            return self.finalize(&subscription, &referrer).await.map(Next::from);
        }
        let all = &shared.subscriptions;
        let subscription = finalizer::set(&self.applier, all, subscription, SUBSCRIPTION_FINALIZER).await?;
        let mut observed = self.observe(&subscription, &referrer).await;
        let applied = self.apply(&subscription, &mut observed).await;
        let mut updated = (*subscription).clone();
        updated.status = Some(status::subscription_status(
            &subscription,
            &observed,
            shared.now(),
        ));
        let next = applied.map(|()| observed.next());
        let subscriptions = &shared.subscriptions;
        report(
            &shared.events,
            &self.applier,
            subscriptions,
            &subscription,
            updated,
            next,
        )
        .await
    }
}

impl Subscriptions {
    async fn observe(&self, subscription: &Arc<Subscription>, referrer: &Referrer) -> Observed {
        let (resolver, spec) = (&self.shared.resolver, &subscription.spec);
        let namespace = namespace_of(&subscription.metadata);
        let physical = self.physical(&spec.channel, namespace, referrer).await;
        let subscriber = match &spec.subscriber {
            Some(subscriber) => resolver.resolve(subscriber, namespace, referrer).await,
            None => Err(ResolveError::Nothing),
        };
        let reply: Option<Result<Resolved, ResolveError>> = match &spec.reply {
            Some(reply) if !reply.is_empty() => Some(resolver.resolve(reply, namespace, referrer).await),
            _ => None,
        };
        let sink = DeadLetterSink::resolve(resolver, spec.delivery.as_ref(), namespace, referrer).await;
        Observed {
            physical,
            subscriber,
            reply,
            dead_letter_sink: sink,
            identity: Identity::default(),
            sync_problem: None,
        }
    }

    /// The channel that subscribers are written into: the one named, or the one that a Channel has had made.
    async fn physical(
        &self,
        reference: &KReference,
        namespace: &str,
        referrer: &Referrer,
    ) -> Result<Physical, ResolveError> {
        let named = target(reference, namespace);
        let found = self.found(&named, referrer).await?;
        let is_channel =
            named.kind.kind == "Channel" && named.kind.group_version().0 == crds::messaging::GROUP;
        if !is_channel {
            return Ok(Physical { target: named, found });
        }
        let made: Option<KReference> = found
            .status
            .get("channel")
            .and_then(|made| serde_json::from_value(made.clone()).ok());
        let Some(made) = made else {
            return Err(ResolveError::NoAddress(format!("Channel {}", named.key)));
        };
        let target = target(&made, &named.key.namespace);
        let found = self.found(&target, referrer).await?;
        Ok(Physical { target, found })
    }

    async fn found(
        &self,
        target: &Target,
        referrer: &Referrer,
    ) -> Result<Arc<crate::tracker::Tracked>, ResolveError> {
        match self.shared.tracker.observe(target, referrer).await? {
            Some(found) => Ok(found),
            None => Err(ResolveError::NotFound {
                resource: target.kind.kind.clone(),
                key: target.key.clone(),
            }),
        }
    }

    /// Makes the identity, and writes the subscriber into the channel as soon as all of it is known.
    async fn apply(&self, subscription: &Arc<Subscription>, observed: &mut Observed) -> Result<(), Error> {
        let shared = &self.shared;
        observed.identity = Identity::ensure(shared, &self.applier, subscription.as_ref()).await?;
        let Some(entry) = entry::wanted(subscription, observed) else {
            return Ok(());
        };
        let Ok(physical) = &observed.physical else {
            return Ok(());
        };
        let written = sync::write(shared, physical, &entry).await;
        match written {
            Ok(true) => {
                let message = format!(
                    "Subscription was synchronized to channel {:?}",
                    physical.target.key.name
                );
                shared
                    .events
                    .normal(subscription.as_ref(), "SubscriberSync", message);
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(error) => {
                observed.sync_problem = Some(reconciler::error::chain(&error));
                Err(error)
            }
        }
    }

    /// Takes the subscriber out of its channel. A channel that is gone has no subscribers.
    async fn finalize(&self, subscription: &Arc<Subscription>, referrer: &Referrer) -> Result<(), Error> {
        let meta = &subscription.metadata;
        if !finalizer::is_set(subscription.as_ref(), SUBSCRIPTION_FINALIZER) {
            return Ok(());
        }
        let namespace = namespace_of(meta);
        let physical = self
            .physical(&subscription.spec.channel, namespace, referrer)
            .await;
        if let Ok(physical) = &physical {
            let uid = meta.uid.as_deref().unwrap_or_default();
            if sync::remove(&self.shared, physical, uid).await? {
                let message = format!(
                    "Subscription was removed from channel {:?}",
                    physical.target.key.name
                );
                let events = &self.shared.events;
                events.normal(subscription.as_ref(), "SubscriberRemoved", message);
            }
        }
        let all = &self.shared.subscriptions;
        finalizer::clear(&self.applier, all, subscription.as_ref(), SUBSCRIPTION_FINALIZER).await
    }
}

fn target(reference: &KReference, namespace: &str) -> Target {
    let given = reference.namespace.as_deref().filter(|given| !given.is_empty());
    Target {
        kind: Kind::new(reference.api_version.clone().unwrap_or_default(), &reference.kind),
        key: Key::new(given.unwrap_or(namespace), &reference.name),
    }
}
