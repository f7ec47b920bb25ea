//! Sources follow their sinks.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::Cluster;
use crds::sources::PingSource;
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
}
