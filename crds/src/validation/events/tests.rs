use serde_json::{Value, json};

use super::*;
use crate::config::Flag;

fn errors_under(resource: Resource, spec: Value, configs: &Configs) -> String {
    let object = json!({
        "metadata": {"name": "a", "namespace": "ns", "annotations": {"eventing.knative.dev/broker.class": "C"}},
        "spec": spec,
    });
    validate(resource, &object, &Context::creating(configs)).to_string()
}

fn errors(resource: Resource, spec: Value) -> String {
    errors_under(resource, spec, &Configs::default())
}

fn changed(resource: Resource, old: Value, new: Value) -> String {
    let metadata = |class: &Value| json!({"name": "a", "namespace": "ns", "annotations": {"eventing.knative.dev/broker.class": class}});
    let object = |spec: Value| {
        let class = spec.get("class").cloned().unwrap_or(json!("C"));
        let mut spec = spec;
        spec.as_object_mut().unwrap().remove("class");
        json!({"metadata": metadata(&class), "spec": spec})
    };
    let (old, new) = (object(old), object(new));
    validate(resource, &new, &Context::updating(&Configs::default(), &old)).to_string()
}

fn assert_rows(resource: Resource, rows: Vec<(Value, &str)>) {
    for (spec, expected) in rows {
        assert_eq!(errors(resource, spec.clone()), expected, "{spec}");
    }
}

fn service() -> Value {
    json!({"ref": {"apiVersion": "v1", "kind": "Service", "name": "s", "namespace": "ns"}})
}

#[test]
fn destinations() {
    let ping = |sink: Value| json!({"schedule": "* * * * *", "sink": sink});
    let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
    let whole = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_rows(
        Resource::PingSource,
        vec![
            (ping(service()), ""),
            (ping(json!({"uri": "http://a.b/c", "CACerts": whole})), ""),
            (ping(json!({"ref": service()["ref"], "uri": "/path"})), ""),
            (
                ping(json!({})),
                "expected at least one, got none: spec.sink.ref, spec.sink.uri",
            ),
            (
                ping(json!({"ref": service()["ref"], "uri": "http://a.b"})),
                "Absolute URI is not allowed when Ref or [apiVersion, kind, name] is present: spec.sink.ref, spec.sink.uri, spec.sink[apiVersion, kind, name]",
            ),
            (
                ping(json!({"uri": "/path"})),
                "invalid value: Relative URI is not allowed when Ref and [apiVersion, kind, name] is absent: spec.sink.uri",
            ),
            (
                ping(json!({"uri": "http://a.b", "CACerts": broken})),
                "invalid value: CA Cert provided is invalid: spec.sink.caCert",
            ),
            (
                ping(json!({"ref": {}})),
                "missing field(s): spec.sink.ref.apiVersion, spec.sink.ref.kind, spec.sink.ref.name",
            ),
            (
                ping(json!({"ref": {"kind": "K", "name": "n", "group": "g"}})),
                "must not set the field(s): spec.sink.ref.group",
            ),
        ],
    );
}

#[test]
fn deliveries() {
    let broker = |delivery: Value| json!({ "delivery": delivery });
    assert_rows(
        Resource::Broker,
        vec![
            (
                broker(
                    json!({"retry": 0, "backoffPolicy": "linear", "backoffDelay": "PT0.2S", "timeout": "PT1S", "format": "json", "orderBy": "subject"}),
                ),
                "",
            ),
            (
                broker(json!({"retry": -1})),
                "invalid value: -1: spec.delivery.retry",
            ),
            (
                broker(json!({"backoffPolicy": "cubic"})),
                "invalid value: cubic: spec.delivery.backoffPolicy",
            ),
            (
                broker(json!({"backoffDelay": "10s"})),
                "invalid value: 10s: spec.delivery.backoffDelay",
            ),
            (
                broker(json!({"timeout": "PT0S"})),
                "invalid value: PT0S: spec.delivery.timeout",
            ),
            (
                broker(json!({"format": "xml"})),
                "invalid value: xml: spec.delivery.format",
            ),
            (
                broker(json!({"retryAfterMax": "PT1S"})),
                "must not set the field(s): spec.delivery.retryAfterMax",
            ),
            (
                broker(json!({"deadLetterSink": {}})),
                "expected at least one, got none: spec.delivery.deadLetterSink.ref, spec.delivery.deadLetterSink.uri",
            ),
        ],
    );
    let mut configs = Configs::default();
    configs.features.delivery_timeout = Flag::Disabled;
    configs.features.delivery_retry_after = Flag::Enabled;
    let both = broker(json!({"timeout": "PT1S", "retryAfterMax": "PT0S"}));
    assert_eq!(
        errors_under(Resource::Broker, both, &configs),
        "must not set the field(s): spec.delivery.timeout"
    );
}

