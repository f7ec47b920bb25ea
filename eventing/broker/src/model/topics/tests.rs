use std::time::Duration;

use event::Event;
use serde_json::{Value, json};

use super::*;
use crate::delivery::{Backoff, BackoffPolicy, Policy};

const CREATED: &str = "2026-01-31T10:00:00Z";

fn object<K: serde::de::DeserializeOwned>(kind: &str, name: &str, rest: Value) -> Arc<K> {
    let mut object = json!({
        "apiVersion": "x/v1", "kind": kind,
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "creationTimestamp": CREATED},
        "spec": {},
    });
    merge(&mut object, rest);
    Arc::new(serde_json::from_value(object).unwrap())
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn broker(rest: Value) -> Arc<Broker> {
    let mut all = json!({"metadata": {"annotations": {CLASS: "MTChannelBasedBroker"}}});
    merge(&mut all, rest);
    object("Broker", "default", all)
}

fn trigger(name: &str, rest: Value) -> Arc<Trigger> {
    let mut all =
        json!({"spec": {"broker": "default"}, "status": {"subscriberUri": "http://display.ns.svc/"}});
    merge(&mut all, rest);
    object("Trigger", name, all)
}

fn model(brokers: &[Arc<Broker>], triggers: &[Arc<Trigger>]) -> Model {
    let observed = Observed {
        brokers: brokers.to_vec(),
        triggers: triggers.to_vec(),
        ..Observed::default()
    };
    topics(&observed, &mut Filters::default())
}

/// The only consumer of broker `default`.
fn consumer(of_broker: Value, of_trigger: Value) -> Arc<Consumer> {
    let model = model(&[broker(of_broker)], &[trigger("t", of_trigger)]);
    let consumers = &model.broker("ns", "default").unwrap().consumers;
    assert_eq!(consumers.len(), 1);
    consumers[0].clone()
}

fn at(url: &str) -> Option<Target> {
    Some(Target {
        url: url.to_owned(),
        ca_certs: None,
        audience: None,
    })
}

#[test]
fn brokers_of_our_classes_are_topics() {
    for (class, backend) in [
        (json!("MTChannelBasedBroker"), Some(Backend::Embedded)),
        (json!("NatsJetStreamBroker"), Some(Backend::JetStream)),
        (json!("Kafka"), None),
    ] {
        let found = model(
            &[broker(json!({"metadata": {"annotations": {CLASS: class}}}))],
            &[],
        );
        let topic = found.broker("ns", "default");
        assert_eq!(topic.map(|topic| topic.backend), backend);
        assert!(topic.is_none_or(|topic| topic.key.as_str() == "uid-default"));
        assert!(found.channel("ns", "default").is_none() && found.broker("ns", "other").is_none());
    }
    let deleted = broker(json!({"metadata": {"deletionTimestamp": CREATED}}));
    assert_eq!(model(&[deleted], &[]).topics().count(), 0);
}

#[test]
fn triggers_are_consumers_of_their_broker() {
    let found = model(
        &[broker(json!({}))],
        &[
            trigger("b", json!({})),
            trigger("a", json!({})),
            trigger("elsewhere", json!({"spec": {"broker": "other"}})),
            trigger("gone", json!({"metadata": {"deletionTimestamp": CREATED}})),
            trigger("far", json!({"metadata": {"namespace": "ns2"}})),
            trigger(
                "near",
                json!({
                    "metadata": {"namespace": "ns2"},
                    "spec": {"broker": "", "brokerRef": {"kind": "Broker", "name": "default", "namespace": "ns"}},
                }),
            ),
        ],
    );
    let consumers = &found.broker("ns", "default").unwrap().consumers;
    let names: Vec<&str> = consumers.iter().map(|consumer| consumer.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "ns2_near"]);
    let near = &consumers[2];
    assert_eq!((near.namespace.as_str(), near.object.as_str()), ("ns2", "near"));
    assert_eq!((near.kind, &near.reply), (ConsumerKind::Trigger, &Reply::Topic));
}

#[test]
fn a_trigger_without_resolved_subscriber_is_a_consumer_without_one() {
    for (status, expected) in [
        (json!({"subscriberUri": "http://a/"}), at("http://a/")),
        (json!({"subscriberUri": ""}), None),
        (json!({"subscriberUri": null, "observedGeneration": 1}), None),
    ] {
        assert_eq!(
            consumer(json!({}), json!({"status": status})).subscriber,
            expected
        );
    }
    let all = json!({"status": {"subscriberCACerts": "pem", "subscriberAudience": "me"}});
    let target = consumer(json!({}), all).subscriber.clone().unwrap();
    assert_eq!(
        (target.ca_certs.as_deref(), target.audience.as_deref()),
        (Some("pem"), Some("me"))
    );
}

#[test]
fn triggers_that_nobody_looked_at_yet_are_no_consumers() {
    let found = model(&[broker(json!({}))], &[trigger("t", json!({"status": null}))]);
    assert!(found.broker("ns", "default").unwrap().consumers.is_empty());
}

