//! Events over TLS.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/all.rs"]
mod support;

use std::time::Duration;

use broker::Allowed;
use broker::client::{self, Client, Endpoint, Want};
use bytes::Bytes;
use certificates::{Data, Profile, renewed, text};
use crds::names::{BROKER_INGRESS_TLS, EVENTING_NAMESPACE};
use http::{HeaderMap, HeaderValue};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use support::eventually;
use support::plane::{self, Plane, Setup};
use test_api::TestApi;

/// A new certificate for this machine, of a new authority.
fn made() -> Data {
    let names = ["127.0.0.1".to_owned()];
    renewed(&Data::new(), &names, &Profile::TLS, Timestamp::now())
        .unwrap()
        .unwrap()
}

fn authority(data: &Data) -> &str {
    text(data, Profile::TLS.authority).unwrap()
}

async fn store(api: &TestApi, data: &Data) {
    let secrets: Api<Secret> = Api::namespaced(api.client(), EVENTING_NAMESPACE);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": BROKER_INGRESS_TLS}, "data": data,
    });
    let params = PatchParams::apply("test").force();
    secrets
        .patch(BROKER_INGRESS_TLS, &params, &Patch::Apply(&secret))
        .await
        .unwrap();
}

fn sender() -> Client {
    Client::new(client::Config {
        allowed: Allowed::ALL,
        ..client::Config::default()
    })
}

/// The answer to an event; `None` if there is none.
async fn post(endpoint: &Endpoint, id: &str) -> Option<u16> {
    let message = || {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-type", "t"),
            ("ce-source", "/s"),
            ("ce-id", id),
        ] {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        (headers, Bytes::from_static(b"x"))
    };
    let answer = endpoint
        .send(Some(Duration::from_secs(5)), message, |_, _, _| Want::Nothing)
        .await;
    answer.ok().map(|answer| answer.status.as_u16())
}

