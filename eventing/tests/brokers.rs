//! Brokers and triggers become ready when what they need is there, in whatever order it comes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, conditions, eventually};
use crds::eventing::{Broker, Trigger};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use serde_json::{Value, json};

fn trigger(name: &str, subscriber: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": {"broker": "default", "filter": {}, "subscriber": subscriber}})
}

fn service(name: &str) -> Value {
    json!({"ref": {"apiVersion": "v1", "kind": "Service", "name": name}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_ready_while_the_data_plane_is_there() {
    let cluster = Cluster::without_ingress().await;
    cluster.create_broker("default", json!({})).await;
    cluster
        .condition::<Broker>("default", "IngressReady", "False", "EndpointSlicesUnavailable")
        .await;
    cluster.open_ingress().await;
    let broker: Broker = cluster.ready("default").await;
    let status = broker.status.unwrap();
    assert_eq!(
        status.address.unwrap().url.as_deref(),
        Some("http://broker-ingress.knative-eventing.svc.cluster.local/default/default")
    );
    assert_eq!(
        status
            .annotations
            .unwrap()
            .get("knative.dev/channelKind")
            .map(String::as_str),
        Some("InMemoryChannel")
    );
    let told: Vec<(String, String)> = status
        .conditions
        .iter()
        .map(|found| (found.type_.clone(), found.reason.clone().unwrap_or_default()))
        .collect();
    let expected = [
        ("Addressable", ""),
        ("DeadLetterSinkResolved", "DeadLetterSinkNotConfigured"),
        ("EventPoliciesReady", "OIDCDisabled"),
        ("FilterReady", ""),
        ("IngressReady", ""),
        ("Ready", ""),
        ("TriggerChannelReady", ""),
    ];
    assert_eq!(told, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    cluster.close_ingress().await;
    cluster
        .condition::<Broker>("default", "Ready", "False", "EndpointSlicesUnavailable")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_needs_a_channel_that_is_served() {
    let cluster = Cluster::start().await;
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "own", "namespace": "default"});
    cluster
        .create_broker("default", json!({ "config": config }))
        .await;
    let missing = cluster
        .condition::<Broker>("default", "TriggerChannelReady", "False", "ChannelTemplateFailed")
        .await;
    assert!(
        missing
            .message
            .unwrap()
            .starts_with("Error on setting up the ChannelTemplate: configmap")
    );
    let template = |kind: &str| format!("apiVersion: messaging.knative.dev/v1\nkind: {kind}\n");
    let map =
        json!({"metadata": {"name": "own"}, "data": {"channel-template-spec": template("KafkaChannel")}});
    cluster.create::<ConfigMap>(map).await;
    cluster
        .condition::<Broker>("default", "TriggerChannelReady", "False", "ChannelFailure")
        .await;
    cluster
        .patch::<ConfigMap>(
            "own",
            json!({"data": {"channel-template-spec": template("InMemoryChannel")}}),
        )
        .await;
    cluster.ready::<Broker>("default").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_a_store_that_is_not_there_is_not_ready() {
    let cluster = Cluster::start().await;
    let annotations = json!({"eventing.knative.dev/broker.class": "NatsJetStreamBroker"});
    cluster
        .create::<Broker>(json!({"metadata": {"name": "nats", "annotations": annotations}, "spec": {}}))
        .await;
    let failed = cluster
        .condition::<Broker>("nats", "Ready", "False", "ChannelFailure")
        .await;
    assert!(failed.message.unwrap().contains("NATS JetStream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_of_other_classes_and_their_triggers_are_left_alone() {
    let cluster = Cluster::start().await;
    let annotations = json!({"eventing.knative.dev/broker.class": "Kafka"});
    cluster
        .create::<Broker>(json!({"metadata": {"name": "default", "annotations": annotations}, "spec": {}}))
        .await;
    cluster.create_broker("ours", json!({})).await;
    cluster
        .create::<Trigger>(trigger("theirs", json!({"uri": "http://x.y"})))
        .await;
    cluster.ready::<Broker>("ours").await;
    cluster.settle().await;
    assert!(cluster.get::<Broker>("default").await.unwrap().status.is_none());
    assert!(cluster.get::<Trigger>("theirs").await.unwrap().status.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_may_come_before_its_broker_and_its_subscriber() {
    let cluster = Cluster::start().await;
    let subscriber = json!({"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "display"}, "uri": "/in"});
    cluster.create::<Trigger>(trigger("hello", subscriber)).await;
    let missing = cluster
        .condition::<Trigger>("hello", "BrokerReady", "False", "BrokerDoesNotExist")
        .await;
    assert_eq!(
        missing.message.as_deref(),
        Some("Broker \"default\" does not exist")
    );
    cluster.create_broker("default", json!({})).await;
    let reason = "Unable to get the Subscriber's URI";
    let missing = cluster
        .condition::<Trigger>("hello", "SubscriberResolved", "False", reason)
        .await;
    assert_eq!(
        missing.message.as_deref(),
        Some("failed to get object default/display: services.serving.knative.dev \"display\" not found")
    );
    cluster.create_addressable("display", None).await;
    eventually("the address to be missed", async || {
        let trigger: Trigger = cluster.get("hello").await?;
        let found = conditions(&trigger)
            .into_iter()
            .find(|found| found.type_ == "SubscriberResolved")?;
        (found.message.as_deref() == Some("address not set for Service default/display")).then_some(())
    })
    .await;
    cluster
        .set_address("display", "http://display.default.svc.cluster.local")
        .await;
    let ready: Trigger = cluster.ready("hello").await;
    assert_eq!(
        ready.status.unwrap().subscriber_uri.as_deref(),
        Some("http://display.default.svc.cluster.local/in")
    );
    // It moves, and it goes.
    cluster.set_address("display", "http://elsewhere").await;
    eventually("the subscriber to move", async || {
        let uri = cluster.get::<Trigger>("hello").await?.status?.subscriber_uri?;
        (uri == "http://elsewhere/in").then_some(())
    })
    .await;
    cluster.delete::<crds::serving::Service>("display").await;
    cluster
        .condition::<Trigger>("hello", "Ready", "False", reason)
        .await;
    let gone: Trigger = cluster.get("hello").await.unwrap();
    assert_eq!(gone.status.unwrap().subscriber_uri, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_go_to_the_triggers_sink_or_else_to_the_brokers() {
    let cluster = Cluster::start().await;
    for name in ["one", "two", "target"] {
        cluster.create_service(name).await;
    }
    let delivery = json!({"deadLetterSink": service("one"), "retry": 2});
    cluster
        .create_broker("default", json!({ "delivery": delivery }))
        .await;
    cluster
        .create::<Trigger>(trigger("bare", service("target")))
        .await;
    let mut own = trigger("own", service("target"));
    own["spec"]["delivery"] = json!({"deadLetterSink": service("two")});
    cluster.create::<Trigger>(own).await;
    for (name, sink) in [("bare", "one"), ("own", "two")] {
        let ready: Trigger = cluster.ready(name).await;
        let status = ready.status.unwrap();
        assert_eq!(
            status.dead_letter_sink_uri,
            Some(format!("http://{sink}.default.svc.cluster.local")),
            "{name}"
        );
        assert_eq!(
            status.subscriber_uri.as_deref(),
            Some("http://target.default.svc.cluster.local")
        );
    }
    cluster.delete::<Service>("one").await;
    let failed = "Unable to get the dead letter sink's URI";
    cluster
        .condition::<Broker>("default", "DeadLetterSinkResolved", "False", failed)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_waits_for_what_it_depends_on() {
    let cluster = Cluster::start().await;
    cluster.create_broker("default", json!({})).await;
    let mut waiting = trigger("waiting", json!({"uri": "http://x.y"}));
    waiting["metadata"]["annotations"] = json!({
        "knative.dev/dependency": r#"{"apiVersion":"eventing.knative.dev/v1","kind":"Broker","name":"other"}"#,
    });
    cluster.create::<Trigger>(waiting).await;
    cluster
        .condition::<Trigger>("waiting", "DependencyReady", "False", "DependencyDoesNotExist")
        .await;
    cluster.create_broker("other", json!({})).await;
    cluster.ready::<Trigger>("waiting").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_may_ask_for_its_broker() {
    let cluster = Cluster::start().await;
    let mut asking = trigger("asking", json!({"uri": "http://x.y"}));
    asking["metadata"]["annotations"] = json!({"eventing.knative.dev/injection": "enabled"});
    cluster.create::<Trigger>(asking).await;
    eventually("the broker to be made", async || {
        cluster.get::<Broker>("default").await.map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_have_an_identity_while_the_feature_is_on() {
    let cluster = Cluster::start().await;
    cluster.create_broker("default", json!({})).await;
    cluster
        .create::<Trigger>(trigger("hello", json!({"uri": "http://x.y"})))
        .await;
    cluster
        .condition::<Trigger>(
            "hello",
            "OIDCIdentityCreated",
            "True",
            "authentication-oidc feature disabled",
        )
        .await;
    let maps: kube::Api<ConfigMap> = kube::Api::namespaced(cluster.client.clone(), cluster::SYSTEM);
    let feature = |value: &str| kube::api::Patch::Merge(json!({"data": {"authentication-oidc": value}}));
    let params = kube::api::PatchParams::default();
    maps.patch("config-features", &params, &feature("enabled"))
        .await
        .unwrap();
    cluster
        .condition::<Trigger>("hello", "OIDCIdentityCreated", "True", "")
        .await;
    let name = "hello-oidc-eventing.knative.dev-trigger";
    let auth = cluster
        .get::<Trigger>("hello")
        .await
        .unwrap()
        .status
        .unwrap()
        .auth
        .unwrap();
    assert_eq!(auth.service_account_name.as_deref(), Some(name));
    assert!(cluster.get::<ServiceAccount>(name).await.is_some());
    cluster
        .condition::<Broker>(
            "default",
            "EventPoliciesReady",
            "True",
            "DefaultAuthorizationMode",
        )
        .await;
    let broker: Broker = cluster.get("default").await.unwrap();
    assert_eq!(
        broker.status.unwrap().address.unwrap().audience.as_deref(),
        Some("eventing.knative.dev/broker/default/default")
    );
    maps.patch("config-features", &params, &feature("disabled"))
        .await
        .unwrap();
    eventually("the identity to go", async || {
        cluster.get::<ServiceAccount>(name).await.is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_look_and_a_restart_write_nothing() {
    let mut cluster = Cluster::start().await;
    cluster.create_service("target").await;
    cluster.create_broker("default", json!({})).await;
    for name in ["a", "b", "c"] {
        cluster.create::<Trigger>(trigger(name, service("target"))).await;
    }
    for name in ["a", "b", "c"] {
        cluster.ready::<Trigger>(name).await;
    }
    cluster.settle().await;
    let before = cluster.api.requests().writes();
    cluster.restart();
    cluster.settle().await;
    assert_eq!(
        cluster.api.requests().writes(),
        before,
        "{:?}",
        cluster.api.requests().counted()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn selected_namespaces_get_a_broker() {
    let cluster = Cluster::start().await;
    let maps: kube::Api<ConfigMap> = kube::Api::namespaced(cluster.client.clone(), cluster::SYSTEM);
    let selector = "matchLabels: {kubernetes.io/metadata.name: default}";
    let change = kube::api::Patch::Merge(json!({"data": {"namespace-selector": selector}}));
    maps.patch("config-sugar", &kube::api::PatchParams::default(), &change)
        .await
        .unwrap();
    eventually("the broker to be made", async || {
        cluster.get::<Broker>("default").await.map(drop)
    })
    .await;
    let all: kube::Api<Broker> = kube::Api::all(cluster.client.clone());
    let all = all.list(&kube::api::ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 1, "no other namespace is selected");
}
