//! Senders with identities.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/all.rs"]
mod support;

use crds::eventing::{Broker, EventPolicy, Trigger};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::eventually;
use support::plane::{self, Plane, Setup};
use test_api::TestApi;

const AUDIENCE: &str = "eventing.knative.dev/broker/default/default";

async fn status<K>(api: &TestApi, name: &str, status: Value)
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let objects: Api<K> = Api::namespaced(api.client(), "default");
    let patch = Patch::Merge(json!({ "status": status }));
    objects
        .patch_status(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

async fn account(api: &TestApi, namespace: &str, name: &str) {
    let accounts: Api<ServiceAccount> = Api::namespaced(api.client(), namespace);
    let account = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
}

async fn token(api: &TestApi, namespace: &str, name: &str, audience: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(api.client(), namespace);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let made = accounts
        .create_token_request(name, &PostParams::default(), &request)
        .await
        .unwrap();
    format!("Bearer {}", made.status.unwrap().token.unwrap())
}

/// What an event with this `Authorization` is answered.
async fn answered(plane: &Plane, authorization: &str) -> u16 {
    let url = format!("{}/default/default", plane.url);
    let headers = [
        ("content-type", "application/json"),
        ("authorization", authorization),
    ];
    let headers = if authorization.is_empty() {
        &headers[..1]
    } else {
        &headers[..]
    };
    plane.producer.event(&url, "1", headers, "{}").await.status
}

async fn becomes(plane: &Plane, authorization: &str, status: u16) {
    eventually(&format!("{status}"), async || {
        (answered(plane, authorization).await == status).then_some(())
    })
    .await;
}

fn address(audience: &str) -> Value {
    json!({"address": {"url": "http://x", "audience": audience}})
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_show_tokens_and_policies_say_which_pass() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    plane::broker(&api, "default").await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    plane.serves("/default/default").await;
    // While the feature is off nobody looks.
    assert_eq!(answered(&plane, "").await, 202);
    assert_eq!(answered(&plane, "Bearer nonsense").await, 202);

    plane::configure(&api, json!({"authentication-oidc": "Enabled"})).await;
    becomes(&plane, "", 500).await;
    status::<Broker>(&api, "default", address(AUDIENCE)).await;
    becomes(&plane, "", 401).await;

    account(&api, "default", "sender").await;
    account(&api, "knative-eventing", "sender").await;
    let good = token(&api, "default", "sender", AUDIENCE).await;
    let other = token(&api, "knative-eventing", "sender", AUDIENCE).await;
    let wrong = token(
        &api,
        "default",
        "sender",
        "eventing.knative.dev/broker/default/other",
    )
    .await;
    // Of the right shape and audience, signed by nobody.
    let forged = format!("{}x", &good[..good.len() - 1]);
    for (authorization, expected) in [
        ("Bearer nonsense", 401),
        (wrong.as_str(), 401),
        (forged.as_str(), 401),
        ("Basic eDp5", 401),
        (good.as_str(), 202),
        (other.as_str(), 403),
        (good.as_str(), 202),
    ] {
        assert_eq!(answered(&plane, authorization).await, expected, "{authorization}");
    }

    // A policy takes the place of the mode. The events of the test are of type `dev.example`.
    let policies: Api<EventPolicy> = Api::namespaced(api.client(), "default");
    for (name, event_type) in [("first", "dev.other"), ("second", "dev.example")] {
        let policy = json!({
            "apiVersion": "eventing.knative.dev/v1alpha1", "kind": "EventPolicy", "metadata": {"name": name},
            "spec": {"filters": [{"exact": {"type": event_type}}]},
        });
        let policy = serde_json::from_value(policy).unwrap();
        policies.create(&PostParams::default(), &policy).await.unwrap();
        let from = json!({"from": ["system:serviceaccount:KNATIVE-eventing:*"]});
        status::<EventPolicy>(&api, name, from).await;
    }
    let named = |names: &[&str]| {
        let all = names
            .iter()
            .map(|name| json!({"apiVersion": "eventing.knative.dev/v1alpha1", "name": name}));
        json!({"policies": all.collect::<Vec<_>>()})
    };
    status::<Broker>(&api, "default", named(&["first"])).await;
    becomes(&plane, &good, 403).await;
    assert_eq!(answered(&plane, &other).await, 403);
    status::<Broker>(&api, "default", named(&["first", "second"])).await;
    becomes(&plane, &other, 202).await;
    assert_eq!(answered(&plane, &good).await, 403);
    // One that speaks of the broker and does not hold must not open it.
    let unready = json!({"policies": [], "conditions": [{"type": "EventPoliciesReady", "status": "False"}]});
    status::<Broker>(&api, "default", unready).await;
    becomes(&plane, &other, 403).await;
    assert_eq!(answered(&plane, &good).await, 403);

    plane::configure(&api, json!({"authentication-oidc": "disabled"})).await;
    becomes(&plane, "", 202).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_send_as_their_account() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    plane::configure(&api, json!({"authentication-oidc": "enabled"})).await;
    plane::broker(&api, "default").await;
    let target = plane::broker(&api, "target").await;
    let audience = "eventing.knative.dev/broker/default/target";
    status::<Broker>(&api, "default", address(AUDIENCE)).await;
    status::<Broker>(&api, "target", address(audience)).await;
    account(&api, "default", "sender").await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    let good = token(&api, "default", "sender", AUDIENCE).await;
    becomes(&plane, &good, 202).await;

    let spec = json!({
        "broker": "default", "subscriber": {},
        "delivery": {"retry": 20, "backoffPolicy": "linear", "backoffDelay": "PT0.05S"},
    });
    let url = format!("{}/default/target", plane.url);
    account(&api, "default", "link-account").await;
    plane::trigger(&api, "link", spec, &url).await;
    let identity = json!({"subscriberAudience": audience, "auth": {"serviceAccountName": "link-account"}});
    status::<Trigger>(&api, "link", identity).await;
    let arrived = async || plane.store.status(&target).await.unwrap().next;
    let sent = async || assert_eq!(answered(&plane, &good).await, 202);
    eventually("an event to come through with a token", async || {
        sent().await;
        (arrived().await > 0).then_some(())
    })
    .await;
    let tokens = || {
        let families = plane.registry.gather();
        let found = families
            .iter()
            .find(|family| family.name() == "event_identity_tokens");
        found.map(|family| family.get_metric()[0].get_gauge().get_value())
    };
    eventually("the token to be counted", async || {
        (tokens() == Some(1.0)).then_some(())
    })
    .await;
    plane.stop().await;
}
