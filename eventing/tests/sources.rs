//! Sources follow their sinks.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::Cluster;
use crds::eventing::EventType;
use crds::sources::{ApiServerSource, PingSource};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_source_becomes_ready_when_its_sink_appears() {
    let cluster = Cluster::start().await;
    let sink = json!({"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "default"}});
    cluster
        .create::<PingSource>(json!({
            "metadata": {"name": "tick", "namespace": "default"},
            "spec": {"schedule": "*/1 * * * *", "sink": sink},
        }))
        .await;
    let waiting = cluster
        .condition::<PingSource>("tick", "Ready", "False", "NotFound")
        .await;
    assert_eq!(
        waiting.message.as_deref(),
        Some("failed to get object default/default: brokers.eventing.knative.dev \"default\" not found")
    );
    cluster.create_broker("default", json!({})).await;
    let source: PingSource = cluster.ready("tick").await;
    let status = source.status.unwrap();
    assert_eq!(
        status.sink_uri.as_deref(),
        Some("http://broker-ingress.knative-eventing.svc.cluster.local/default/default")
    );
    assert_eq!(status.observed_generation, source.metadata.generation);
    // What it sends is made known.
    let of_broker = async || {
        let types: Vec<EventType> = cluster.list().await;
        let [only] = types.as_slice() else { return None };
        let reference = only.spec.reference.as_ref()?;
        (only.spec.type_ == "dev.knative.sources.ping" && reference.name == "default").then_some(())
    };
    cluster::eventually("the type of the ticks", of_broker).await;
    // A sink that changes is followed; one that goes is gone from the status.
    cluster
        .patch::<PingSource>("tick", json!({"spec": {"sink": {"uri": "/path"}}}))
        .await;
    let source = cluster::eventually("the new sink in the status", async || {
        let source: PingSource = cluster.get("tick").await?;
        let url = source.status.as_ref()?.sink_uri.clone()?;
        url.ends_with("/path").then_some(url)
    })
    .await;
    assert_eq!(
        source,
        "http://broker-ingress.knative-eventing.svc.cluster.local/path"
    );
    cluster.delete::<crds::eventing::Broker>("default").await;
    cluster
        .condition::<PingSource>("tick", "SinkProvided", "False", "NotFound")
        .await;
    assert_eq!(
        cluster
            .get::<PingSource>("tick")
            .await
            .unwrap()
            .status
            .unwrap()
            .sink_uri,
        None
    );
    cluster::eventually("no type of events that go nowhere", async || {
        cluster.list::<EventType>().await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_source_says_what_it_watches() {
    let cluster = Cluster::start().await;
    let spec = json!({
        "mode": "Reference", "serviceAccountName": "default", "sink": {"uri": "http://sink.example.com"},
        "resources": [{"apiVersion": "example.com/v1", "kind": "Thing"}],
    });
    cluster
        .create::<ApiServerSource>(
            json!({"metadata": {"name": "watch", "namespace": "default"}, "spec": spec}),
        )
        .await;
    cluster
        .condition::<ApiServerSource>("watch", "SufficientPermissions", "False", "NoSuchResource")
        .await;
    // The account has no role.
    let change = json!({"spec": {"resources": [{"apiVersion": "v1", "kind": "ConfigMap"}]}});
    cluster.patch::<ApiServerSource>("watch", change).await;
    let missing = cluster
        .condition::<ApiServerSource>("watch", "Ready", "False", "NoSufficientPermissions")
        .await;
    assert_eq!(
        missing.message.as_deref(),
        Some(
            "User system:serviceaccount:default:default cannot get, list, watch resource \"configmaps\" in API group \
             \"\" in Namespace \"default\""
        )
    );
    let skip = json!({"features.knative.dev/apiserversource-skip-permissions-check": "true"});
    let change = json!({"metadata": {"annotations": skip}, "spec": {"namespaceSelector": {"matchLabels": {
        "kubernetes.io/metadata.name": "knative-eventing",
    }}}});
    cluster.patch::<ApiServerSource>("watch", change).await;
    let source: ApiServerSource = cluster.ready("watch").await;
    let status = source.status.unwrap();
    assert_eq!(status.namespaces, ["knative-eventing"]);
    assert_eq!(status.ce_attributes.len(), 3);
    assert_eq!(
        status.ce_attributes[0].type_.as_deref(),
        Some("dev.knative.apiserver.ref.add")
    );
}