#[test]
fn delivery_of_a_trigger_replaces_all_but_the_dead_letter_sink() {
    let broker = json!({
        "spec": {"delivery": {"retry": 10, "backoffPolicy": "exponential", "backoffDelay": "PT0.2S", "format": "json"}},
        "status": {"deadLetterSinkUri": "http://broker-dls/"},
    });
    let inherited = Policy {
        retries: 10,
        backoff: Some(Backoff {
            policy: BackoffPolicy::Exponential,
            delay: Duration::from_millis(200),
        }),
        ..Policy::default()
    };
    let sink = json!({"uri": "http://own/"});
    for (delivery, status, policy, dead_letter_sink) in [
        (
            Value::Null,
            Value::Null,
            inherited.clone(),
            at("http://broker-dls/"),
        ),
        (
            json!({}),
            Value::Null,
            Policy::default(),
            at("http://broker-dls/"),
        ),
        (
            json!({"retry": 2}),
            Value::Null,
            Policy {
                retries: 2,
                ..Policy::default()
            },
            at("http://broker-dls/"),
        ),
        (
            json!({"deadLetterSink": sink}),
            Value::Null,
            Policy::default(),
            None,
        ),
        (
            json!({"deadLetterSink": sink}),
            json!("http://own/"),
            Policy::default(),
            at("http://own/"),
        ),
    ] {
        let trigger = json!({"spec": {"delivery": delivery}, "status": {"deadLetterSinkUri": status}});
        let consumer = consumer(broker.clone(), trigger);
        assert_eq!(consumer.policy, policy, "{delivery}");
        assert_eq!(consumer.dead_letter_sink, dead_letter_sink, "{delivery}");
        assert_eq!(consumer.policy.format, None, "format is for triggers only");
    }
    let structured = consumer(
        broker,
        json!({"spec": {"delivery": {"format": "json", "orderBy": "subject"}}}),
    );
    assert_eq!(structured.policy.format, Some(event::Mode::Structured));
    assert_eq!(structured.order_by.as_deref(), Some("subject"));
}

#[test]
fn consumers_start_where_their_trigger_began() {
    let created = Start::At(CREATED.parse().unwrap());
    let later = "2026-02-01T00:00:00Z";
    for (annotation, expected) in [
        (Value::Null, created),
        (json!("earliest"), Start::Earliest),
        (json!("latest"), Start::Latest),
        (json!(later), Start::At(later.parse().unwrap())),
        (json!("yesterday"), created),
    ] {
        let annotations = match &annotation {
            Value::Null => json!({}),
            start => json!({START: start}),
        };
        let consumer = consumer(json!({}), json!({"metadata": {"annotations": annotations}}));
        assert_eq!(consumer.start, expected, "{annotation}");
    }
}

#[test]
fn filters_are_compiled_once_for_each_generation() {
    let with = |generation: i64, spec: Value| {
        trigger("t", json!({"metadata": {"generation": generation}, "spec": spec}))
    };
    let event = Event::new("1", "/me", "x");
    let mut filters = Filters::default();
    let mut next = |trigger: Arc<Trigger>| {
        let observed = Observed {
            brokers: vec![broker(json!({}))],
            triggers: vec![trigger],
            ..Observed::default()
        };
        let model = topics(&observed, &mut filters);
        model.broker("ns", "default").unwrap().consumers[0].filter.clone()
    };
    let first = next(with(1, json!({"filter": {"attributes": {"type": "x"}}})));
    let same = next(with(1, json!({"filter": {"attributes": {"type": "x"}}})));
    assert!(first.matches(&event) && Arc::ptr_eq(&first, &same));
    let edited = next(with(2, json!({"filter": {"attributes": {"type": "y"}}})));
    assert!(!edited.matches(&event));
    let broken = next(with(3, json!({"filters": [{"cesql": "((("}]})));
    assert!(!broken.matches(&event));
    let none = next(with(4, json!({})));
    assert!(none.matches(&event));
}

#[test]
fn subscribers_are_consumers_of_their_channel() {
    let channel = object::<InMemoryChannel>(
        "InMemoryChannel",
        "ch",
        json!({
            "spec": {
                "delivery": {"retry": 1},
                "subscribers": [
                    {"uid": "u1", "name": "one", "subscriberUri": "http://one/", "replyUri": "http://reply/",
                     "delivery": {"retry": 5, "deadLetterSink": {"uri": "http://own/"}}},
                    {"uid": "u2", "subscriberUri": "http://two/"},
                    {"uid": "u3", "name": "one", "subscriberUri": "http://twin/"},
                ],
            },
            "status": {"deadLetterSinkUri": "http://dls/"},
        }),
    );
    let one = object::<Subscription>(
        "Subscription",
        "one",
        json!({"metadata": {"uid": "u1"}, "spec": {"channel": {}}}),
    );
    let observed = Observed {
        channels: vec![channel],
        subscriptions: vec![one],
        ..Observed::default()
    };
    let model = topics(&observed, &mut Filters::default());
    let topic = model.channel("ns", "ch").unwrap();
    assert_eq!(
        (topic.kind, topic.backend),
        (TopicKind::Channel, Backend::Embedded)
    );
    assert!(Arc::ptr_eq(topic, model.topic(&topic.key).unwrap()));
    let [one, two] = &topic.consumers[..] else {
        panic!("{:?}", topic.consumers)
    };
    assert_eq!(
        (one.name.as_str(), one.object.as_str(), one.kind),
        ("one", "one", ConsumerKind::Subscription)
    );
    assert_eq!(
        (one.policy.retries, &one.dead_letter_sink),
        (5, &at("http://own/"))
    );
    assert_eq!(one.reply, Reply::To(at("http://reply/").unwrap()));
    assert_eq!(one.start, Start::At(CREATED.parse().unwrap()));
    assert_eq!(
        (two.name.as_str(), two.object.as_str(), &two.reply),
        ("u2", "u2", &Reply::Dropped)
    );
    assert_eq!(
        (two.policy.retries, &two.dead_letter_sink),
        (1, &at("http://dls/"))
    );
    assert_eq!(two.start, Start::Latest);
}
