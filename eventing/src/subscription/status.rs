//! The status of a Subscription from what was observed.

use std::sync::Arc;

use crds::conditions::ConditionStatus;
use crds::duck::SubscriberStatus;
use crds::messaging::{PhysicalSubscription, Subscription, SubscriptionStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::{ConditionSet, Conditions, Next};
use serde_json::Value;

use crate::broker::LOOK_AGAIN;
use crate::dead_letter::DeadLetterSink;
use crate::identity::{Identity, OIDC_IDENTITY_CREATED};
use crate::resolver::{ResolveError, Resolved};
use crate::tracker::{Target, Tracked};

const REFERENCES_RESOLVED: &str = "ReferencesResolved";
const ADDED_TO_CHANNEL: &str = "AddedToChannel";
const CHANNEL_READY: &str = "ChannelReady";
const CONDITIONS: ConditionSet = ConditionSet::new(&[
    REFERENCES_RESOLVED,
    ADDED_TO_CHANNEL,
    CHANNEL_READY,
    OIDC_IDENTITY_CREATED,
]);

/// The channel that subscribers are written into.
#[derive(Debug)]
pub(super) struct Physical {
    pub target: Target,
    pub found: Arc<Tracked>,
}

/// What one look at a subscription's surroundings found.
#[derive(Debug)]
pub(super) struct Observed {
    pub physical: Result<Physical, ResolveError>,
    pub subscriber: Result<Resolved, ResolveError>,
    /// `None` if nobody gets the answers.
    pub reply: Option<Result<Resolved, ResolveError>>,
    /// The subscription's own.
    pub dead_letter_sink: DeadLetterSink,
    pub identity: Identity,
    /// Why the channel could not be written to.
    pub sync_problem: Option<String>,
}

impl Observed {
    /// What is not resolved, with the reason that tells of it.
    fn unresolved(&self) -> Option<(&'static str, &ResolveError)> {
        let reply = self.reply.as_ref().and_then(|reply| reply.as_ref().err());
        let all = [
            ("ChannelReferenceFailed", self.physical.as_ref().err()),
            ("SubscriberResolveFailed", self.subscriber.as_ref().err()),
            ("ReplyResolveFailed", reply),
            ("DeadLetterSinkResolveFailed", self.dead_letter_sink.error()),
        ];
        all.into_iter()
            .find_map(|(reason, error)| error.map(|error| (reason, error)))
    }

    /// When to look again although no watch fires.
    pub(super) fn next(&self) -> Next {
        match self.unresolved() {
            Some((_, error)) if !error.heals_by_watch() => Next::After(LOOK_AGAIN),
            _ => Next::OnChange,
        }
    }
}

pub(super) fn subscription_status(
    subscription: &Subscription,
    observed: &Observed,
    now: Timestamp,
) -> SubscriptionStatus {
    let mut status = subscription.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = subscription.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    status.physical_subscription = Some(physical_subscription(observed));
    status.auth = observed.identity.status();

    let mut conditions = CONDITIONS.manage(&mut status, now);
    observed.identity.mark(&mut conditions);
    match observed.unresolved() {
        Some((reason, error)) => {
            conditions.mark_false(REFERENCES_RESOLVED, reason, &error.to_string());
            let message = "The channel, the subscriber, the reply or the dead letter sink is not resolved.";
            conditions.mark_unknown(ADDED_TO_CHANNEL, "Resolving", message);
        }
        None => {
            conditions.mark_true(REFERENCES_RESOLVED);
            match &observed.sync_problem {
                None => conditions.mark_true(ADDED_TO_CHANNEL),
                Some(problem) => {
                    let message = format!("Failed to sync physical Channel: {problem}");
                    conditions.mark_false(ADDED_TO_CHANNEL, "PhysicalChannelSyncFailed", &message);
                }
            }
        }
    }
    mark_channel(&mut conditions, subscription, observed);
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

/// Ready as soon as the channel says that it serves this very generation.
fn mark_channel(conditions: &mut Conditions<'_>, subscription: &Subscription, observed: &Observed) {
    let reason = "SubscriptionNotMarkedReadyByChannel";
    let found = observed
        .physical
        .as_ref()
        .ok()
        .and_then(|physical| served(&physical.found, subscription));
    match found {
        None => conditions.mark_unknown(
            CHANNEL_READY,
            reason,
            "Subscription is not yet served by the channel in its present generation.",
        ),
        Some(served) => {
            let message = |word: &str| {
                let more = served.message.as_deref().unwrap_or_default();
                let colon = if more.is_empty() { "" } else { ": " };
                format!("Subscription marked by Channel as {word}{colon}{more}")
            };
            match served.ready {
                ConditionStatus::True => conditions.mark_true(CHANNEL_READY),
                ConditionStatus::False => conditions.mark_false(CHANNEL_READY, reason, &message("False")),
                ConditionStatus::Unknown => {
                    conditions.mark_unknown(CHANNEL_READY, reason, &message("Unknown"))
                }
            }
        }
    }
}

fn served(channel: &Tracked, subscription: &Subscription) -> Option<SubscriberStatus> {
    let all = channel.status.get("subscribers").and_then(Value::as_array)?;
    let mut all = all
        .iter()
        .filter_map(|entry| serde_json::from_value(entry.clone()).ok());
    all.find(|entry: &SubscriberStatus| {
        Some(&entry.uid) == subscription.metadata.uid.as_ref()
            && entry.observed_generation == subscription.metadata.generation.unwrap_or_default()
    })
}

fn physical_subscription(observed: &Observed) -> PhysicalSubscription {
    let subscriber = observed.subscriber.as_ref().ok();
    let reply = observed.reply.as_ref().and_then(|reply| reply.as_ref().ok());
    let sink = match &observed.dead_letter_sink {
        DeadLetterSink::Resolved(own) => Some(own.clone()),
        DeadLetterSink::NotConfigured => observed
            .physical
            .as_ref()
            .ok()
            .and_then(|found| sink_of(&found.found)),
        DeadLetterSink::Failed(_) => None,
    };
    PhysicalSubscription {
        subscriber_uri: subscriber.map(|found| found.url.clone()),
        subscriber_ca_certs: subscriber.and_then(|found| found.ca_certs.clone()),
        subscriber_audience: subscriber.and_then(|found| found.audience.clone()),
        reply_uri: reply.map(|found| found.url.clone()),
        reply_ca_certs: reply.and_then(|found| found.ca_certs.clone()),
        reply_audience: reply.and_then(|found| found.audience.clone()),
        dead_letter_sink_uri: sink.as_ref().map(|sink| sink.url.clone()),
        dead_letter_sink_ca_certs: sink.as_ref().and_then(|sink| sink.ca_certs.clone()),
        dead_letter_sink_audience: sink.and_then(|sink| sink.audience),
    }
}

/// The channel's dead letter sink.
fn sink_of(channel: &Tracked) -> Option<Resolved> {
    let text = |name: &str| {
        channel
            .status
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Some(Resolved {
        url: text("deadLetterSinkUri")?,
        ca_certs: text("deadLetterSinkCACerts"),
        audience: text("deadLetterSinkAudience"),
    })
}
