//! The broker that a trigger may ask for.

use crds::config::events::Sugar;
use crds::eventing::Trigger;
use crds::{annotations, names};
use reconciler::Error;

use crate::selector;
use crate::shared::{Shared, annotation, namespace_of};
use crate::sugar::make_default_broker;

/// Makes the broker `default` if `trigger` asks for it.
pub(super) async fn inject(shared: &Shared, trigger: &Trigger) -> Result<(), Error> {
    let sugar = shared.config.get::<Sugar>();
    if asks(trigger, &sugar) && make_default_broker(shared, namespace_of(&trigger.metadata)).await? {
        let message = "Default eventing broker created.";
        shared.events.normal(trigger, "DefaultBrokerCreated", message);
    }
    Ok(())
}

/// By its annotation, which may also forbid it, or by labels that the install selects.
fn asks(trigger: &Trigger, sugar: &Sugar) -> bool {
    let meta = &trigger.metadata;
    let enabled = match annotation(meta, annotations::BROKER_INJECTION) {
        Some(given) => given == annotations::BROKER_INJECTION_ENABLED,
        None => sugar
            .trigger_selector
            .as_ref()
            .is_some_and(|wanted| selector::matches(wanted, meta.labels.as_ref())),
    };
    enabled && trigger.spec.broker_ref.is_none() && trigger.spec.broker == names::DEFAULT_BROKER
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(annotation: Option<&str>, spec: Value, sugar: &Sugar) -> bool {
        let mut metadata = json!({"name": "t", "labels": {"a": "1"}});
        if let Some(annotation) = annotation {
            metadata["annotations"] = json!({"eventing.knative.dev/injection": annotation});
        }
        asks(
            &serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap(),
            sugar,
        )
    }

    #[test]
    fn only_the_default_broker_is_made_and_only_when_asked_for() {
        let (none, all) = (
            Sugar::default(),
            Sugar {
                trigger_selector: Some(Default::default()),
                ..Sugar::default()
            },
        );
        let default = || json!({"broker": "default"});
        assert!(asked(Some("enabled"), default(), &none));
        assert!(!asked(Some("disabled"), default(), &all));
        assert!(!asked(None, default(), &none));
        assert!(asked(None, default(), &all));
        assert!(!asked(Some("enabled"), json!({"broker": "other"}), &all));
        let by_reference = json!({"brokerRef": {"kind": "Broker", "name": "default"}});
        assert!(!asked(Some("enabled"), by_reference, &all));
    }
}
