//! A RequestReply has a trigger that brings its answers, and says where requests are taken.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, eventually};
use crds::eventing::{EventType, RequestReply, Trigger};
use kube::ResourceExt;
use serde_json::{Value, json};

fn on(broker: &str) -> Value {
    json!({"brokerRef": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": broker}})
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_with_its_broker_its_trigger_and_who_serves_it() {
    let cluster = Cluster::start().await;
    let made: RequestReply = cluster
        .create(json!({"metadata": {"name": "rr"}, "spec": on("first")}))
        .await;
    cluster
        .condition::<RequestReply>("rr", "BrokerReady", "False", "BrokerDoesNotExist")
        .await;
    cluster
        .condition::<RequestReply>("rr", "Addressable", "False", "EndpointSlicesUnavailable")
        .await;
    cluster.create_broker("first", json!({})).await;
    cluster.open("request-reply").await;
    let object: RequestReply = cluster.ready("rr").await;
    let status = object.status.unwrap();
    let url = "http://request-reply.knative-eventing.svc.cluster.local/default/rr";
    assert_eq!(status.address.unwrap().url.as_deref(), Some(url));
    assert_eq!(
        (status.desired_replicas, status.ready_replicas),
        (Some(1), Some(1))
    );
    cluster
        .condition::<RequestReply>("rr", "EventPoliciesReady", "True", "OIDCDisabled")
        .await;
    let trigger: Trigger = cluster.get("rr-kn-request-reply").await.unwrap();
    let uid = made.uid().unwrap();
    assert_eq!(trigger.owner_references()[0].uid, uid);
    let mark = format!(":{}-0", uid.split('-').next().unwrap());
    assert_eq!(trigger.spec.filters[0].suffix["replyid"], mark);
    assert_eq!(
        trigger.status.unwrap().subscriber_uri.unwrap(),
        format!("{url}/reply")
    );

    // The second of two looks changes nothing.
    cluster.settle().await;
    let before = cluster.api.requests().writes();
    cluster
        .patch::<RequestReply>("rr", json!({"metadata": {"labels": {"a": "b"}}}))
        .await;
    cluster.settle().await;
    assert_eq!(cluster.api.requests().writes(), before + 1);

    // A trigger cannot move to another broker, so there is another one.
    cluster.create_broker("second", json!({})).await;
    cluster
        .patch::<RequestReply>("rr", json!({"spec": on("second")}))
        .await;
    eventually("the trigger of the other broker", async || {
        let trigger: Trigger = cluster.get("rr-kn-request-reply").await?;
        (trigger.spec.broker == "second").then_some(())
    })
    .await;
    cluster.ready::<RequestReply>("rr").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_of_an_event_type_is_served() {
    let cluster = Cluster::start().await;
    cluster
        .create::<EventType>(json!({"metadata": {"name": "t"}, "spec": {"type": "a", "attributes": [{"name": "type", "value": "a"}]}}))
        .await;
    for version in ["v1beta1", "v1beta2", "v1beta3"] {
        let path = format!("/apis/eventing.knative.dev/{version}/namespaces/default/eventtypes/t");
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let found: Value = cluster.client.request(request).await.unwrap();
        assert_eq!(found["apiVersion"], format!("eventing.knative.dev/{version}"));
        assert_eq!(found["spec"]["attributes"][0]["name"], "type", "{found}");
        assert_eq!(found["spec"]["type"], "a", "{found}");
    }
}
