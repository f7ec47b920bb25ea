//! From API objects to topics.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use crds::conditions::ConditionedStatus;
use crds::config::events::Features;
use crds::duck::{DeliverySpec, SubscriberSpec};
use crds::eventing::{Broker, EventPolicy, Trigger};
use crds::messaging::{InMemoryChannel, Subscription};
use event_filter::Filter;
use event_store::{ConsumerName, Start};
use jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::access::Policies;
use crate::delivery::Policy;
use crate::identity::{Account, Guarded};

use super::{Backend, Consumer, ConsumerKind, Model, Reply, Target, Topic, TopicKind};

const CLASS: &str = "eventing.knative.dev/broker.class";
/// Where a consumer that is new starts: `earliest`, `latest`, or a time (RFC 3339).
const START: &str = "eventing.spindrift.dev/start";

const EVENT_POLICIES_READY: &str = "EventPoliciesReady";

/// One for all subscribers of channels, so that a new model does not look like a new filter.
static EVERYTHING: LazyLock<Arc<Filter>> = LazyLock::new(Arc::default);

/// The API objects that matter, in any order.
#[derive(Debug, Default)]
pub struct Observed {
    pub brokers: Vec<Arc<Broker>>,
    pub triggers: Vec<Arc<Trigger>>,
    pub channels: Vec<Arc<InMemoryChannel>>,
    pub subscriptions: Vec<Arc<Subscription>>,
    pub policies: Vec<Arc<EventPolicy>>,
    pub features: Features,
}

/// Compiled filters by trigger and policy, kept from one model to the next: they change far more rarely than status does.
#[derive(Debug, Default)]
pub struct Filters {
    compiled: HashMap<(String, i64), Arc<Filter>>,
}

impl Filters {
    /// The filter of this generation of an object, from `before` or compiled, for the next time.
    pub(super) fn keep<E: std::fmt::Display>(
        &mut self,
        before: &Self,
        object: &impl Resource,
        compile: impl FnOnce() -> Result<Filter, E>,
    ) -> Arc<Filter> {
        let meta = object.meta();
        let key = (
            meta.uid.clone().unwrap_or_default(),
            meta.generation.unwrap_or_default(),
        );
        let compiled = before.compiled.get(&key).cloned().unwrap_or_else(|| {
            Arc::new(compile().unwrap_or_else(|error| {
                // Admission refuses it. Letting everything pass would be the worse mistake.
                tracing::warn!(%error, name = %object.name_any(), "An object has a filter that cannot be used");
                Filter::nothing()
            }))
        });
        self.compiled.insert(key, compiled.clone());
        compiled
    }
}

/// What is served for `observed`. Objects that are being deleted are left out, as are brokers of other classes.
pub fn topics(observed: &Observed, filters: &mut Filters) -> Model {
    let mut triggers: HashMap<(&str, &str), Vec<&Trigger>> = HashMap::new();
    for trigger in observed.triggers.iter().filter(|trigger| lives(trigger.as_ref())) {
        let namespace = trigger.metadata.namespace.as_deref().unwrap_or_default();
        triggers
            .entry(trigger.spec.broker_of(namespace))
            .or_default()
            .push(trigger);
    }
    let created: HashMap<&str, Timestamp> = observed
        .subscriptions
        .iter()
        .filter_map(|subscription| {
            Some((
                subscription.metadata.uid.as_deref()?,
                creation(subscription.as_ref())?,
            ))
        })
        .collect();
    let mut kept = Filters::default();
    let policies = Policies::new(observed, filters, &mut kept);
    let brokers = observed
        .brokers
        .iter()
        .filter(|broker| lives(broker.as_ref()))
        .filter_map(|broker| {
            let consumers = triggers.get(&(
                broker.metadata.namespace.as_deref()?,
                broker.metadata.name.as_deref()?,
            ));
            let consumers = consumers.into_iter().flatten();
            let consumers = consumers.filter_map(|trigger| of_trigger(broker, trigger, filters, &mut kept));
            let status = broker.status.as_ref();
            let guarded = Guarded {
                address: status.and_then(|status| status.address.as_ref()),
                policies: status.map_or(&[][..], |status| &status.policies),
                condition: status.and_then(|status| status.condition(EVENT_POLICIES_READY)),
            };
            Some(Topic {
                access: policies.of(broker.as_ref(), guarded),
                ..topic(broker.as_ref(), TopicKind::Broker, backend(broker)?, consumers)?
            })
        });
    let channels = observed
        .channels
        .iter()
        .filter(|channel| lives(channel.as_ref()))
        .filter_map(|channel| {
            let subscribers = channel.spec.subscribers.iter();
            let consumers = subscribers.filter_map(|entry| of_subscriber(channel, entry, &created));
            let status = channel.status.as_ref();
            let guarded = Guarded {
                address: status.and_then(|status| status.address.as_ref()),
                policies: status.map_or(&[][..], |status| &status.policies),
                condition: status.and_then(|status| status.condition(EVENT_POLICIES_READY)),
            };
            Some(Topic {
                access: policies.of(channel.as_ref(), guarded),
                ..topic(channel.as_ref(), TopicKind::Channel, Backend::Embedded, consumers)?
            })
        });
    let mut model = Model::new(brokers.chain(channels).collect::<Vec<_>>());
    model.announces = observed.features.event_type_auto_create.is_enabled();
    *filters = kept;
    model
}

