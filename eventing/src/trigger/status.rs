//! The status of a Trigger from what was observed.

use std::sync::Arc;

use crds::conditions::{Condition, ConditionedStatus, READY};
use crds::eventing::{Broker, Trigger, TriggerStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::{ConditionSet, Conditions, Next};

use super::dependency::{DEPENDENCY_READY, Dependency};
use crate::broker::LOOK_AGAIN;
use crate::dead_letter::{DEAD_LETTER_SINK_RESOLVED, DeadLetterSink};
use crate::identity::{Identity, OIDC_IDENTITY_CREATED};
use crate::resolver::{ResolveError, Resolved};

const BROKER_READY: &str = "BrokerReady";
const SUBSCRIPTION_READY: &str = "SubscriptionReady";
const SUBSCRIBER_RESOLVED: &str = "SubscriberResolved";
const CONDITIONS: ConditionSet = ConditionSet::new(&[
    BROKER_READY,
    SUBSCRIPTION_READY,
    DEPENDENCY_READY,
    SUBSCRIBER_RESOLVED,
    DEAD_LETTER_SINK_RESOLVED,
    OIDC_IDENTITY_CREATED,
]);

/// What one look at a trigger's surroundings found.
#[derive(Debug)]
pub(super) struct Observed {
    pub broker: Option<Arc<Broker>>,
    pub subscriber: Result<Resolved, ResolveError>,
    /// The trigger's own.
    pub dead_letter_sink: DeadLetterSink,
    pub dependency: Dependency,
    /// Why the filters do not compile.
    pub filter_problem: Option<String>,
    pub identity: Identity,
}

impl Observed {
    /// When to look again although no watch fires.
    pub(super) fn next(&self) -> Next {
        let subscriber = self
            .subscriber
            .as_ref()
            .err()
            .is_none_or(ResolveError::heals_by_watch);
        let sink = self
            .dead_letter_sink
            .error()
            .is_none_or(ResolveError::heals_by_watch);
        if subscriber && sink && !matches!(self.dependency, Dependency::Untracked(_)) {
            Next::OnChange
        } else {
            Next::After(LOOK_AGAIN)
        }
    }
}

pub(super) fn trigger_status(trigger: &Trigger, observed: &Observed, now: Timestamp) -> TriggerStatus {
    let mut status = trigger.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = trigger.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);

    let subscriber = observed.subscriber.as_ref().ok();
    status.subscriber_uri = subscriber.map(|found| found.url.clone());
    status.subscriber_ca_certs = subscriber.and_then(|found| found.ca_certs.clone());
    status.subscriber_audience = subscriber.and_then(|found| found.audience.clone());
    let sink = dead_letter_sink(observed);
    status.dead_letter_sink_uri = sink.as_ref().map(|sink| sink.url.clone());
    status.dead_letter_sink_ca_certs = sink.as_ref().and_then(|sink| sink.ca_certs.clone());
    status.dead_letter_sink_audience = sink.as_ref().and_then(|sink| sink.audience.clone());
    status.auth = observed.identity.status();

    let mut conditions = CONDITIONS.manage(&mut status, now);
    observed.identity.mark(&mut conditions);
    match (&observed.dead_letter_sink, sink) {
        (DeadLetterSink::NotConfigured, Some(_)) => conditions.mark_true(DEAD_LETTER_SINK_RESOLVED),
        (own, _) => own.mark(&mut conditions),
    }
    observed.dependency.mark(&mut conditions);
    mark_subscription(&mut conditions, observed);
    match &observed.subscriber {
        Ok(_) => conditions.mark_true(SUBSCRIBER_RESOLVED),
        Err(error) => conditions.mark_false(
            SUBSCRIBER_RESOLVED,
            "Unable to get the Subscriber's URI",
            &error.to_string(),
        ),
    }
    mark_broker(&mut conditions, trigger, observed.broker.as_deref());
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

/// The trigger's own, or else that of its broker.
fn dead_letter_sink(observed: &Observed) -> Option<Resolved> {
    match &observed.dead_letter_sink {
        DeadLetterSink::Resolved(own) => Some(own.clone()),
        DeadLetterSink::Failed(_) => None,
        DeadLetterSink::NotConfigured => {
            let status = observed.broker.as_ref()?.status.as_ref()?;
            Some(Resolved {
                url: status.dead_letter_sink_uri.clone()?,
                ca_certs: status.dead_letter_sink_ca_certs.clone(),
                audience: status.dead_letter_sink_audience.clone(),
            })
        }
    }
}

fn mark_broker(conditions: &mut Conditions<'_>, trigger: &Trigger, broker: Option<&Broker>) {
    let Some(broker) = broker else {
        let namespace = crate::shared::namespace_of(&trigger.metadata);
        let (_, name) = trigger.spec.broker_of(namespace);
        let message = format!("Broker {name:?} does not exist");
        return conditions.mark_false(BROKER_READY, "BrokerDoesNotExist", &message);
    };
    match ready_of(broker) {
        Some(ready) => conditions.copy(BROKER_READY, ready),
        None => conditions.mark_unknown(
            BROKER_READY,
            "BrokerNotConfigured",
            "Broker has not yet been reconciled.",
        ),
    }
}

/// `Ready` of the broker's present generation.
fn ready_of(broker: &Broker) -> Option<&Condition> {
    let status = broker.status.as_ref()?;
    let current = status.observed_generation() == broker.metadata.generation.unwrap_or_default();
    status.condition(READY).filter(|_| current)
}

/// The data plane has a consumer for each trigger whose broker is ready, whose subscriber is known and whose filters
/// can be evaluated.
fn mark_subscription(conditions: &mut Conditions<'_>, observed: &Observed) {
    if let Some(problem) = &observed.filter_problem {
        return conditions.mark_false(SUBSCRIPTION_READY, "NotSubscribed", problem);
    }
    let broker = observed.broker.as_deref().and_then(ready_of);
    if observed.subscriber.is_ok() && broker.is_some_and(Condition::is_true) {
        conditions.mark_true(SUBSCRIPTION_READY);
    } else {
        conditions.mark_unknown(
            SUBSCRIPTION_READY,
            "SubscriptionNotConfigured",
            "Subscription has not yet been reconciled.",
        );
    }
}
