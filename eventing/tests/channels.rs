//! Channels, subscriptions and what flows are made of.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, conditions, eventually};
use crds::eventing::EventType;
use crds::flows::{Parallel, Sequence};
use crds::messaging::{Channel, InMemoryChannel, Subscription};
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

fn template() -> Value {
    json!({"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel"})
}

fn subscription(name: &str, kind: &str, channel: &str, spec: Value) -> Value {
    let channel = json!({"apiVersion": "messaging.knative.dev/v1", "kind": kind, "name": channel});
    let mut wanted = json!({"metadata": {"name": name}, "spec": {"channel": channel}});
    wanted["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    wanted
}

#[tokio::test(flavor = "multi_thread")]
async fn an_in_memory_channel_has_a_name_in_dns_and_an_address() {
    let cluster = Cluster::without_ingress().await;
    let sink = json!({"deadLetterSink": {"uri": "http://dead.letters"}});
    cluster
        .create::<InMemoryChannel>(json!({"metadata": {"name": "orders"}, "spec": {"delivery": sink}}))
        .await;
    cluster
        .condition::<InMemoryChannel>("orders", "EndpointsReady", "False", "DispatcherEndpointsNotReady")
        .await;
    cluster.open_ingress().await;
    let channel: InMemoryChannel = cluster.ready("orders").await;
    let status = channel.status.unwrap();
    assert_eq!(
        status.address.unwrap().url.as_deref(),
        Some("http://orders-kn-channel.default.svc.cluster.local")
    );
    assert_eq!(
        status.dead_letter_sink_uri.as_deref(),
        Some("http://dead.letters")
    );
    let service: Service = cluster.get("orders-kn-channel").await.unwrap();
    let spec = service.spec.unwrap();
    assert_eq!(spec.type_.as_deref(), Some("ExternalName"));
    assert_eq!(
        spec.external_name.as_deref(),
        Some("broker-ingress.knative-eventing.svc.cluster.local")
    );
    // Deleted by hand, it comes again.
    cluster.delete::<Service>("orders-kn-channel").await;
    eventually("the Service to come again", async || {
        cluster.get::<Service>("orders-kn-channel").await.map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_service_is_not_taken() {
    let cluster = Cluster::start().await;
    cluster.create_service("orders-kn-channel").await;
    cluster
        .create::<InMemoryChannel>(json!({"metadata": {"name": "orders"}, "spec": {}}))
        .await;
    let failed = cluster
        .condition::<InMemoryChannel>("orders", "Ready", "False", "ChannelServiceFailed")
        .await;
    assert!(failed.message.unwrap().contains("that we do not own"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_written_into_the_channel_that_stands_behind_a_channel() {
    let cluster = Cluster::start().await;
    let spec = json!({"subscriber": {"uri": "http://in"}, "reply": {"uri": "http://out"}, "delivery": {"retry": 2, "deadLetterSink": {"uri": "http://dead"}}});
    cluster
        .create::<Subscription>(subscription("sub", "Channel", "orders", spec))
        .await;
    cluster
        .condition::<Subscription>("sub", "ReferencesResolved", "False", "ChannelReferenceFailed")
        .await;
    cluster
        .create::<Channel>(json!({"metadata": {"name": "orders"}, "spec": {"channelTemplate": template()}}))
        .await;
    let ready: Subscription = cluster.ready("sub").await;
    let physical = ready.status.unwrap().physical_subscription.unwrap();
    assert_eq!(physical.subscriber_uri.as_deref(), Some("http://in"));
    assert_eq!(physical.reply_uri.as_deref(), Some("http://out"));
    assert_eq!(physical.dead_letter_sink_uri.as_deref(), Some("http://dead"));
    let made: InMemoryChannel = cluster.ready("orders").await;
    let [entry] = made.spec.subscribers.as_slice() else {
        panic!("one subscriber")
    };
    assert_eq!(Some(&entry.uid), ready.metadata.uid.as_ref());
    assert_eq!(entry.name.as_deref(), Some("sub"));
    let delivery = entry.delivery.as_ref().unwrap();
    assert_eq!(delivery.retry, Some(2));
    assert_eq!(
        delivery.dead_letter_sink.as_ref().unwrap().uri.as_deref(),
        Some("http://dead")
    );
    let channel: Channel = cluster.ready("orders").await;
    assert_eq!(
        channel.status.unwrap().address.unwrap().url.as_deref(),
        Some("http://orders-kn-channel.default.svc.cluster.local")
    );
    // The Channel tells what its InMemoryChannel tells, a moment later.
    eventually("the channel to tell its subscriber", async || {
        let channel: Channel = cluster.get("orders").await?;
        (channel.status?.subscribers.len() == 1).then_some(())
    })
    .await;

    // Changed in place, then taken out.
    cluster
        .patch::<Subscription>("sub", json!({"spec": {"subscriber": {"uri": "http://moved"}}}))
        .await;
    eventually("the entry to move", async || {
        let made: InMemoryChannel = cluster.get("orders").await?;
        let entry = made.spec.subscribers.first()?.clone();
        (entry.subscriber_uri.as_deref() == Some("http://moved") && entry.generation > 1).then_some(())
    })
    .await;
    cluster.ready::<Subscription>("sub").await;
    cluster.delete::<Subscription>("sub").await;
    eventually("the entry to go", async || {
        let made: InMemoryChannel = cluster.get("orders").await?;
        (made.spec.subscribers.is_empty() && cluster.get::<Subscription>("sub").await.is_none()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_subscriptions_of_one_channel_do_not_lose_each_others_entries() {
    let cluster = Cluster::start().await;
    cluster
        .create::<InMemoryChannel>(json!({"metadata": {"name": "busy"}, "spec": {}}))
        .await;
    let names: Vec<String> = (0..12).map(|index| format!("sub-{index}")).collect();
    for name in &names {
        let spec = json!({"subscriber": {"uri": "http://in"}});
        cluster
            .create::<Subscription>(subscription(name, "InMemoryChannel", "busy", spec))
            .await;
    }
    for name in &names {
        cluster.ready::<Subscription>(name).await;
    }
    let channel: InMemoryChannel = cluster.get("busy").await.unwrap();
    assert_eq!(channel.spec.subscribers.len(), names.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_goes_even_if_its_channel_went_first() {
    let cluster = Cluster::start().await;
    cluster
        .create::<InMemoryChannel>(json!({"metadata": {"name": "short"}, "spec": {}}))
        .await;
    let spec = json!({"subscriber": {"uri": "http://in"}});
    cluster
        .create::<Subscription>(subscription("sub", "InMemoryChannel", "short", spec))
        .await;
    cluster.ready::<Subscription>("sub").await;
    cluster.delete::<InMemoryChannel>("short").await;
    cluster
        .condition::<Subscription>("sub", "Ready", "False", "ChannelReferenceFailed")
        .await;
    cluster.delete::<Subscription>("sub").await;
    eventually("the subscription to go", async || {
        cluster.get::<Subscription>("sub").await.is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_of_a_kind_that_is_not_there_says_so() {
    let cluster = Cluster::start().await;
    let template = json!({"apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel"});
    cluster
        .create::<Channel>(json!({"metadata": {"name": "c"}, "spec": {"channelTemplate": template}}))
        .await;
    let failed = cluster
        .condition::<Channel>("c", "BackingChannelReady", "False", "ChannelFailure")
        .await;
    assert_eq!(
        failed.message.as_deref(),
        Some("the API server does not serve messaging.knative.dev/v1beta1 KafkaChannel")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_follows_its_steps() {
    let mut cluster = Cluster::start().await;
    let steps = json!([{"uri": "http://a"}, {"uri": "http://b"}, {"uri": "http://c"}]);
    let spec = json!({"steps": steps, "channelTemplate": template(), "reply": {"uri": "http://reply"}});
    cluster
        .create::<Sequence>(json!({"metadata": {"name": "s"}, "spec": spec}))
        .await;
    let ready: Sequence = cluster.ready("s").await;
    let status = ready.status.unwrap();
    assert_eq!(
        status.address.unwrap().url.as_deref(),
        Some("http://s-kn-sequence-0-kn-channel.default.svc.cluster.local")
    );
    assert_eq!(status.channel_statuses.len(), 3);
    assert!(
        status
            .subscription_statuses
            .iter()
            .all(|found| found.ready_condition.is_true())
    );
    let last: Subscription = cluster.get("s-kn-sequence-2").await.unwrap();
    assert_eq!(last.spec.reply.unwrap().uri.as_deref(), Some("http://reply"));
    let first: Subscription = cluster.get("s-kn-sequence-0").await.unwrap();
    let physical = first.status.unwrap().physical_subscription.unwrap();
    assert_eq!(
        physical.reply_uri.as_deref(),
        Some("http://s-kn-sequence-1-kn-channel.default.svc.cluster.local")
    );

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

    cluster
        .patch::<Sequence>("s", json!({"spec": {"steps": [{"uri": "http://a"}]}}))
        .await;
    eventually("the surplus to go", async || {
        let (channels, subscriptions) = (
            cluster.names_of::<InMemoryChannel>().await,
            cluster.names_of::<Subscription>().await,
        );
        (channels == ["s-kn-sequence-0"] && subscriptions == ["s-kn-sequence-0"]).then_some(())
    })
    .await;
    cluster.ready::<Sequence>("s").await;
    let only: Subscription = cluster.ready("s-kn-sequence-0").await;
    assert_eq!(only.spec.reply.unwrap().uri.as_deref(), Some("http://reply"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parallel_has_its_branches() {
    let cluster = Cluster::start().await;
    let branches = json!([
        {"filter": {"uri": "http://f"}, "subscriber": {"uri": "http://a"}},
        {"subscriber": {"uri": "http://b"}},
    ]);
    let spec = json!({"branches": branches, "channelTemplate": template()});
    cluster
        .create::<Parallel>(json!({"metadata": {"name": "p"}, "spec": spec}))
        .await;
    let ready: Parallel = cluster.ready("p").await;
    let status = ready.status.unwrap();
    assert_eq!(
        status.address.unwrap().url.as_deref(),
        Some("http://p-kn-parallel-kn-channel.default.svc.cluster.local")
    );
    assert_eq!(status.branch_statuses.len(), 2);
    let mut names = cluster.names_of::<Subscription>().await;
    names.sort();
    assert_eq!(
        names,
        [
            "p-kn-parallel-0",
            "p-kn-parallel-1",
            "p-kn-parallel-filter-0",
            "p-kn-parallel-filter-1"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_type_tells_whether_its_referent_is_there() {
    let cluster = Cluster::start().await;
    let reference = json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "default"});
    cluster
        .create::<EventType>(
            json!({"metadata": {"name": "t"}, "spec": {"type": "x", "reference": reference}}),
        )
        .await;
    cluster
        .create::<EventType>(json!({"metadata": {"name": "free"}, "spec": {"type": "x"}}))
        .await;
    cluster.condition::<EventType>("free", "Ready", "True", "").await;
    cluster
        .condition::<EventType>("free", "ReferenceExists", "True", "ReferenceNotSet")
        .await;
    cluster
        .condition::<EventType>("t", "ReferenceExists", "False", "ResourceDoesNotExist")
        .await;
    cluster.create_broker("default", json!({})).await;
    let ready: EventType = cluster.ready("t").await;
    assert_eq!(conditions(&ready).len(), 2);
}