#[test]
fn brokers() {
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "n", "namespace": "other"});
    assert_rows(
        Resource::Broker,
        vec![
            (json!({}), ""),
            (json!({ "config": config }), ""),
            (
                json!({"config": {}}),
                "missing field(s): spec.config.apiVersion, spec.config.kind, spec.config.name, spec.config.namespace",
            ),
        ],
    );
    let bare = json!({"metadata": {"name": "a"}, "spec": {}});
    assert_eq!(
        validate(Resource::Broker, &bare, &Context::creating(&Configs::default())).to_string(),
        "missing field(s): eventing.knative.dev/broker.class"
    );
    assert_eq!(
        changed(Resource::Broker, json!({"class": "C"}), json!({"class": "D"})),
        "Immutable annotations changed (-old +new): annotations\n{string}:\n\t-: \"C\"\n\t+: \"D\"\n"
    );
    let mut other = config.clone();
    other["name"] = json!("m");
    assert_eq!(
        changed(
            Resource::Broker,
            json!({ "config": config }),
            json!({"config": other, "delivery": {"retry": 1}})
        ),
        "Immutable fields changed (-old +new): spec\nconfig.name:\n\t-: \"n\"\n\t+: \"m\"\n"
    );
    assert_eq!(
        changed(
            Resource::Broker,
            json!({ "config": config }),
            json!({"config": config, "delivery": {"retry": 1}})
        ),
        ""
    );
    let mut configs = Configs::default();
    configs
        .brokers
        .cluster_default
        .disallow_different_namespace_config = Some(true);
    assert_eq!(
        errors_under(Resource::Broker, json!({ "config": config }), &configs),
        "invalid value: other: spec.config.namespace\nthe configuration must be in the namespace of the broker, \"ns\""
    );
}

#[test]
fn triggers() {
    assert_rows(
        Resource::Trigger,
        vec![
            (json!({"broker": "b", "subscriber": service()}), ""),
            (json!({"subscriber": service()}), "missing field(s): spec.broker"),
            (
                json!({"broker": "b", "brokerRef": {"name": "b"}, "subscriber": service()}),
                "expected exactly one, got both: spec.broker, spec.brokerRef",
            ),
            (
                json!({"brokerRef": {"apiVersion": "v", "kind": "Broker", "name": "b", "namespace": "far"}, "subscriber": service()}),
                "must not set the field(s): spec.brokerRef.namespace",
            ),
            (
                json!({"broker": "b"}),
                "expected at least one, got none: spec.subscriber.ref, spec.subscriber.uri",
            ),
        ],
    );
    assert_eq!(
        changed(
            Resource::Trigger,
            json!({"broker": "a", "subscriber": service()}),
            json!({"broker": "b", "subscriber": service()})
        ),
        "Immutable fields changed (-old +new): broker, spec\n{string}:\n\t-: \"a\"\n\t+: \"b\"\n"
    );
}

