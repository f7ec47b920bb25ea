//! The status of a Channel from the channel that was made for it.

use crds::messaging::{Channel, ChannelStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::ConditionSet;
use serde_json::Value;

use crate::backing::{Backing, State};
use crate::dead_letter::DEAD_LETTER_SINK_RESOLVED;
use crate::policies::{EVENT_POLICIES_READY, Policies};

const BACKING_CHANNEL_READY: &str = "BackingChannelReady";
const ADDRESSABLE: &str = "Addressable";
const CONDITIONS: ConditionSet = ConditionSet::new(&[
    BACKING_CHANNEL_READY,
    ADDRESSABLE,
    DEAD_LETTER_SINK_RESOLVED,
    EVENT_POLICIES_READY,
]);

/// `backing` is `None` if the spec names no channel.
pub(super) fn channel_status(
    channel: &Channel,
    backing: Option<&Backing>,
    policies: &Policies,
    now: Timestamp,
) -> ChannelStatus {
    let mut status = channel.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = channel.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);

    let found = backing.and_then(Backing::found);
    copy(
        &mut status,
        found.map(|found| &found.status).unwrap_or(&Value::Null),
    );
    status.channel = backing.map(|backing| backing.reference.clone());
    status.policies = policies.references();

    let wants_sink = channel
        .spec
        .delivery
        .as_ref()
        .is_some_and(|delivery| delivery.dead_letter_sink.is_some());
    let (sink, has_address) = (status.dead_letter_sink_uri.is_some(), status.address.is_some());
    let mut conditions = CONDITIONS.manage(&mut status, now);
    policies.mark(&mut conditions);
    match (wants_sink, sink) {
        (_, true) => conditions.mark_true(DEAD_LETTER_SINK_RESOLVED),
        (true, false) => conditions.mark_false(
            DEAD_LETTER_SINK_RESOLVED,
            "Unable to get the dead letter sink's URI",
            "The backing channel did not set status.deadLetterSinkUri",
        ),
        (false, false) => conditions.mark_true_with(
            DEAD_LETTER_SINK_RESOLVED,
            "DeadLetterSinkNotConfigured",
            "No dead letter sink is configured.",
        ),
    }
    if has_address {
        conditions.mark_true(ADDRESSABLE);
    } else {
        conditions.mark_unknown(ADDRESSABLE, "EmptyHostname", "hostname is the empty string");
    }
    let ready = found.and_then(|found| found.ready());
    match (backing.map(|backing| &backing.state), ready) {
        (Some(State::Failed { reason, .. }), _) => {
            conditions.mark_false(BACKING_CHANNEL_READY, "ChannelFailure", reason);
        }
        (Some(_), Some(ready)) => conditions.copy(BACKING_CHANNEL_READY, &ready),
        _ => conditions.mark_unknown(
            BACKING_CHANNEL_READY,
            "BackingChannelNotConfigured",
            "BackingChannel has not yet been reconciled.",
        ),
    }
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

/// Takes over what the backing channel says about addresses, subscribers and its dead letter sink.
fn copy(status: &mut ChannelStatus, from: &Value) {
    fn read<T: Default + serde::de::DeserializeOwned>(from: &Value, name: &str) -> T {
        let found = from.get(name).filter(|value| !value.is_null()).cloned();
        found
            .and_then(|value| serde_json::from_value(value).ok())
            .unwrap_or_default()
    }
    status.address = read(from, "address");
    status.addresses = read(from, "addresses");
    status.subscribers = read(from, "subscribers");
    status.dead_letter_sink_uri = read(from, "deadLetterSinkUri");
    status.dead_letter_sink_ca_certs = read(from, "deadLetterSinkCACerts");
    status.dead_letter_sink_audience = read(from, "deadLetterSinkAudience");
}
