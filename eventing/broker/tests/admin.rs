//! What operators are answered.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/all.rs"]
mod support;

use crds::eventing::Trigger;
use http::Method;
use http_body_util::BodyExt as _;
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
    // What became of it meanwhile may follow.
    assert_eq!(lines(&tail.text)[..1], seen);

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

/// The lines of an answer as they come.
struct Stream {
    body: hyper::body::Incoming,
    read: Vec<u8>,
}

impl Stream {
    async fn open(url: &str, token: &str) -> Self {
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
        let client: hyper_util::client::legacy::Client<_, http_body_util::Empty<bytes::Bytes>> =
            client.build_http();
        let request = http::Request::get(url).header("authorization", token);
        let response = client
            .request(request.body(http_body_util::Empty::new()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body(),
            read: Vec::new(),
        }
    }

    async fn line(&mut self) -> Value {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return serde_json::from_slice(&line).unwrap();
            }
            let frame = tokio::time::timeout(support::SOON, self.body.frame()).await;
            let frame = frame.expect("a line comes").expect("it goes on").unwrap();
            self.read.extend_from_slice(frame.data_ref().unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_tells_what_each_subscriber_answered() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    plane::broker(&api, "default").await;
    let replying = Subscriber::replying(|event| {
        (&*event.type_ == "dev.example").then(|| event::Event::new("answer", "/answers", "dev.answer"))
    })
    .await;
    let of_type =
        |kind: &str| json!({"broker": "default", "subscriber": {}, "filter": {"attributes": {"type": kind}}});
    plane::trigger(&api, "replying", of_type("dev.example"), &replying.url).await;
    plane::trigger(&api, "other", of_type("dev.other"), &replying.url).await;
    let mut broken = of_type("dev.example");
    broken["delivery"] = json!({"retry": 1, "backoffPolicy": "linear", "backoffDelay": "PT0.01S"});
    plane::trigger(&api, "broken", broken, "http://127.0.0.1:1/").await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    let url = plane.serves("/default/default").await;
    let token = token(&api, "default", "spindrift-events").await;
    let tail = format!(
        "{}/.spindrift/v1/namespaces/default/brokers/default/tail?filtered=true",
        plane.url
    );
    let mut lines = Stream::open(&tail, &token).await;
    assert_eq!(plane.producer.event(&url, "1", &[], "").await.status, 202);

    let first = lines.line().await;
    assert_eq!(first["event"]["id"], "1", "{first}");
    let mut shown = vec![first["position"].clone()];
    let mut seen = Vec::new();
    // The event and its answer; each at three triggers, of which one tries twice and keeps the dead letter.
    while shown.len() < 2 || seen.len() < 8 {
        let line = lines.line().await;
        if line.get("event").is_some() {
            shown.push(line["position"].clone());
            continue;
        }
        assert!(shown.contains(&line["position"]), "{line}");
        let number = shown.iter().position(|position| *position == line["position"]);
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        if line["outcome"] == "delivered" {
            assert_eq!(
                (&line["code"], &line["reply"]["stored"]),
                (
                    &json!(200),
                    &shown[0].as_u64().map_or(Value::Null, |at| json!(at + 1))
                ),
                "{line}"
            );
            assert_eq!(text("destination"), replying.url);
            assert!(line["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
        }
        if text("trigger") == "broken" && ["retry", "failed"].contains(&text("outcome").as_str()) {
            assert!(text("reason").contains("cannot connect"), "{line}");
            assert_eq!(line.get("code"), None, "nothing was answered: {line}");
        }
        seen.push((
            number.unwrap(),
            text("trigger"),
            text("outcome"),
            line["attempt"].as_u64(),
        ));
    }
    seen.sort();
    let row = |number, trigger: &str, outcome: &str, attempt| {
        (number, trigger.to_owned(), outcome.to_owned(), attempt)
    };
    assert_eq!(
        seen,
        [
            row(0, "broken", "failed", Some(2)),
            row(0, "broken", "kept", Some(1)),
            row(0, "broken", "retry", Some(1)),
            row(0, "other", "filtered", None),
            row(0, "replying", "delivered", Some(1)),
            row(1, "broken", "filtered", None),
            row(1, "other", "filtered", None),
            row(1, "replying", "filtered", None),
        ]
    );
    drop(lines);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_tells_of_deliveries_that_failed_for_good() {
    use k8s_openapi::api::core::v1::Event;
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    plane::broker(&api, "default").await;
    let spec = json!({"broker": "default", "subscriber": {}});
    plane::trigger(&api, "broken", spec, "http://127.0.0.1:1/").await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    let url = plane.serves("/default/default").await;
    for id in ["1", "2", "3"] {
        assert_eq!(plane.producer.event(&url, id, &[], "").await.status, 202);
    }
    let events: Api<Event> = Api::namespaced(api.client(), "default");
    let told = eventually("an Event", async || {
        let listed = events.list(&Default::default()).await.unwrap().items;
        listed
            .into_iter()
            .find(|event| event.reason.as_deref() == Some("DeliveryFailed"))
    })
    .await;
    let triggers: Api<Trigger> = Api::namespaced(api.client(), "default");
    let trigger = triggers.get("broken").await.unwrap();
    let about = &told.involved_object;
    assert_eq!(
        (about.kind.as_deref(), &about.uid),
        (Some("Trigger"), &trigger.metadata.uid)
    );
    assert_eq!(told.type_.as_deref(), Some("Warning"));
    let message = told.message.unwrap();
    assert!(
        message.contains("http://127.0.0.1:1/")
            && message.contains("cannot connect")
            && message.contains("kept"),
        "{message}"
    );
    plane.stop().await;
}
