//! What the kinds of events get where they say nothing.

use serde_json::{Map, Value, json};

use super::{is_absent, list_in, map_in, object_at, set_text};
use crate::config::events::BrokerConfig;
use crate::eventing::EventTypeSpec;
use crate::resource::events::{Context, Resource};
use crate::resource::{field, metadata, text};
use crate::{annotations, labels};

/// When a PingSource strikes that does not say: every minute.
const SCHEDULE: &str = "* * * * *";
/// API of GitHub itself.
const GIT_HUB_API: &str = "https://api.github.com/";

/// Fills in the defaults of an object.
pub fn apply(resource: Resource, object: &mut Value, context: &Context<'_>) {
    // An update of the status keeps the rest as it is stored, whatever is sent.
    if !object.is_object() || context.status_only {
        return;
    }
    let namespace = text(metadata(object), "namespace").to_owned();
    match resource {
        Resource::Broker => broker(object, &namespace, context),
        Resource::Trigger => trigger(object),
        Resource::Channel => {
            subscribable(object);
            channel_template(object, &namespace, context);
        }
        Resource::InMemoryChannel => subscribable(object),
        Resource::Sequence | Resource::Parallel => channel_template(object, &namespace, context),
        Resource::ApiServerSource => {
            set_text(object_at(object, "spec"), "mode", "Reference");
            set_text(object_at(object, "spec"), "serviceAccountName", "default");
        }
        Resource::PingSource => set_text(object_at(object, "spec"), "schedule", SCHEDULE),
        Resource::ContainerSource => container_names(object),
        Resource::SinkBinding => {
            let subject = object_at(object, "spec").and_then(|spec| map_in(spec, "subject"));
            set_text(subject, "namespace", &namespace);
        }
        Resource::GitHubSource => {
            set_text(object_at(object, "spec"), "githubAPIURL", GIT_HUB_API);
            set_text(object_at(object, "spec"), "serviceAccountName", "default");
        }
        Resource::RequestReply => {
            let timeout = &context.configs.features.request_reply_default_timeout;
            for (name, value) in [
                ("correlationAttribute", "correlationid"),
                ("replyAttribute", "replyid"),
                ("timeout", timeout),
            ] {
                set_text(object_at(object, "spec"), name, value);
            }
        }
        Resource::EventType => event_type(object),
        Resource::EventPolicy | Resource::Subscription | Resource::JobSink => {}
    }
    if !namespace.is_empty() {
        references(resource, object, &namespace);
    }
}

fn broker(object: &mut Value, namespace: &str, context: &Context<'_>) {
    let defaults = &context.configs.brokers;
    if let Some(class) = defaults.class(namespace)
        && let Some(meta) = object_at(object, "metadata")
        && let Some(marks) = map_in(meta, "annotations")
    {
        set_text(Some(marks), annotations::BROKER_CLASS, class);
    }
    let class = text(field(metadata(object), "annotations"), annotations::BROKER_CLASS).to_owned();
    let Some(spec) = object_at(object, "spec") else {
        return;
    };
    // Where a broker brings its own configuration, the kind of that is what its delivery is looked up by.
    let own = spec.get("config").map(|config| text(config, "kind").to_owned());
    let found = defaults.config(namespace, own.as_deref().unwrap_or(&class));
    if is_absent(spec, "config")
        && let Some(reference) = found
            .reference()
            .and_then(|reference| serde_json::to_value(reference).ok())
    {
        spec.insert("config".to_owned(), reference);
    }
    if is_absent(spec, "delivery")
        && let Some(delivery) = delivery(found)
    {
        spec.insert("delivery".to_owned(), delivery);
    }
}

fn delivery(config: &BrokerConfig) -> Option<Value> {
    serde_json::to_value(config.delivery.as_ref()?).ok()
}

