//! What operators are answered.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail"
)]

#[path = "support/all.rs"]
mod support;

use crds::eventing::Trigger;
use http::Method;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use support::eventually;
use support::plane::{self, Plane, Setup};
use support::subscriber::Subscriber;
use test_api::TestApi;

/// A token of an account of this namespace.
async fn token(api: &TestApi, namespace: &str, audience: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(api.client(), namespace);
    let account = serde_json::from_value(json!({"metadata": {"name": "operator"}})).unwrap();
    // Made by the token before.
    let _ = accounts.create(&PostParams::default(), &account).await;
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let made = accounts
        .create_token_request("operator", &PostParams::default(), &request)
        .await
        .unwrap();
    format!("Bearer {}", made.status.unwrap().token.unwrap())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_events_and_send_dead_letters_again() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    plane::broker(&api, "default").await;
    // Nobody listens there, and nothing is tried again.
    let spec = json!({"broker": "default", "subscriber": {}});
    plane::trigger(&api, "broken", spec.clone(), "http://127.0.0.1:1/").await;
    let mut healthy = Subscriber::start().await;
    plane::trigger(&api, "healthy", spec, &healthy.url).await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    let url = plane.serves("/default/default").await;
    assert_eq!(
        plane
            .producer
            .event(&url, "1", &[("content-type", "application/json")], "{\n\"a\":1}")
            .await
            .status,
        202
    );
    assert_eq!(healthy.next().await.event.id, "1");

    let token = token(&api, "default", "spindrift-events").await;
    let headers = [("authorization", token.as_str())];
    let at = |rest: &str| {
        format!(
            "{}/.spindrift/v1/namespaces/default/brokers/default/{rest}",
            plane.url
        )
    };
    let tail = plane
        .producer
        .send(Method::GET, &at("tail?from=earliest&follow=false"), &headers, "")
        .await;
    let seen = lines(&tail.text);
    assert_eq!((tail.status, seen.len()), (200, 1));
    assert_eq!(
        (&seen[0]["event"]["id"], &seen[0]["event"]["data"]),
        (&json!("1"), &json!({"a": 1}))
    );
    // Follows until one has come, which is there already.
    let tail = plane
        .producer
        .send(Method::GET, &at("tail?from=1&limit=1"), &headers, "")
        .await;
    assert_eq!(lines(&tail.text), seen);

    let letters = eventually("a dead letter", async || {
        let answer = plane
            .producer
            .send(Method::GET, &at("dead-letters"), &headers, "")
            .await;
        let letters = lines(&answer.text);
        (letters.len() == 1).then_some(letters)
    })
    .await;
    assert_eq!(
        (&letters[0]["failure"]["consumer"], &letters[0]["event"]["id"]),
        (&json!("broken"), &json!("1"))
    );

    let mut mended = Subscriber::start().await;
    let triggers: Api<Trigger> = Api::namespaced(api.client(), "default");
    let status = json!({"status": {"subscriberUri": mended.url}});
    triggers
        .patch_status("broken", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
    let position = letters[0]["position"].as_u64().unwrap();
    eventually("the mended trigger gets it", async || {
        let replay = at(&format!("replay?position={position}&position=99"));
        let answer = plane.producer.send(Method::POST, &replay, &headers, "").await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, r#"{"replayed":1,"skipped":1}"#)
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        (!mended.is_idle()).then_some(())
    })
    .await;
    assert!(healthy.is_idle(), "only the trigger that failed gets it again");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_turned_away() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    plane::broker(&api, "default").await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    plane.serves("/default/default").await;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(api.client());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "elsewhere"}})).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let good = token(&api, "default", "spindrift-events").await;
    let other = token(&api, "default", "another-audience").await;
    let stranger = token(&api, "elsewhere", "spindrift-events").await;
    for (token, path, status) in [
        ("", "default/tail?follow=false", 401),
        ("Bearer nonsense", "default/tail?follow=false", 401),
        (&other, "default/tail?follow=false", 401),
        (&stranger, "default/tail?follow=false", 403),
        (&good, "default/tail?follow=false", 200),
        (&good, "other/tail?follow=false", 404),
        (&good, "default/nothing", 404),
        (&good, "default/tail?from=x", 400),
        (&good, "default/replay?all=true", 405),
        ("", "default/dead-letters", 401),
    ] {
        let url = format!("{}/.spindrift/v1/namespaces/default/brokers/{path}", plane.url);
        let answer = plane
            .producer
            .send(Method::GET, &url, &[("authorization", token)], "")
            .await;
        assert_eq!(answer.status, status, "{path} {}", answer.text);
    }
    plane.stop().await;
}
