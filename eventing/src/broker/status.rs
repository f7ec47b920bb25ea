//! The status of a Broker from what was observed.

use std::collections::BTreeMap;

use crds::annotations;
use crds::duck::ChannelTemplate;
use crds::eventing::{Broker, BrokerStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::{ConditionSet, Next};

use super::LOOK_AGAIN;
use super::channel::ChannelError;
use crate::addresses::Addresses;
use crate::dead_letter::{DEAD_LETTER_SINK_RESOLVED, DeadLetterSink};
use crate::policies::{EVENT_POLICIES_READY, Policies};
use crate::resolver::ResolveError;

const INGRESS_READY: &str = "IngressReady";
const TRIGGER_CHANNEL_READY: &str = "TriggerChannelReady";
const FILTER_READY: &str = "FilterReady";
const ADDRESSABLE: &str = "Addressable";
const CONDITIONS: ConditionSet = ConditionSet::new(&[
    INGRESS_READY,
    TRIGGER_CHANNEL_READY,
    FILTER_READY,
    ADDRESSABLE,
    DEAD_LETTER_SINK_RESOLVED,
    EVENT_POLICIES_READY,
]);

/// What one look at a broker's surroundings found.
#[derive(Debug)]
pub(super) struct Observed {
    pub channel: Result<ChannelTemplate, ChannelError>,
    pub ingress_available: bool,
    pub addresses: Addresses,
    pub dead_letter_sink: DeadLetterSink,
    pub policies: Policies,
}

impl Observed {
    /// When to look again although no watch fires.
    pub(super) fn next(&self) -> Next {
        let channel = self
            .channel
            .as_ref()
            .err()
            .is_none_or(ChannelError::heals_by_watch);
        let sink = self
            .dead_letter_sink
            .error()
            .is_none_or(ResolveError::heals_by_watch);
        if channel && sink {
            Next::OnChange
        } else {
            Next::After(LOOK_AGAIN)
        }
    }
}

pub(super) fn broker_status(broker: &Broker, observed: &Observed, now: Timestamp) -> BrokerStatus {
    let mut status = broker.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = broker.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);

    status.address = observed.addresses.address.clone();
    status.addresses = observed.addresses.all.clone();
    let sink = observed.dead_letter_sink.resolved();
    status.dead_letter_sink_uri = sink.map(|sink| sink.url.clone());
    status.dead_letter_sink_ca_certs = sink.and_then(|sink| sink.ca_certs.clone());
    status.dead_letter_sink_audience = sink.and_then(|sink| sink.audience.clone());
    status.policies = observed.policies.references();
    status.annotations = observed.channel.as_ref().ok().map(describe);

    let mut conditions = CONDITIONS.manage(&mut status, now);
    observed.addresses.mark(&mut conditions, ADDRESSABLE);
    observed.dead_letter_sink.mark(&mut conditions);
    observed.policies.mark(&mut conditions);
    for (type_, part) in [(FILTER_READY, "filter"), (INGRESS_READY, "ingress")] {
        if observed.ingress_available {
            conditions.mark_true(type_);
        } else {
            let message = format!(
                "The {part} of brokers has no ready endpoint: Service {:?} is not there, or nothing serves it.",
                crds::names::BROKER_INGRESS_SERVICE
            );
            conditions.mark_false(type_, "EndpointSlicesUnavailable", &message);
        }
    }
    // Last: if the data plane is away too, Ready names what the user can mend.
    match &observed.channel {
        Ok(_) => conditions.mark_true(TRIGGER_CHANNEL_READY),
        Err(error @ (ChannelError::NotServed { .. } | ChannelError::NoJetStream)) => {
            conditions.mark_false(TRIGGER_CHANNEL_READY, "ChannelFailure", &error.to_string());
        }
        Err(error) => {
            let message = format!("Error on setting up the ChannelTemplate: {error}");
            conditions.mark_false(TRIGGER_CHANNEL_READY, "ChannelTemplateFailed", &message);
        }
    }
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

/// Tells which sort of channel the events are kept in. There is no object of that kind, so it has no name and no
/// address.
fn describe(channel: &ChannelTemplate) -> BTreeMap<String, String> {
    BTreeMap::from([
        (
            annotations::CHANNEL_API_VERSION.to_owned(),
            channel.api_version.clone(),
        ),
        (annotations::CHANNEL_KIND.to_owned(), channel.kind.clone()),
    ])
}
