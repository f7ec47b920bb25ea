//! From a producer to subscribers, through all of the data plane.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/all.rs"]
mod support;

use crds::eventing::{Broker, Trigger};
use event::Event;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use support::eventually;
use support::plane::{self, Plane, Setup};
use support::subscriber::Subscriber;

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_the_triggers_that_want_them_and_replies_come_back() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    plane::broker(&api, "default").await;
    let mut first = Subscriber::replying(|event| {
        let mut reply = Event::new(format!("re-{}", event.id.as_str()), "/reply", "reply");
        reply.data = event.data.clone();
        Some(reply)
    })
    .await;
    let mut second = Subscriber::start().await;
    let wants =
        |kind: &str| json!({"broker": "default", "filter": {"attributes": {"type": kind}}, "subscriber": {}});
    plane::trigger(&api, "first", wants("dev.example"), &first.url).await;
    plane::trigger(&api, "second", wants("reply"), &second.url).await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    let url = plane.serves("/default/default").await;

    let headers = [
        ("x-request-id", "r1"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
        ),
    ];
    assert_eq!(
        plane.producer.event(&url, "1", &headers, "hello").await.status,
        202
    );
    let delivery = first.next().await;
    assert_eq!(
        (delivery.event.id.as_str(), delivery.event.data.as_deref()),
        ("1", Some(&b"hello"[..]))
    );
    assert_eq!(delivery.event.get("knativebrokerttl"), None);
    assert!(delivery.event.get("knativearrivaltime").is_some());
    assert_eq!(delivery.headers["x-request-id"], "r1");
    assert_eq!(delivery.headers["traceparent"], headers[1].1);
    assert_eq!(delivery.headers["kn-namespace"], "default");
    let reply = second.next().await;
    assert_eq!(
        (reply.event.id.as_str(), reply.event.data.as_deref()),
        ("re-1", Some(&b"hello"[..]))
    );
    assert!(first.is_idle() && second.is_idle());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_delivered_after_a_restart() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    plane::broker(&api, "default").await;
    // Nobody listens there yet.
    let spec = json!({"broker": "default", "subscriber": {}, "delivery": {"retry": 1000, "backoffPolicy": "linear", "backoffDelay": "PT10S"}});
    plane::trigger(&api, "t", spec, "http://127.0.0.1:1/").await;
    let before = Plane::start(&api, dir.path(), Setup::default()).await;
    let url = before.serves("/default/default").await;
    for id in ["1", "2", "3"] {
        assert_eq!(before.producer.event(&url, id, &[], "").await.status, 202);
    }
    before.stop().await;

    let mut subscriber = Subscriber::start().await;
    let triggers: Api<Trigger> = Api::namespaced(api.client(), "default");
    let status = json!({"status": {"subscriberUri": subscriber.url}});
    triggers
        .patch_status("t", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
    let after = Plane::start(&api, dir.path(), Setup::default()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(subscriber.next().await.event.id.to_string());
    }
    ids.sort();
    assert_eq!(ids, ["1", "2", "3"]);
    after.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_made_just_before_an_event_gets_it() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    plane::broker(&api, "default").await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    let url = plane.serves("/default/default").await;
    for n in 0..5 {
        let mut subscriber = Subscriber::start().await;
        let id = n.to_string();
        let spec = json!({"broker": "default", "filters": [{"exact": {"x": id}}], "subscriber": {}});
        plane::trigger(&api, &format!("t{n}"), spec, &subscriber.url).await;
        assert_eq!(
            plane.producer.event(&url, &id, &[("ce-x", &id)], "").await.status,
            202
        );
        assert_eq!(subscriber.next().await.event.id, id.as_str());
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_a_channel_get_its_events() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    let mut answers = Subscriber::start().await;
    let mut one = Subscriber::replying(|_| Some(Event::new("re", "/reply", "reply"))).await;
    let mut two = Subscriber::start().await;
    let subscribers = json!([
        {"uid": "u1", "name": "one", "subscriberUri": one.url, "replyUri": answers.url},
        {"uid": "u2", "name": "two", "subscriberUri": two.url},
    ]);
    let topic = plane::channel(&api, "ch", subscribers).await;
    plane::broker(&api, "default").await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    plane.serves("/default/default").await;
    // Nothing says since when they are subscribed, so they get what comes from now on.
    eventually("both subscriptions", async || {
        (plane.store.status(&topic).await.unwrap().consumers.len() == 2).then_some(())
    })
    .await;
    let host = [("host", "ch-kn-channel.default.svc.cluster.local")];
    assert_eq!(plane.producer.event(&plane.url, "1", &host, "").await.status, 202);
    assert_eq!(one.next().await.event.id, "1");
    assert_eq!(two.next().await.event.id, "1");
    assert_eq!(answers.next().await.event.id, "re");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_with_their_broker() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    let topic = plane::broker(&api, "default").await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    let url = plane.serves("/default/default").await;
    assert_eq!(plane.producer.event(&url, "1", &[], "").await.status, 202);
    let brokers: Api<Broker> = Api::namespaced(api.client(), "default");
    brokers.delete("default", &DeleteParams::default()).await.unwrap();
    eventually("the broker is unknown", async || {
        (plane.producer.event(&url, "2", &[], "").await.status == 404).then_some(())
    })
    .await;
    eventually("its events are gone", async || {
        let status = plane.store.status(&topic).await.unwrap();
        (status.first == status.next).then_some(())
    })
    .await;
    plane.stop().await;
}
