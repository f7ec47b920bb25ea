//! The status of an InMemoryChannel from what was observed.

use crds::conditions::ConditionStatus;
use crds::duck::SubscriberStatus;
use crds::messaging::{InMemoryChannel, InMemoryChannelStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::{ConditionSet, Next};

use crate::addresses::Addresses;
use crate::broker::LOOK_AGAIN;
use crate::dead_letter::{DEAD_LETTER_SINK_RESOLVED, DeadLetterSink};
use crate::policies::{EVENT_POLICIES_READY, Policies};
use crate::resolver::ResolveError;

const SERVICE_READY: &str = "ServiceReady";
const ENDPOINTS_READY: &str = "EndpointsReady";
const ADDRESSABLE: &str = "Addressable";
const CHANNEL_SERVICE_READY: &str = "ChannelServiceReady";
/// For information only.
const DISPATCHER_READY: &str = "DispatcherReady";
const CONDITIONS: ConditionSet = ConditionSet::new(&[
    SERVICE_READY,
    ENDPOINTS_READY,
    ADDRESSABLE,
    CHANNEL_SERVICE_READY,
    DEAD_LETTER_SINK_RESOLVED,
    EVENT_POLICIES_READY,
]);

/// What one look at a channel's surroundings found.
#[derive(Debug)]
pub(super) struct Observed {
    pub ingress_available: bool,
    /// Why the channel's own Service could not be made.
    pub service_problem: Option<String>,
    pub addresses: Addresses,
    pub dead_letter_sink: DeadLetterSink,
    pub policies: Policies,
}

impl Observed {
    /// When to look again although no watch fires.
    pub(super) fn next(&self) -> Next {
        let sink = self
            .dead_letter_sink
            .error()
            .is_none_or(ResolveError::heals_by_watch);
        if sink && self.service_problem.is_none() {
            Next::OnChange
        } else {
            Next::After(LOOK_AGAIN)
        }
    }
}

pub(super) fn channel_status(
    channel: &InMemoryChannel,
    observed: &Observed,
    now: Timestamp,
) -> InMemoryChannelStatus {
    let mut status = channel.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = channel.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);

    let addresses = match observed.service_problem {
        None => observed.addresses.clone(),
        Some(_) => Addresses::default(),
    };
    status.address = addresses.address;
    status.addresses = addresses.all;
    let sink = observed.dead_letter_sink.resolved();
    status.dead_letter_sink_uri = sink.map(|sink| sink.url.clone());
    status.dead_letter_sink_ca_certs = sink.and_then(|sink| sink.ca_certs.clone());
    status.dead_letter_sink_audience = sink.and_then(|sink| sink.audience.clone());
    status.policies = observed.policies.references();
    status.subscribers = subscribers(channel);

    let mut conditions = CONDITIONS.manage(&mut status, now);
    observed.dead_letter_sink.mark(&mut conditions);
    observed.policies.mark(&mut conditions);
    for (type_, reason) in [
        (DISPATCHER_READY, "DispatcherDeploymentDoesNotExist"),
        (SERVICE_READY, "DispatcherServiceDoesNotExist"),
        (ENDPOINTS_READY, "DispatcherEndpointsNotReady"),
    ] {
        if observed.ingress_available {
            conditions.mark_true(type_);
        } else {
            let message = format!(
                "There are no endpoints ready for Dispatcher service: Service {:?} is not there, or nothing serves it.",
                crds::names::BROKER_INGRESS_SERVICE
            );
            conditions.mark_false(type_, reason, &message);
        }
    }
    // Last: if the data plane is away too, Ready names what the user can mend.
    match &observed.service_problem {
        None => {
            conditions.mark_true(CHANNEL_SERVICE_READY);
            observed.addresses.mark(&mut conditions, ADDRESSABLE);
        }
        Some(problem) => {
            let message = format!("Channel Service failed: {problem}");
            conditions.mark_false(ADDRESSABLE, "EmptyHostname", "hostname is the empty string");
            conditions.mark_false(CHANNEL_SERVICE_READY, "ChannelServiceFailed", &message);
        }
    }
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

/// The data plane follows the spec: whoever is in it is served as soon as it is known where.
fn subscribers(channel: &InMemoryChannel) -> Vec<SubscriberStatus> {
    let served = channel.spec.subscribers.iter().map(|subscriber| {
        let somewhere = subscriber.subscriber_uri.is_some() || subscriber.reply_uri.is_some();
        SubscriberStatus {
            uid: subscriber.uid.clone(),
            observed_generation: subscriber.generation,
            ready: if somewhere {
                ConditionStatus::True
            } else {
                ConditionStatus::False
            },
            message: (!somewhere).then(|| "neither subscriberUri nor replyUri is set".to_owned()),
        }
    });
    served.collect()
}