fn lives(object: &impl Resource) -> bool {
    object.meta().deletion_timestamp.is_none()
}

fn backend(broker: &Broker) -> Option<Backend> {
    match broker.annotations().get(CLASS)?.as_str() {
        "MTChannelBasedBroker" => Some(Backend::Embedded),
        "NatsJetStreamBroker" => Some(Backend::JetStream),
        _ => None,
    }
}

fn topic(
    object: &impl Resource,
    kind: TopicKind,
    backend: Backend,
    consumers: impl Iterator<Item = Consumer>,
) -> Option<Topic> {
    let meta = object.meta();
    // The first of a name wins, which can only be two subscriptions of different namespaces.
    let mut named = BTreeMap::new();
    for consumer in consumers {
        named
            .entry(consumer.name.clone())
            .or_insert_with(|| Arc::new(consumer));
    }
    Some(Topic {
        key: event_store::Topic::new(meta.uid.clone()?).ok()?,
        kind,
        namespace: meta.namespace.clone()?,
        name: meta.name.clone()?,
        backend,
        consumers: named.into_values().collect(),
        access: None,
    })
}

fn of_trigger(broker: &Broker, trigger: &Trigger, before: &Filters, kept: &mut Filters) -> Option<Consumer> {
    let namespace = trigger.namespace()?;
    let name = trigger.metadata.name.clone()?;
    let uid = trigger.metadata.uid.clone()?;
    let own = trigger.spec.delivery.as_ref();
    let delivery = own.or(broker.spec.delivery.as_ref());
    let status = trigger.status.clone().unwrap_or_default();
    // Nobody has looked for its subscriber yet: events wait for it, while those of one that cannot be found fail.
    if status.subscriber_uri.is_none() && status.observed_generation.unwrap_or_default() == 0 {
        return None;
    }
    Some(Consumer {
        name: consumer_name(broker.metadata.namespace.as_deref(), &namespace, &name, &uid)?,
        kind: ConsumerKind::Trigger,
        subscriber: target(
            &status.subscriber_uri,
            &status.subscriber_ca_certs,
            &status.subscriber_audience,
        ),
        reply: Reply::Topic,
        dead_letter_sink: target(
            &status.dead_letter_sink_uri,
            &status.dead_letter_sink_ca_certs,
            &status.dead_letter_sink_audience,
        )
        .or_else(|| dead_letter_sink_of(broker, own)),
        policy: Policy {
            // Upstream knows it for triggers alone.
            format: Policy::of(own).format,
            ..Policy::of(delivery)
        },
        account: account(
            &namespace,
            status
                .auth
                .as_ref()
                .and_then(|auth| auth.service_account_name.as_ref()),
        ),
        order_by: order_by(delivery),
        filter: filter(trigger, before, kept),
        start: start(trigger, creation(trigger)),
        object: name,
        namespace,
        uid,
    })
}

