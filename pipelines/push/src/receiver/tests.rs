use std::collections::BTreeMap;

use crds::spindrift::{PushState, RepositoryStatus};
use http_body_util::BodyExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use ring::hmac;
use serde_json::{Value, json};
use test_api::TestApi;

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

/// An API with a Repository `web` whose secret is `hush`, and a receiver that knows it.
struct Home {
    api: TestApi,
    receiver: Arc<Receiver>,
}

impl Home {
    async fn start() -> Self {
        let api = TestApi::start().await;
        api.define(&crds::spindrift_definitions()).await;
        let secrets: Api<Secret> = Api::namespaced(api.client(), "default");
        secrets
            .create(&PostParams::default(), &secret("hush"))
            .await
            .unwrap();
        let repositories: Api<Repository> = Api::namespaced(api.client(), "default");
        let repository: Repository = serde_json::from_value(json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"},
            "spec": {"url": "http://git/app", "branch": "main", "service": "web", "webhook": {"secretRef": {"name": "hook"}}},
        }))
        .unwrap();
        repositories
            .create(&PostParams::default(), &repository)
            .await
            .unwrap();
        let receiver = receiver(&api).await;
        Self { api, receiver }
    }

    fn repositories(&self) -> Api<Repository> {
        Api::namespaced(self.api.client(), "default")
    }

    async fn status(&self) -> RepositoryStatus {
        self.repositories()
            .get("web")
            .await
            .unwrap()
            .status
            .unwrap_or_default()
    }
}

async fn receiver(api: &TestApi) -> Arc<Receiver> {
    let caches = Caches::new(api.client());
    let receiver = Receiver::new(&caches, Arc::new(|| Timestamp::UNIX_EPOCH));
    caches.synced().await;
    Arc::new(receiver)
}

fn secret(lines: &str) -> Secret {
    Secret {
        metadata: serde_json::from_value(json!({"name": "hook"})).unwrap(),
        data: Some(BTreeMap::from([(
            "secret".to_owned(),
            ByteString(lines.as_bytes().to_vec()),
        )])),
        ..Secret::default()
    }
}

fn push(before: &str, after: &str) -> String {
    json!({"ref": "refs/heads/main", "before": before, "after": after, "commits": []}).to_string()
}

fn signed(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// What a receiver answers to a delivery of GitHub.
async fn deliver(
    receiver: &Arc<Receiver>,
    path: &str,
    event: &str,
    id: &str,
    signature: &str,
    body: &str,
) -> (u16, String) {
    let mut request = Request::post(path)
        .header("x-github-event", event)
        .header("x-github-delivery", id)
        .header("content-length", body.len());
    if !signature.is_empty() {
        request = request.header("x-hub-signature-256", signature);
    }
    let request = request.body(Body::full(body.to_owned())).unwrap();
    let answer = receiver
        .clone()
        .handle(request, SocketAddr::from(([127, 0, 0, 1], 1)))
        .await;
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&text).into_owned())
}