async fn becomes(endpoint: &Endpoint, expected: Option<u16>) {
    eventually(&format!("{expected:?}"), async || {
        (post(endpoint, "1").await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_in_is_open_when_the_configuration_says_so() {
    let api = plane::api().await;
    plane::configure(&api, json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let plane = Plane::start(&api, folder.path(), Setup::default()).await;
    plane::broker(&api, "default").await;
    let url = plane.serves("/default/default").await;
    let (first, second) = (made(), made());
    let client = sender();
    let secure = format!("{}/default/default", plane.secure_url);
    let clear = client.endpoint(&url, None).unwrap();
    let trusting = |data: &Data| client.endpoint(&secure, Some(authority(data))).unwrap();

    assert_eq!(post(&clear, "1").await, Some(202));
    assert_eq!(
        post(&trusting(&first), "1").await,
        None,
        "there is no certificate"
    );
    store(&api, &first).await;
    becomes(&trusting(&first), Some(404)).await;
    plane::configure(&api, json!({"transport-encryption": "permissive"})).await;
    becomes(&trusting(&first), Some(202)).await;
    assert_eq!(post(&clear, "1").await, Some(202));
    assert_eq!(
        post(&trusting(&second), "1").await,
        None,
        "somebody else's authority"
    );
    plane::configure(&api, json!({"transport-encryption": "strict"})).await;
    becomes(&clear, Some(404)).await;
    assert_eq!(post(&trusting(&first), "1").await, Some(202));
    let hosts_of_channels = client
        .endpoint(&format!("{}/", plane.secure_url), Some(authority(&first)))
        .unwrap();
    assert_eq!(post(&hosts_of_channels, "1").await, Some(404), "no path");
    plane::configure(&api, json!({})).await;
    becomes(&clear, Some(202)).await;
    becomes(&trusting(&first), Some(404)).await;
    plane.stop().await;
}

/// A certificate of the same authority takes over from one that ends, and a broken one from none.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_costs_no_event() {
    let api = plane::api().await;
    plane::configure(&api, json!({"transport-encryption": "strict"})).await;
    // Of the time before its last fortnight: good for another three weeks, and about to be replaced when those are over.
    let names = ["127.0.0.1".to_owned()];
    let day = |days: i64| Timestamp::now() + SignedDuration::from_hours(24 * days);
    let first = renewed(&Data::new(), &names, &Profile::TLS, day(-69))
        .unwrap()
        .unwrap();
    assert!(renewed(&first, &names, &Profile::TLS, day(5)).unwrap().is_none());
    let second = renewed(&first, &names, &Profile::TLS, day(7)).unwrap();
    assert!(second.is_some(), "it is time");
    // As if that time were today.
    let mut ended = first.clone();
    ended.remove(Profile::TLS.certificate);
    let second = renewed(&ended, &names, &Profile::TLS, day(0)).unwrap().unwrap();
    assert_eq!(authority(&first), authority(&second));
    store(&api, &first).await;
    let folder = tempfile::tempdir().unwrap();
    let plane = Plane::start(&api, folder.path(), Setup::default()).await;
    let topic = plane::broker(&api, "default").await;
    let secure = format!("{}/default/default", plane.secure_url);
    becomes(
        &sender().endpoint(&secure, Some(authority(&first))).unwrap(),
        Some(202),
    )
    .await;
    let before = plane.store.status(&topic).await.unwrap().next;
    for round in 0..60 {
        if round == 20 {
            // The key of another certificate: what was shown is shown still.
            let mut broken = first.clone();
            broken.insert(Profile::TLS.key.to_owned(), made()[Profile::TLS.key].clone());
            store(&api, &broken).await;
        }
        if round == 40 {
            store(&api, &second).await;
        }
        // A connection for each: the certificate of the moment is looked at.
        let endpoint = sender().endpoint(&secure, Some(authority(&first))).unwrap();
        assert_eq!(post(&endpoint, &round.to_string()).await, Some(202), "{round}");
    }
    assert_eq!(plane.store.status(&topic).await.unwrap().next, before + 60);
    let other = made();
    store(&api, &other).await;
    becomes(
        &sender().endpoint(&secure, Some(authority(&other))).unwrap(),
        Some(202),
    )
    .await;
    plane.stop().await;
}

/// What the ConfigMaps labelled as trust bundles hold is trusted by those who send, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn trust_bundles_vouch_for_receivers() {
    let api = plane::api().await;
    plane::configure(&api, json!({"transport-encryption": "permissive"})).await;
    let certificate = made();
    store(&api, &certificate).await;
    plane::broker(&api, "default").await;
    let other = plane::broker(&api, "other").await;
    let folder = tempfile::tempdir().unwrap();
    let plane = Plane::start(&api, folder.path(), Setup::default()).await;
    let url = plane.serves("/default/default").await;
    // Its status has no CACerts.
    let receiver = format!("{}/default/other", plane.secure_url);
    let delivery = json!({"retry": 1000, "backoffPolicy": "linear", "backoffDelay": "PT0.01S"});
    let spec = json!({"broker": "default", "subscriber": {}, "delivery": delivery});
    plane::trigger(&api, "t", spec, &receiver).await;
    assert_eq!(plane.producer.event(&url, "1", &[], "hello").await.status, 202);
    eventually("an attempt that fails", async || {
        let families = plane.registry.gather();
        let retries = families
            .iter()
            .find(|family| family.name() == "event_delivery_retries_total")?;
        let count = retries.get_metric().first()?.get_counter().get_value();
        (count > 0.0).then_some(())
    })
    .await;
    assert_eq!(plane.store.status(&other).await.unwrap().next, 1);

    let maps: Api<ConfigMap> = Api::namespaced(api.client(), EVENTING_NAMESPACE);
    let bundle = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "anchors", "labels": {"networking.knative.dev/trust-bundle": "true"}},
        "data": {"ca.pem": authority(&certificate)},
    });
    let params = PatchParams::apply("test");
    maps.patch("anchors", &params, &Patch::Apply(&bundle))
        .await
        .unwrap();
    eventually("the delivery", async || {
        let next = plane.store.status(&other).await.unwrap().next;
        (next > 1).then_some(())
    })
    .await;
    plane.stop().await;
}