/// The broker's own, for a trigger that names none.
fn dead_letter_sink_of(broker: &Broker, own: Option<&DeliverySpec>) -> Option<Target> {
    if own.is_some_and(|own| own.dead_letter_sink.is_some()) {
        return None;
    }
    let status = broker.status.as_ref()?;
    target(
        &status.dead_letter_sink_uri,
        &status.dead_letter_sink_ca_certs,
        &status.dead_letter_sink_audience,
    )
}

fn filter(trigger: &Trigger, before: &Filters, kept: &mut Filters) -> Arc<Filter> {
    kept.keep(before, trigger, || {
        let attributes = trigger.spec.filter.as_ref().map(|filter| &filter.attributes);
        Filter::compile(&trigger.spec.filters, attributes)
    })
}

fn account(namespace: &str, name: Option<&String>) -> Option<Account> {
    let name = name.filter(|name| !name.is_empty())?;
    Some(Account {
        namespace: namespace.to_owned(),
        name: name.clone(),
    })
}

fn of_subscriber(
    channel: &InMemoryChannel,
    entry: &SubscriberSpec,
    created: &HashMap<&str, Timestamp>,
) -> Option<Consumer> {
    let namespace = channel.namespace()?;
    let status = channel.status.clone().unwrap_or_default();
    let delivery = entry.delivery.as_ref().or(channel.spec.delivery.as_ref());
    let own_sink = entry
        .delivery
        .as_ref()
        .and_then(|delivery| delivery.dead_letter_sink.as_ref());
    let object = entry.name.clone().unwrap_or_else(|| entry.uid.clone());
    Some(Consumer {
        name: ConsumerName::new(object.clone()).ok()?,
        kind: ConsumerKind::Subscription,
        subscriber: target(
            &entry.subscriber_uri,
            &entry.subscriber_ca_certs,
            &entry.subscriber_audience,
        ),
        reply: target(&entry.reply_uri, &entry.reply_ca_certs, &entry.reply_audience)
            .map_or(Reply::Dropped, Reply::To),
        dead_letter_sink: own_sink
            .and_then(|sink| target(&sink.uri, &sink.ca_certs, &sink.audience))
            .or_else(|| {
                target(
                    &status.dead_letter_sink_uri,
                    &status.dead_letter_sink_ca_certs,
                    &status.dead_letter_sink_audience,
                )
            }),
        policy: Policy::of(delivery),
        account: account(
            &namespace,
            entry
                .auth
                .as_ref()
                .and_then(|auth| auth.service_account_name.as_ref()),
        ),
        order_by: order_by(delivery),
        filter: EVERYTHING.clone(),
        start: created
            .get(entry.uid.as_str())
            .map_or(Start::Latest, |created| Start::At(*created)),
        object,
        namespace,
        uid: entry.uid.clone(),
    })
}

fn target(url: &Option<String>, ca_certs: &Option<String>, audience: &Option<String>) -> Option<Target> {
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Some(Target {
        url: some(url)?,
        ca_certs: some(ca_certs),
        audience: some(audience),
    })
}

fn order_by(spec: Option<&DeliverySpec>) -> Option<String> {
    spec?.order_by.clone().filter(|attribute| !attribute.is_empty())
}

/// The trigger's name, with its namespace before it if that is not the broker's: `_` is in no name.
fn consumer_name(of_broker: Option<&str>, namespace: &str, name: &str, uid: &str) -> Option<ConsumerName> {
    if of_broker == Some(namespace) {
        return ConsumerName::new(name).ok();
    }
    let named = ConsumerName::new(format!("{namespace}_{name}"));
    // Too long together.
    named.or_else(|_| ConsumerName::new(uid)).ok()
}

fn creation(object: &impl Resource) -> Option<Timestamp> {
    Some(object.meta().creation_timestamp.as_ref()?.0)
}

/// At the first event that was stored when the trigger was there, or where its annotation says.
fn start(trigger: &Trigger, created: Option<Timestamp>) -> Start {
    match trigger.annotations().get(START).map(String::as_str) {
        Some("earliest") => return Start::Earliest,
        Some("latest") => return Start::Latest,
        Some(time) => {
            if let Ok(time) = time.parse() {
                return Start::At(time);
            }
        }
        None => {}
    }
    created.map_or(Start::Latest, Start::At)
}

#[cfg(test)]
mod tests;