#[test]
fn annotations_of_triggers() {
    let check = |key: &str, value: &str, broker: &str| {
        let trigger = json!({
            "metadata": {"name": "t", "namespace": "ns", "annotations": {key: value}},
            "spec": {"broker": broker, "subscriber": service()},
        });
        validate(
            Resource::Trigger,
            &trigger,
            &Context::creating(&Configs::default()),
        )
        .to_string()
    };
    let dependency = "knative.dev/dependency";
    assert_eq!(
        check(dependency, r#"{"kind":"K","name":"n","apiVersion":"v1"}"#, "b"),
        ""
    );
    assert_eq!(
        check(dependency, r#"{"kind":"K","namespace":"far"}"#, "b"),
        "Namespace must be empty or equal to the trigger namespace \"ns\": metadata.annotations[knative.dev/dependency].namespace\n\
         missing field(s): metadata.annotations[knative.dev/dependency].apiVersion, metadata.annotations[knative.dev/dependency].name"
    );
    assert!(check(dependency, "x", "b").starts_with(
        "The provided annotation was not a corev1.ObjectReference: \"x\": metadata.annotations[knative.dev/dependency]\n"
    ));
    let injection = "eventing.knative.dev/injection";
    assert_eq!(check(injection, "enabled", "default"), "");
    assert_eq!(
        check(injection, "on", "default"),
        "The provided injection annotation value can only be \"enabled\" or \"disabled\", not \"on\": metadata.annotations[eventing.knative.dev/injection]"
    );
    assert_eq!(
        check(injection, "enabled", "b"),
        "The provided injection annotation is only used for default broker, but non-default broker specified here: \"b\": metadata.annotations[eventing.knative.dev/injection]"
    );
    let start = "eventing.spindrift.dev/start";
    assert_eq!(check(start, "earliest", "b"), "");
    assert_eq!(check(start, "2026-01-02T03:04:05Z", "b"), "");
    assert!(check(start, "yesterday", "b").starts_with("invalid value: yesterday: metadata.annotations["));
}

#[test]
fn channels_and_subscriptions() {
    let template = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel"});
    assert_rows(
        Resource::Channel,
        vec![
            (json!({ "channelTemplate": template }), ""),
            (
                json!({"channelTemplate": {}, "subscribers": [{"uid": "u"}]}),
                "missing field(s): spec.channelTemplate.apiVersion, spec.channelTemplate.kind\n\
                 must not set the field(s): spec.subscribable.subscribers",
            ),
        ],
    );
    assert_eq!(
        changed(
            Resource::Channel,
            json!({ "channelTemplate": template }),
            json!({"channelTemplate": template, "delivery": {"retry": 1}})
        ),
        "Immutable fields changed (-old +new): spec\ndelivery:\n\t-: <unset>\n\t+: {\"retry\":1}\n"
    );
    assert_rows(
        Resource::InMemoryChannel,
        vec![
            (
                json!({"subscribers": [{"uid": "u", "subscriberUri": "http://x"}]}),
                "",
            ),
            (
                json!({"subscribers": [{"uid": "u"}]}),
                "missing field(s): spec.subscribers[0].replyURI, spec.subscribers[0].subscriberURI\nexpected at least one of, got none",
            ),
        ],
    );
    let channel = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "c"});
    assert_rows(
        Resource::Subscription,
        vec![
            (json!({"channel": channel, "subscriber": service()}), ""),
            (
                json!({}),
                "missing field(s): spec.channel\nthe Subscription must reference a channel\n\
                 missing field(s): spec.subscriber\nthe Subscription must reference a subscriber",
            ),
            (
                json!({"channel": {"kind": "Channel", "name": "c", "apiVersion": "v", "namespace": "far"}, "subscriber": service()}),
                "must not set the field(s): spec.channel.namespace\nonly name, apiVersion and kind are supported fields when \
                 feature.CrossNamespaceEventLinks is disabled",
            ),
        ],
    );
    let mut moved = channel.clone();
    moved["name"] = json!("d");
    assert_eq!(
        changed(
            Resource::Subscription,
            json!({"channel": channel, "subscriber": service()}),
            json!({"channel": moved, "subscriber": {"uri": "http://x"}})
        ),
        "Immutable fields changed (-old +new): spec\nchannel.name:\n\t-: \"c\"\n\t+: \"d\"\n"
    );
}

