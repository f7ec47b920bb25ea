//! The broker that a trigger may ask for.

use crds::eventing::{Broker, Trigger};
use crds::{annotations, names};
use kube::api::{Api, PostParams};
use kube::core::ObjectMeta;
use reconciler::Error;
use reconciler::error::is_conflict;

use crate::shared::{Shared, annotation, namespace_of};

/// Makes the broker `default` if `trigger` asks for it; who is there first wins.
pub(super) async fn inject(shared: &Shared, trigger: &Trigger) -> Result<(), Error> {
    if !asks(trigger) {
        return Ok(());
    }
    let namespace = namespace_of(&trigger.metadata);
    let broker = Broker {
        metadata: ObjectMeta {
            name: Some(names::DEFAULT_BROKER.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        ..Broker::default()
    };
    let brokers: Api<Broker> = Api::namespaced(shared.client.clone(), namespace);
    match brokers.create(&PostParams::default(), &broker).await {
        Ok(created) => {
            shared.brokers.record(created);
            let message = "Default eventing broker created.";
            shared.events.normal(trigger, "DefaultBrokerCreated", message);
            Ok(())
        }
        Err(error) if is_conflict(&error) => Ok(()),
        Err(error) => Err(Error::api(format!("create Broker {namespace}/default"), error)),
    }
}

fn asks(trigger: &Trigger) -> bool {
    let enabled = annotation(&trigger.metadata, annotations::BROKER_INJECTION)
        == Some(annotations::BROKER_INJECTION_ENABLED);
    enabled && trigger.spec.broker_ref.is_none() && trigger.spec.broker == names::DEFAULT_BROKER
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(annotation: &str, spec: Value) -> bool {
        let metadata = json!({"name": "t", "annotations": {"eventing.knative.dev/injection": annotation}});
        asks(&serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap())
    }

    #[test]
    fn only_the_default_broker_is_made_and_only_when_asked_for() {
        assert!(asked("enabled", json!({"broker": "default"})));
        assert!(!asked("disabled", json!({"broker": "default"})));
        assert!(!asked("enabled", json!({"broker": "other"})));
        assert!(!asked(
            "enabled",
            json!({"brokerRef": {"kind": "Broker", "name": "default"}})
        ));
    }
}
