//! What Sequence and Parallel share: their channels and subscriptions, and what these say.

use std::sync::Arc;

use crds::conditions::{Condition, ConditionStatus, ConditionedStatus, READY};
use crds::duck::{ChannelTemplate, DeliverySpec, Destination};
use crds::flows::{FlowChannelStatus, FlowSubscriptionStatus};
use crds::messaging::{Subscription, SubscriptionSpec};
use crds::{Addressable, KReference};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use reconciler::{Applier, Conditions, Error, Next};

use crate::backing::{self, Backing, State};
use crate::broker::LOOK_AGAIN;
use crate::shared::{Shared, name_of};
use crate::tracker::Referrer;

pub(crate) const CHANNELS_READY: &str = "ChannelsReady";
pub(crate) const SUBSCRIPTIONS_READY: &str = "SubscriptionsReady";
pub(crate) const ADDRESSABLE: &str = "Addressable";

/// The children of a flow as they are, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Children {
    pub channels: Vec<Backing>,
    pub subscriptions: Vec<Arc<Subscription>>,
}

/// A subscription between parts of a flow.
pub(crate) struct Link<'a> {
    pub name: String,
    pub channel: KReference,
    pub subscriber: Destination,
    pub reply: Option<Destination>,
    pub delivery: Option<&'a DeliverySpec>,
}

/// Makes the children of `owner` so, and deletes those that are no longer wanted.
pub(crate) async fn apply<O: Resource<DynamicType = ()>>(
    shared: &Shared,
    applier: &Applier,
    owner: &O,
    template: &ChannelTemplate,
    channels: &[String],
    links: Vec<Link<'_>>,
    referrer: &Referrer,
) -> Result<Children, Error> {
    let mut children = Children::default();
    for name in channels {
        let channel = backing::ensure(shared, owner, template, None, name, referrer).await;
        children.channels.push(channel);
    }
    let names: Vec<String> = links.iter().map(|link| link.name.clone()).collect();
    for link in links {
        let wanted = subscription(owner, link);
        if let Some(applied) = apply_subscription(shared, applier, owner, wanted).await? {
            children.subscriptions.push(applied);
        }
    }
    let uid = owner.meta().uid.as_deref().unwrap_or_default();
    for surplus in shared.subscriptions.controlled_by(uid) {
        if !names.iter().any(|name| name == name_of(&surplus.metadata)) {
            applier.delete(surplus.as_ref()).await?;
        }
    }
    backing::prune(shared, owner, template, channels).await?;
    Ok(children)
}

/// A subscription cannot move to another channel: then it is made anew. `None` until the old one is gone.
async fn apply_subscription<O: Resource<DynamicType = ()>>(
    shared: &Shared,
    applier: &Applier,
    owner: &O,
    wanted: Subscription,
) -> Result<Option<Arc<Subscription>>, Error> {
    let namespace = wanted.metadata.namespace.clone().unwrap_or_default();
    let live = shared.subscriptions.named(&namespace, name_of(&wanted.metadata));
    if let Some(live) = live {
        let uid = owner.meta().uid.as_deref().unwrap_or_default();
        let ours = reconciler::object::is_controlled_by(&live.metadata, uid);
        if live.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        if ours && !same_channel(&live.spec.channel, &wanted.spec.channel) {
            applier.delete(live.as_ref()).await?;
            return Ok(None);
        }
    }
    let applied = applier.apply(owner, &shared.subscriptions, wanted).await?;
    Ok(Some(applied.into_object()))
}

fn same_channel(a: &KReference, b: &KReference) -> bool {
    a.kind == b.kind && a.api_version == b.api_version && a.name == b.name
}

fn subscription<O: Resource<DynamicType = ()>>(owner: &O, link: Link<'_>) -> Subscription {
    Subscription {
        metadata: ObjectMeta {
            name: Some(link.name),
            namespace: owner.meta().namespace.clone(),
            ..ObjectMeta::default()
        },
        spec: SubscriptionSpec {
            // In its own namespace, which a channel reference must not name.
            channel: KReference {
                namespace: None,
                ..link.channel
            },
            subscriber: Some(link.subscriber),
            reply: link.reply.filter(|reply| !reply.is_empty()),
            delivery: link.delivery.cloned(),
        },
        status: None,
    }
}