#[test]
fn subscribers_are_the_controllers() {
    let configs = Configs::default();
    let channel =
        |subscribers: Value| json!({"metadata": {"name": "c"}, "spec": {"subscribers": subscribers}});
    let (old, new) = (
        channel(json!([])),
        channel(json!([{"uid": "u", "subscriberUri": "http://x"}])),
    );
    let by = |user: &str| {
        let context = Context {
            user,
            controller: "system:serviceaccount:knative-eventing:eventing-controller",
            ..Context::updating(&configs, &old)
        };
        validate(Resource::InMemoryChannel, &new, &context).to_string()
    };
    assert_eq!(
        by("system:serviceaccount:knative-eventing:eventing-controller"),
        ""
    );
    assert!(by("me").starts_with(
        "Channel.Spec.Subscribers changed by user me which was not the system:serviceaccount:knative-eventing:eventing-controller service account: spec.subscribers\n"
    ));
}

#[test]
fn flows() {
    let template = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel"});
    assert_rows(
        Resource::Sequence,
        vec![
            (json!({"channelTemplate": template, "steps": [service()]}), ""),
            (
                json!({ "channelTemplate": template }),
                "missing field(s): spec.steps",
            ),
            (
                json!({"channelTemplate": template, "steps": [service(), {}]}),
                "invalid value: {}: spec.steps[1]\nexpected at least one, got none: ref, uri",
            ),
        ],
    );
    assert_rows(
        Resource::Parallel,
        vec![
            (
                json!({"channelTemplate": template, "branches": [{"subscriber": service()}]}),
                "",
            ),
            (json!({}), "missing field(s): spec.branches, spec.channelTemplate"),
            (
                json!({"channelTemplate": template, "branches": [{"filter": {}, "subscriber": service(), "reply": {"uri": "x"}}]}),
                "invalid value: {\"uri\":\"x\"}: spec.branches.reply[0]\n\
                 invalid value: Relative URI is not allowed when Ref and [apiVersion, kind, name] is absent: uri\n\
                 invalid value: {}: spec.branches.filter[0]\nexpected at least one, got none: ref, uri",
            ),
        ],
    );
}