fn trigger(object: &mut Value) {
    let broker = text(field(object, "spec"), "broker").to_owned();
    if let Some(spec) = object_at(object, "spec")
        && is_absent(spec, "filter")
    {
        spec.insert("filter".to_owned(), json!({}));
    }
    if !broker.is_empty()
        && let Some(meta) = object_at(object, "metadata")
        && let Some(marks) = map_in(meta, "labels")
    {
        marks.insert(labels::BROKER.to_owned(), json!(broker));
    }
}

/// Says in both forms what one of them says: that of the version which is written, if it says anything.
fn event_type(object: &mut Value) {
    let by_attributes = text(object, "apiVersion").ends_with("/v1beta3");
    let Some(spec) = object_at(object, "spec") else {
        return;
    };
    // Of the wrong type: the check of types says it better.
    let Ok(read) = serde_json::from_value::<EventTypeSpec>(Value::Object(spec.clone())) else {
        return;
    };
    let complete = if by_attributes && !read.attributes.is_empty() {
        read.with_fields()
    } else if read.type_.is_empty() {
        return;
    } else {
        read.with_attributes()
    };
    let Ok(Value::Object(complete)) = serde_json::to_value(&complete) else {
        return;
    };
    for name in ["type", "source", "schemaData", "attributes"] {
        match complete.get(name) {
            Some(value) if value != "" => spec.insert(name.to_owned(), value.clone()),
            _ => spec.remove(name),
        };
    }
}

fn subscribable(object: &mut Value) {
    let marks = object_at(object, "metadata").and_then(|meta| map_in(meta, "annotations"));
    set_text(marks, annotations::SUBSCRIBABLE, annotations::SUBSCRIBABLE_V1);
}

fn channel_template(object: &mut Value, namespace: &str, context: &Context<'_>) {
    let template = context.configs.channels.template(namespace);
    if let Some(spec) = object_at(object, "spec")
        && is_absent(spec, "channelTemplate")
        && let Ok(template) = serde_json::to_value(template)
    {
        spec.insert("channelTemplate".to_owned(), template);
    }
}

fn container_names(object: &mut Value) {
    let source = text(metadata(object), "name").to_owned();
    let spec = object_at(object, "spec")
        .and_then(|spec| map_in(spec, "template"))
        .and_then(|template| map_in(template, "spec"));
    let Some(spec) = spec else { return };
    for (index, container) in list_in(spec, "containers").iter_mut().enumerate() {
        set_text(container.as_object_mut(), "name", &format!("{source}-{index}"));
    }
}

/// Fills in the namespace of references that name none: that of the object.
fn references(resource: Resource, object: &mut Value, namespace: &str) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    for name in ["subscriber", "reply", "sink"] {
        destination(spec.get_mut(name), namespace);
    }
    delivery_sink(spec, namespace);
    for list in ["steps", "branches"] {
        for entry in list_in(spec, list) {
            for name in ["filter", "subscriber", "reply"] {
                destination(entry.get_mut(name), namespace);
            }
            if let Some(entry) = entry.as_object_mut() {
                delivery_sink(entry, namespace);
            }
            destination(Some(entry), namespace);
        }
    }
    match resource {
        Resource::Broker => reference(spec.get_mut("config"), namespace),
        Resource::EventType => reference(spec.get_mut("reference"), namespace),
        Resource::EventPolicy => {
            for from in list_in(spec, "from") {
                reference(from.get_mut("ref"), namespace);
            }
        }
        _ => {}
    }
}

fn delivery_sink(holder: &mut Map<String, Value>, namespace: &str) {
    let sink = holder
        .get_mut("delivery")
        .and_then(|delivery| delivery.get_mut("deadLetterSink"));
    destination(sink, namespace);
}

fn destination(destination: Option<&mut Value>, namespace: &str) {
    reference(destination.and_then(|found| found.get_mut("ref")), namespace);
}

