//! What a Subscription writes into its channel.

use crds::duck::{DeliverySpec, Destination, SubscriberAuth, SubscriberSpec};
use crds::messaging::Subscription;

use super::status::Observed;
use crate::dead_letter::DeadLetterSink;
use crate::identity::Identity;
use crate::resolver::Resolved;

/// The entry, or `None` while anything in it is not resolved.
pub(super) fn wanted(subscription: &Subscription, observed: &Observed) -> Option<SubscriberSpec> {
    let subscriber = observed.subscriber.as_ref().ok()?;
    let reply = match &observed.reply {
        None => None,
        Some(Ok(reply)) => Some(reply),
        Some(Err(_)) => return None,
    };
    let auth = match &observed.identity {
        Identity::Disabled => None,
        Identity::Account(name) => Some(SubscriberAuth {
            service_account_name: Some(name.clone()),
        }),
        Identity::Failed(_) => return None,
    };
    let meta = &subscription.metadata;
    Some(SubscriberSpec {
        uid: meta.uid.clone()?,
        generation: meta.generation.unwrap_or_default(),
        name: meta.name.clone(),
        subscriber_uri: Some(subscriber.url.clone()),
        subscriber_ca_certs: subscriber.ca_certs.clone(),
        subscriber_audience: subscriber.audience.clone(),
        reply_uri: reply.map(|reply| reply.url.clone()),
        reply_ca_certs: reply.and_then(|reply| reply.ca_certs.clone()),
        reply_audience: reply.and_then(|reply| reply.audience.clone()),
        delivery: delivery(subscription.spec.delivery.as_ref(), &observed.dead_letter_sink)?,
        auth,
    })
}

/// The Subscription's own delivery, with the URL of its dead letter sink; without one the channel's own holds.
/// `None` while the sink is not resolved.
fn delivery(own: Option<&DeliverySpec>, sink: &DeadLetterSink) -> Option<Option<DeliverySpec>> {
    let Some(own) = own else { return Some(None) };
    let sink = match sink {
        DeadLetterSink::NotConfigured => None,
        DeadLetterSink::Resolved(sink) => Some(destination(sink)),
        DeadLetterSink::Failed(_) => return None,
    };
    Some(Some(DeliverySpec {
        dead_letter_sink: sink,
        ..own.clone()
    }))
}

fn destination(resolved: &Resolved) -> Destination {
    Destination {
        reference: None,
        uri: Some(resolved.url.clone()),
        ca_certs: resolved.ca_certs.clone(),
        audience: resolved.audience.clone(),
    }
}
