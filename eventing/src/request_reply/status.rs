//! The status of a RequestReply from what was observed.

use std::sync::Arc;

use crds::conditions::{Condition, ConditionedStatus, READY};
use crds::eventing::{Broker, RequestReply, RequestReplyStatus, Trigger};
use k8s_openapi::jiff::Timestamp;
use reconciler::ConditionSet;

use crate::addresses::Addresses;
use crate::identity::Identity;
use crate::policies::{EVENT_POLICIES_READY, Policies};
use crate::shared::namespace_of;

const TRIGGERS_READY: &str = "TriggersReady";
const ADDRESSABLE: &str = "Addressable";
const BROKER_READY: &str = "BrokerReady";
const CONDITIONS: ConditionSet =
    ConditionSet::new(&[TRIGGERS_READY, ADDRESSABLE, EVENT_POLICIES_READY, BROKER_READY]);

/// What one look at a RequestReply's surroundings found.
#[derive(Debug)]
pub(super) struct Observed {
    pub broker: Option<Arc<Broker>>,
    /// Or why it could not be made.
    pub trigger: Result<Arc<Trigger>, String>,
    /// Is the data plane there?
    pub served: bool,
    pub addresses: Addresses,
    pub identity: Identity,
    pub policies: Policies,
}

pub(super) fn request_reply_status(
    object: &RequestReply,
    observed: &Observed,
    now: Timestamp,
) -> RequestReplyStatus {
    let mut status = object.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = object.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    status.address = observed.addresses.address.clone();
    status.addresses = observed.addresses.all.clone();
    status.policies = observed.policies.references();
    status.auth = observed.identity.status();
    // Requests wait in one process.
    status.desired_replicas = Some(1);
    status.ready_replicas = Some(i32::from(observed.served));

    let mut conditions = CONDITIONS.manage(&mut status, now);
    observed.policies.mark(&mut conditions);
    if observed.served {
        observed.addresses.mark(&mut conditions, ADDRESSABLE);
    } else {
        let message = format!(
            "RequestReplies have no ready endpoint: Service {:?} is not there, or nothing serves it.",
            crds::names::REQUEST_REPLY_SERVICE
        );
        conditions.mark_false(ADDRESSABLE, "EndpointSlicesUnavailable", &message);
    }
    match &observed.trigger {
        Err(why) => conditions.mark_false(TRIGGERS_READY, "TriggerReconcileError", why),
        Ok(trigger) => match ready(trigger.status.as_ref(), trigger.metadata.generation) {
            Some(ready) if ready.is_true() => conditions.mark_true(TRIGGERS_READY),
            ready => {
                let message = ready.and_then(|ready| ready.message.as_deref());
                let message = message.unwrap_or("The trigger has not yet been reconciled.");
                conditions.mark_false(TRIGGERS_READY, "TriggersNotReady", message);
            }
        },
    }
    match &observed.broker {
        None => {
            let (namespace, name) = object.spec.broker_of(namespace_of(&object.metadata));
            let message = format!("Broker {namespace}/{name} does not exist");
            conditions.mark_false(BROKER_READY, "BrokerDoesNotExist", &message);
        }
        Some(broker) => match ready(broker.status.as_ref(), broker.metadata.generation) {
            Some(ready) => conditions.copy(BROKER_READY, ready),
            None => conditions.mark_unknown(
                BROKER_READY,
                "BrokerNotConfigured",
                "Broker has not yet been reconciled.",
            ),
        },
    }
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

/// `Ready` of the present generation.
fn ready<S: ConditionedStatus>(status: Option<&S>, generation: Option<i64>) -> Option<&Condition> {
    let status = status?;
    let current = status.observed_generation() == generation.unwrap_or_default();
    status.condition(READY).filter(|_| current)
}

#[cfg(test)]
mod tests {
    use crds::config::events::TransportEncryption;
    use serde_json::{Value, json};

    use super::*;
    use crate::addresses::{Certificate, Secure};

    fn ready(status: &str) -> Value {
        let reason = (status == "False").then_some("No");
        let condition = json!({"type": "Ready", "status": status, "reason": reason, "message": reason});
        json!({"metadata": {"generation": 1}, "spec": {}, "status": {"observedGeneration": 1, "conditions": [condition]}})
    }

    fn observed(broker: Option<&str>, trigger: Result<&str, &str>, served: bool) -> Observed {
        Observed {
            broker: broker.map(|status| Arc::new(serde_json::from_value(ready(status)).unwrap())),
            trigger: trigger
                .map(|status| Arc::new(serde_json::from_value(ready(status)).unwrap()))
                .map_err(str::to_owned),
            served,
            addresses: Addresses::new(
                TransportEncryption::Disabled,
                "http://here/ns/rr".to_owned(),
                Secure {
                    url: "https://here/ns/rr".to_owned(),
                    service: "here",
                    has_port: true,
                    certificate: Certificate::Missing("secret"),
                },
                None,
            ),
            identity: Identity::Disabled,
            policies: Policies::Disabled,
        }
    }

    #[test]
    fn it_is_ready_when_broker_trigger_and_data_plane_are() {
        let object: RequestReply = serde_json::from_value(json!({
            "metadata": {"name": "rr", "namespace": "ns", "generation": 1}, "spec": {"brokerRef": {"kind": "Broker", "name": "b"}},
        }))
        .unwrap();
        for (broker, trigger, served, failing) in [
            (Some("True"), Ok("True"), true, None),
            (
                None,
                Ok("False"),
                true,
                Some((BROKER_READY, "BrokerDoesNotExist")),
            ),
            (Some("False"), Ok("True"), true, Some((BROKER_READY, "No"))),
            (
                Some("True"),
                Ok("False"),
                true,
                Some((TRIGGERS_READY, "TriggersNotReady")),
            ),
            (
                Some("True"),
                Err("x"),
                true,
                Some((TRIGGERS_READY, "TriggerReconcileError")),
            ),
            (
                Some("True"),
                Ok("True"),
                false,
                Some((ADDRESSABLE, "EndpointSlicesUnavailable")),
            ),
        ] {
            let observed = observed(broker, trigger, served);
            let status = request_reply_status(&object, &observed, Timestamp::UNIX_EPOCH);
            let is_ready = status.condition(READY).unwrap().is_true();
            assert_eq!(is_ready, failing.is_none(), "{observed:?}");
            assert_eq!(status.ready_replicas, Some(i32::from(served)));
            assert_eq!(
                status.address.as_ref().unwrap().url.as_deref(),
                Some("http://here/ns/rr")
            );
            if let Some((type_, reason)) = failing {
                let found = status.condition(type_).unwrap();
                assert_eq!(found.reason.as_deref(), Some(reason), "{type_}");
            }
        }
    }
}