#[test]
fn sources_and_sinks() {
    let sink = service();
    assert_rows(
        Resource::ApiServerSource,
        vec![
            (
                json!({"sink": sink, "resources": [{"apiVersion": "v1", "kind": "Pod"}]}),
                "",
            ),
            (
                json!({"sink": sink, "mode": "All"}),
                "invalid value: All: spec.mode\nmissing field(s): spec.resources",
            ),
            (
                json!({"sink": sink, "resources": [{"apiVersion": "a/b/c"}]}),
                "invalid value: a/b/c: spec.resources[0].apiVersion\nmissing field(s): spec.resources[0].kind",
            ),
            (
                json!({"sink": sink, "resources": [{"apiVersion": "v1", "kind": "Pod"}], "filters": [{"exact": {"type": "t"}}]}),
                "Filters is not empty but the NewAPIServerFilters feature is disabled.: spec.filters",
            ),
        ],
    );
    assert_rows(
        Resource::PingSource,
        vec![
            (json!({"sink": sink, "data": "x"}), ""),
            (
                json!({"sink": sink, "data": "x", "dataBase64": "eA=="}),
                "expected exactly one, got both: spec.data, spec.dataBase64",
            ),
            (
                json!({"sink": sink, "dataBase64": "?"}),
                "invalid value: illegal base64 data: spec.dataBase64",
            ),
            (
                json!({"sink": sink, "ceOverrides": {"extensions": {"Bad-Key": "x"}}}),
                "invalid key name \"Bad-Key\": spec.ceOverrides.extensions\nkeys are expected to be alphanumeric",
            ),
        ],
    );
    assert!(
        errors(
            Resource::PingSource,
            json!({"sink": sink, "data": "{", "contentType": "application/json"})
        )
        .starts_with("invalid value: EOF while parsing")
    );
    let mut configs = Configs::default();
    configs.ping.data_max_size = 2;
    assert_eq!(
        errors_under(
            Resource::PingSource,
            json!({"sink": sink, "data": "abc"}),
            &configs
        ),
        "invalid value: the data length of 3 bytes exceeds limit set at 2.: spec.data"
    );
    assert_rows(
        Resource::ContainerSource,
        vec![
            (
                json!({"sink": sink, "template": {"spec": {}}}),
                "missing field(s): spec.containers",
            ),
            (
                json!({"sink": sink, "template": {"spec": {"containers": [{"name": "a"}]}}}),
                "missing field(s): spec.containers[0].image",
            ),
        ],
    );
    assert_rows(
        Resource::SinkBinding,
        vec![
            (
                json!({"sink": sink, "subject": {"apiVersion": "batch/v1", "kind": "Job", "namespace": "ns", "name": "j"}}),
                "",
            ),
            (
                json!({"sink": sink, "subject": {"apiVersion": "batch/v1", "kind": "Job", "namespace": "far"}}),
                "expected exactly one, got neither: spec.subject.name, spec.subject.selector\n\
                 invalid value: far: spec.subject.namespace",
            ),
        ],
    );
    assert_rows(
        Resource::JobSink,
        vec![
            (json!({}), "missing field(s): spec.job"),
            (
                json!({"job": {"spec": {"template": {"spec": {"containers": [{}]}}}}}),
                "",
            ),
        ],
    );
    assert_eq!(
        errors(Resource::EventType, json!({})),
        "missing field(s): spec.type"
    );
    let configs = Configs::default();
    let newer = |attributes: Value| {
        let object = json!({"apiVersion": "eventing.knative.dev/v1beta3", "metadata": {"name": "t"}, "spec": {"attributes": attributes}});
        validate(Resource::EventType, &object, &Context::creating(&configs)).to_string()
    };
    assert_eq!(
        newer(json!([{"name": "type", "value": "a"}, {"name": "id"}])),
        "missing field(s): spec.attributes.source, spec.attributes.specversion"
    );
    assert_eq!(
        newer(json!([{"name": "type"}, {"name": "id"}, {"name": "source"}, {"name": "specversion"}])),
        ""
    );
}

#[test]
fn policies_and_replies() {
    let mut configs = Configs::default();
    assert_eq!(
        errors_under(Resource::EventPolicy, json!({"from": [{"sub": "a"}]}), &configs),
        "oidc-authentication feature not enabled: "
    );
    configs.features.authentication_oidc = Flag::Enabled;
    for (spec, expected) in [
        (json!({"from": [{"sub": "a*"}]}), ""),
        (
            json!({"from": [{"sub": "a*b"}, {}]}),
            "expected exactly one, got neither: spec.from[1].ref, spec.from[1].sub\n\
             invalid value: a*b: spec.from[0].sub\n'*' is only allowed as suffix",
        ),
        (
            json!({"to": [{"ref": {}, "selector": {}}]}),
            "expected exactly one, got both: spec.to[0].ref, spec.to[0].selector",
        ),
    ] {
        assert_eq!(errors_under(Resource::EventPolicy, spec, &configs), expected);
    }
    let reply = |more: Value| {
        let mut spec = json!({
            "brokerRef": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "b"},
            "correlationAttribute": "correlationid", "replyAttribute": "replyid", "timeout": "PT1S",
        });
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        spec
    };
    assert_rows(
        Resource::RequestReply,
        vec![
            (reply(json!({})), ""),
            (
                reply(json!({"brokerRef": {"apiVersion": "v1", "kind": "Service", "name": "b"}})),
                "brokerRef kind must be Broker: spec.brokerRef",
            ),
            (
                reply(json!({"replyAttribute": "source"})),
                "invalid value: source: spec.replyAttribute",
            ),
            (
                reply(json!({"timeout": "PT0S"})),
                "invalid value: PT0S: spec.timeout",
            ),
        ],
    );
}