async fn delivered(receiver: &Arc<Receiver>, id: &str, body: &str) -> Value {
    let (status, text) = deliver(receiver, "/default/web", "push", id, &signed("hush", body), body).await;
    assert_eq!(status, 202, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_noted_before_it_is_answered_however_often_it_comes() {
    let home = Home::start().await;
    let first = delivered(&home.receiver, "1", &push(A, B)).await;
    let run = first["run"].as_str().unwrap();
    let noted = home.status().await;
    assert_eq!((noted.sequence, noted.pushes[0].run.as_str()), (1, run));
    assert_eq!(noted.pushes[0].state, PushState::Accepted);
    // The same delivery, the same push in another, and another replica.
    assert_eq!(delivered(&home.receiver, "1", &push(A, B)).await["run"], run);
    assert_eq!(delivered(&home.receiver, "2", &push(A, B)).await["run"], run);
    let other = receiver(&home.api).await;
    assert_eq!(delivered(&other, "3", &push(A, B)).await["run"], run);
    assert_eq!(home.status().await, noted);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_give_each_push_a_number_of_its_own() {
    let home = Home::start().await;
    let other = receiver(&home.api).await;
    let mut deliveries = tokio::task::JoinSet::new();
    for number in 0..8_u32 {
        let receiver = if number % 2 == 0 {
            home.receiver.clone()
        } else {
            other.clone()
        };
        deliveries.spawn(async move {
            let body = json!({"ref": format!("refs/heads/{number}"), "before": A, "after": B});
            delivered(&receiver, &number.to_string(), &body.to_string()).await
        });
    }
    let change = json!({"spec": {"previews": true}});
    drop(deliveries.join_all().await);
    // Other branches are not built: they are remembered, but get no number.
    assert_eq!(home.status().await.sequence, 0);
    let params = PatchParams::default();
    home.repositories()
        .patch("web", &params, &Patch::Merge(change))
        .await
        .unwrap();
    let receivers = [receiver(&home.api).await, receiver(&home.api).await];
    let mut deliveries = tokio::task::JoinSet::new();
    for number in 0..6_usize {
        let receiver = receivers[number % 2].clone();
        deliveries.spawn(async move {
            let body = json!({"ref": format!("refs/heads/x{number}"), "before": A, "after": B});
            delivered(&receiver, &format!("x{number}"), &body.to_string()).await
        });
    }
    for answer in deliveries.join_all().await {
        assert!(answer["run"].is_string(), "{answer}");
    }
    let mut numbers: Vec<i64> = home
        .status()
        .await
        .pushes
        .iter()
        .map(|push| push.sequence)
        .collect();
    numbers.retain(|number| *number > 0);
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_push_does_not_come_after_a_newer_one() {
    let home = Home::start().await;
    delivered(&home.receiver, "2", &push(B, C)).await;
    let late = delivered(&home.receiver, "1", &push(A, B)).await;
    assert_eq!(late["run"], Value::Null);
    assert_eq!(late["pushes"][0]["skipped"], "a newer push had come before it");
    assert_eq!(home.status().await.sequence, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_know_the_secret_is_turned_away() {
    let home = Home::start().await;
    let body = push(A, B);
    let good = signed("hush", &body);
    let wrong = signed("hash", &body);
    for (path, event, signature, status) in [
        ("/default/web", "push", "", 401),
        ("/default/web", "push", wrong.as_str(), 401),
        ("/default/web", "push", "sha256=00", 400),
        ("/default/web", "ping", good.as_str(), 200),
        ("/default/web", "issues", good.as_str(), 202),
        ("/default/other", "push", good.as_str(), 404),
        ("/web", "push", good.as_str(), 404),
    ] {
        let (found, text) = deliver(&home.receiver, path, event, "1", signature, &body).await;
        assert_eq!(found, status, "{path} {event} {signature}: {text}");
    }
    assert_eq!(home.status().await, RepositoryStatus::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_secrets_are_both_good_while_they_change() {
    let home = Home::start().await;
    let secrets: Api<Secret> = Api::namespaced(home.api.client(), "default");
    let both = json!({"data": secret("new\nhush\n").data});
    secrets
        .patch("hook", &PatchParams::default(), &Patch::Merge(both))
        .await
        .unwrap();
    for (id, known, body) in [("1", "hush", push(A, B)), ("2", "new", push(B, C))] {
        let (status, text) = deliver(
            &home.receiver,
            "/default/web",
            "push",
            id,
            &signed(known, &body),
            &body,
        )
        .await;
        assert_eq!(status, 202, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_not_read() {
    let home = Home::start().await;
    let request = Request::post("/default/web")
        .header("x-github-event", "push")
        .header("content-length", MAX_BODY + 1)
        .body(Body::empty())
        .unwrap();
    let answer = home
        .receiver
        .clone()
        .handle(request, SocketAddr::from(([127, 0, 0, 1], 1)))
        .await;
    assert_eq!(answer.status(), 413);
    let get = Request::get("/default/web").body(Body::empty()).unwrap();
    let answer = home
        .receiver
        .clone()
        .handle(get, SocketAddr::from(([127, 0, 0, 1], 1)))
        .await;
    assert_eq!(answer.status(), 405);
}
