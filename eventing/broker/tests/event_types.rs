//! Types of events that come become EventTypes.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/all.rs"]
mod support;

use crds::eventing::EventType;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use support::eventually;
use support::plane::{self, Plane, Setup};
use test_api::TestApi;

/// Type, source and kind of what has them, of each EventType.
async fn listed(api: &TestApi) -> Vec<(String, String, String)> {
    let types: Api<EventType> = Api::namespaced(api.client(), "default");
    let list = types.list(&ListParams::default()).await.unwrap();
    let told = list.items.into_iter().map(|found| {
        let spec = found.spec;
        (spec.type_, spec.source.unwrap(), spec.reference.unwrap().kind)
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

async fn lists(api: &TestApi, expected: &[(&str, &str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|&(event_type, source, kind)| (event_type.to_owned(), source.to_owned(), kind.to_owned()))
        .collect();
    eventually(&format!("{expected:?}"), async || {
        (listed(api).await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_is_made_known_once() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    plane::broker(&api, "default").await;
    plane::channel(&api, "pipe", json!([])).await;
    let running = Plane::start(&api, dir.path(), Setup::default()).await;
    let url = running.serves("/default/default").await;
    let post = async |plane: &Plane, url: &str, host: &str, event_type: &str| {
        let headers = [("host", host), ("ce-type", event_type)];
        let headers = if host.is_empty() {
            &headers[1..]
        } else {
            &headers[..]
        };
        assert_eq!(plane.producer.event(url, "1", headers, "").await.status, 202);
    };
    // Off, as it is by default: nothing is noted, not even for later.
    post(&running, &url, "", "dev.before").await;
    plane::configure(&api, json!({"eventtype-auto-create": "enabled"})).await;
    let brokers = ("dev.example", "/test", "Broker");
    eventually("the feature to be on", async || {
        post(&running, &url, "", "dev.example").await;
        (!listed(&api).await.is_empty()).then_some(())
    })
    .await;
    lists(&api, &[brokers]).await;
    let channel = format!("{}/", running.url);
    post(
        &running,
        &channel,
        "pipe-kn-channel.default.svc.cluster.local",
        "dev.piped",
    )
    .await;
    let piped = ("dev.piped", "/test", "InMemoryChannel");
    lists(&api, &[brokers, piped]).await;
    running.stop().await;

    // One that starts anew knows what there is. What was deleted comes again.
    let running = Plane::start(&api, dir.path(), Setup::default()).await;
    let url = running.serves("/default/default").await;
    let known = |plane: &Plane| {
        let families = plane.registry.gather();
        let found = families
            .iter()
            .find(|family| family.name() == "event_types_known");
        found.map(|family| family.get_metric()[0].get_gauge().get_value())
    };
    eventually("both to be known", async || {
        (known(&running) == Some(2.0)).then_some(())
    })
    .await;
    let types: Api<EventType> = Api::namespaced(api.client(), "default");
    types
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .unwrap();
    eventually("none to be known", async || {
        (known(&running) == Some(0.0)).then_some(())
    })
    .await;
    eventually("it to be known again", async || {
        post(&running, &url, "", "dev.example").await;
        (!listed(&api).await.is_empty()).then_some(())
    })
    .await;
    lists(&api, &[brokers]).await;
    // A name that is taken does no harm.
    let mut taken = types.list(&ListParams::default()).await.unwrap().items.remove(0);
    let name = taken.metadata.name.clone().unwrap();
    types.delete(&name, &DeleteParams::default()).await.unwrap();
    eventually("none to be known", async || {
        (known(&running) == Some(0.0)).then_some(())
    })
    .await;
    taken.metadata = serde_json::from_value(json!({"name": name})).unwrap();
    types.create(&PostParams::default(), &taken).await.unwrap();
    post(&running, &url, "", "dev.example").await;
    post(&running, &url, "", "dev.last").await;
    lists(&api, &[brokers, ("dev.last", "/test", "Broker")]).await;
    running.stop().await;
}