fn reference(reference: Option<&mut Value>, namespace: &str) {
    set_text(reference.and_then(Value::as_object_mut), "namespace", namespace);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::events::Configs;

    fn defaulted(resource: Resource, mut object: Value) -> Value {
        let configs = Configs::default();
        let context = Context::creating(&configs);
        apply(resource, &mut object, &context);
        let once = object.clone();
        apply(resource, &mut object, &context);
        assert_eq!(object, once, "a second time changes nothing");
        object
    }

    fn named(spec: Value) -> Value {
        json!({"metadata": {"name": "a", "namespace": "ns"}, "spec": spec})
    }

    #[test]
    fn a_bare_broker_gets_class_configuration_and_delivery() {
        let broker = defaulted(
            Resource::Broker,
            json!({"metadata": {"name": "b", "namespace": "ns"}}),
        );
        assert_eq!(
            broker["metadata"]["annotations"],
            json!({"eventing.knative.dev/broker.class": "MTChannelBasedBroker"})
        );
        assert_eq!(
            broker["spec"],
            json!({
                "config": {"apiVersion": "v1", "kind": "ConfigMap", "name": "config-br-default-channel", "namespace": "knative-eventing"},
                "delivery": {"retry": 10, "backoffPolicy": "exponential", "backoffDelay": "PT0.2S"},
            })
        );
    }

    #[test]
    fn a_broker_keeps_what_it_says() {
        let sink = json!({"ref": {"kind": "Service", "name": "s", "apiVersion": "v1"}});
        let spec = json!({"config": {"kind": "ConfigMap", "name": "own", "apiVersion": "v1"}, "delivery": {"deadLetterSink": sink}});
        let broker = defaulted(Resource::Broker, named(spec));
        assert_eq!(broker["spec"]["config"]["namespace"], "ns");
        assert_eq!(
            broker["spec"]["delivery"]["deadLetterSink"]["ref"]["namespace"],
            "ns"
        );
        assert!(broker["spec"]["delivery"].get("retry").is_none());
    }

    #[test]
    fn a_trigger_gets_a_filter_a_label_and_the_namespace_of_its_subscriber() {
        let spec = json!({"broker": "b", "subscriber": {"ref": {"kind": "Service", "name": "s", "apiVersion": "v1"}}});
        let trigger = defaulted(Resource::Trigger, named(spec));
        assert_eq!(trigger["spec"]["filter"], json!({}));
        assert_eq!(
            trigger["metadata"]["labels"],
            json!({"eventing.knative.dev/broker": "b"})
        );
        assert_eq!(trigger["spec"]["subscriber"]["ref"]["namespace"], "ns");
        let by_uri = defaulted(
            Resource::Trigger,
            named(json!({"brokerRef": {"name": "b"}, "subscriber": {"uri": "http://x"}})),
        );
        assert!(by_uri["metadata"].get("labels").is_none());
        assert_eq!(by_uri["spec"]["subscriber"], json!({"uri": "http://x"}));
    }

    #[test]
    fn channels_and_flows_get_the_configured_channel() {
        let template = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel"});
        let channel = defaulted(Resource::Channel, named(json!({})));
        assert_eq!(channel["spec"]["channelTemplate"], template);
        assert_eq!(
            channel["metadata"]["annotations"]["messaging.knative.dev/subscribable"],
            "v1"
        );
        let steps = json!([{"ref": {"kind": "K", "name": "n"}, "delivery": {"deadLetterSink": {"ref": {"name": "d"}}}}]);
        let sequence = defaulted(
            Resource::Sequence,
            named(json!({"steps": steps, "reply": {"ref": {"name": "r"}}})),
        );
        assert_eq!(sequence["spec"]["channelTemplate"], template);
        assert_eq!(sequence["spec"]["steps"][0]["ref"]["namespace"], "ns");
        assert_eq!(
            sequence["spec"]["steps"][0]["delivery"]["deadLetterSink"]["ref"]["namespace"],
            "ns"
        );
        assert_eq!(sequence["spec"]["reply"]["ref"]["namespace"], "ns");
        let branches = json!([{"filter": {"ref": {"name": "f"}}, "subscriber": {"ref": {"name": "s"}}}]);
        let parallel = defaulted(Resource::Parallel, named(json!({"branches": branches})));
        assert_eq!(
            parallel["spec"]["branches"][0]["filter"]["ref"]["namespace"],
            "ns"
        );
        assert_eq!(
            parallel["spec"]["branches"][0]["subscriber"]["ref"]["namespace"],
            "ns"
        );
    }

    #[test]
    fn sources_get_what_they_need() {
        let api = defaulted(
            Resource::ApiServerSource,
            named(json!({"sink": {"ref": {"name": "s"}}})),
        );
        assert_eq!(
            api["spec"],
            json!({"mode": "Reference", "serviceAccountName": "default", "sink": {"ref": {"name": "s", "namespace": "ns"}}})
        );
        assert_eq!(
            defaulted(Resource::PingSource, named(json!({})))["spec"]["schedule"],
            "* * * * *"
        );
        let containers = json!([{"image": "a"}, {"image": "b", "name": "own"}]);
        let source = defaulted(
            Resource::ContainerSource,
            named(json!({"template": {"spec": {"containers": containers}}})),
        );
        let names = &source["spec"]["template"]["spec"]["containers"];
        assert_eq!(
            (&names[0]["name"], &names[1]["name"]),
            (&json!("a-0"), &json!("own"))
        );
        let binding = defaulted(Resource::SinkBinding, named(json!({"subject": {"kind": "Job"}})));
        assert_eq!(binding["spec"]["subject"]["namespace"], "ns");
        let reply = defaulted(Resource::RequestReply, named(json!({})));
        assert_eq!(
            reply["spec"],
            json!({"correlationAttribute": "correlationid", "replyAttribute": "replyid", "timeout": "PT30S"})
        );
    }

    #[test]
    fn event_types_say_it_in_both_forms() {
        let written = |version: &str, spec: Value| {
            let object = json!({"apiVersion": format!("eventing.knative.dev/{version}"), "metadata": {"name": "t"}, "spec": spec});
            defaulted(Resource::EventType, object)["spec"].clone()
        };
        let attributes = |event_type: &str| {
            json!([
                {"name": "type", "required": true, "value": event_type}, {"name": "source", "required": true, "value": "/s"},
                {"name": "specversion", "required": true}, {"name": "id", "required": true},
            ])
        };
        let old = json!({"type": "a", "source": "/s", "unknown": 1});
        let both = written("v1beta2", old);
        assert_eq!(
            both,
            json!({"type": "a", "source": "/s", "unknown": 1, "attributes": attributes("a")})
        );
        let new = written(
            "v1beta3",
            json!({"attributes": attributes("b"), "type": "a", "source": "/old"}),
        );
        assert_eq!(
            new,
            json!({"type": "b", "source": "/s", "attributes": attributes("b")})
        );
        let changed = written(
            "v1beta1",
            json!({"attributes": attributes("b"), "type": "c", "source": "/s"}),
        );
        assert_eq!(changed["attributes"], attributes("c"));
        for nothing in [json!({}), json!({"attributes": "x"}), json!({"type": 7})] {
            assert_eq!(written("v1beta2", nothing.clone()), nothing);
        }
    }

    #[test]
    fn updates_of_the_status_change_nothing() {
        let configs = Configs::default();
        let context = Context {
            status_only: true,
            ..Context::creating(&configs)
        };
        let mut object = named(json!({}));
        apply(Resource::Broker, &mut object, &context);
        assert_eq!(object, named(json!({})));
    }

    /// Objects with the fields that defaulting looks at, holding anything.
    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            "[a-z]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let key = prop::sample::select(vec![
                "metadata",
                "spec",
                "annotations",
                "labels",
                "namespace",
                "config",
                "delivery",
                "deadLetterSink",
                "ref",
                "subscriber",
                "steps",
                "branches",
                "from",
                "template",
                "containers",
                "channelTemplate",
                "subject",
                "broker",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn defaulting_is_idempotent_whatever_it_is_given(object in any_value()) {
            for resource in Resource::ALL {
                defaulted(*resource, object.clone());
            }
        }
    }
}