impl Children {
    /// When to look again although no watch fires.
    pub(crate) fn next(&self) -> Next {
        if self.channels.iter().any(Backing::looks_again) {
            Next::After(LOOK_AGAIN)
        } else {
            Next::OnChange
        }
    }

    /// The addresses of the first channel, if it has several.
    pub(crate) fn addresses(&self) -> Vec<Addressable> {
        let first = self.channels.first().and_then(Backing::found);
        let all = first.and_then(|found| found.status.get("addresses"));
        all.and_then(|all| serde_json::from_value(all.clone()).ok())
            .unwrap_or_default()
    }

    /// The address of the first channel, which is that of the flow.
    pub(crate) fn address(&self) -> Option<Addressable> {
        let status = &self.channels.first()?.found()?.status;
        serde_json::from_value(status.get("address")?.clone()).ok()
    }

    /// Marks whether all of `channels` channels and `subscriptions` subscriptions are ready.
    pub(crate) fn mark(&self, conditions: &mut Conditions<'_>, channels: usize, subscriptions: usize) {
        match self.address().and_then(|address| address.url) {
            Some(url) if !url.is_empty() => conditions.mark_true(ADDRESSABLE),
            _ => conditions.mark_false(ADDRESSABLE, "emptyAddress", "addressable is nil"),
        }
        let failure = self.channels.iter().find_map(|channel| match &channel.state {
            State::Failed { reason, .. } => Some(reason.as_str()),
            State::Created | State::Found(_) => None,
        });
        let all = self
            .subscriptions
            .iter()
            .filter(|found| subscription_ready(found).is_some_and(|ready| ready.is_true()))
            .count();
        if all == subscriptions && all > 0 {
            conditions.mark_true(SUBSCRIPTIONS_READY);
        } else {
            let message = "Subscriptions are not ready yet, or there are none";
            conditions.mark_false(SUBSCRIPTIONS_READY, "SubscriptionsNotReady", message);
        }
        let ready = self.channels.iter().filter(|channel| is_ready(channel)).count();
        if ready == channels && ready > 0 {
            conditions.mark_true(CHANNELS_READY);
        } else {
            let message = failure.unwrap_or("Channels are not ready yet, or there are none");
            conditions.mark_false(CHANNELS_READY, "ChannelsNotReady", message);
        }
    }

    pub(crate) fn channel_status(&self, index: usize) -> Option<FlowChannelStatus> {
        let channel = self.channels.get(index)?;
        let ready = channel.found().and_then(|found| found.ready());
        Some(FlowChannelStatus {
            channel: object_reference(&channel.reference),
            ready_condition: ready.unwrap_or_else(unknown),
        })
    }

    pub(crate) fn subscription_status(&self, name: &str) -> Option<FlowSubscriptionStatus> {
        let mut all = self.subscriptions.iter();
        let found = all.find(|subscription| name_of(&subscription.metadata) == name)?;
        Some(FlowSubscriptionStatus {
            subscription: ObjectReference {
                api_version: Some(Subscription::api_version(&()).into_owned()),
                kind: Some(Subscription::kind(&()).into_owned()),
                name: found.metadata.name.clone(),
                namespace: found.metadata.namespace.clone(),
                ..ObjectReference::default()
            },
            ready_condition: subscription_ready(found).cloned().unwrap_or_else(unknown),
        })
    }
}

fn is_ready(channel: &Backing) -> bool {
    channel.found().is_some_and(|found| {
        found.observed_generation() == found.generation && found.ready().is_some_and(|ready| ready.is_true())
    })
}

/// `Ready` of the subscription's present generation.
fn subscription_ready(subscription: &Subscription) -> Option<&Condition> {
    let status = subscription.status.as_ref()?;
    let current = status.observed_generation() == subscription.metadata.generation.unwrap_or_default();
    status.condition(READY).filter(|_| current)
}

fn unknown() -> Condition {
    Condition::new(READY, ConditionStatus::Unknown)
}

fn object_reference(reference: &KReference) -> ObjectReference {
    ObjectReference {
        api_version: reference.api_version.clone(),
        kind: Some(reference.kind.clone()),
        name: Some(reference.name.clone()),
        namespace: reference.namespace.clone(),
        ..ObjectReference::default()
    }
}
