use bytes::Bytes;
use http_body_util::BodyExt;
use kube::api::{Patch, PatchParams, PostParams};
use ring::hmac;
use serde_json::{Value, json};
use test_api::TestApi;

use super::*;
use crate::test_support::{PATIENCE, Received, api, receiver, sink};
use event::Event;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

const BODY: &str = r#"{"ref": "refs/heads/main", "compare": "https://x/compare/a...b", "repository": {"name": "web", "owner": {"login": "me"}}}"#;

/// A source as the control plane leaves it, and its secret `hush`.
async fn source(api: &TestApi, sink: &str) {
    let secrets: Api<Secret> = Api::namespaced(api.client(), "default");
    let secret =
        serde_json::from_value(json!({"metadata": {"name": "signing"}, "stringData": {"value": "hush"}}))
            .unwrap();
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let sources: Api<GitHubSource> = Api::namespaced(api.client(), "default");
    let key = |name: &str| json!({"secretKeyRef": {"name": name, "key": "value"}});
    let source: GitHubSource = serde_json::from_value(json!({
        "apiVersion": "sources.knative.dev/v1alpha1", "kind": "GitHubSource", "metadata": {"name": "web"},
        "spec": {
            "ownerAndRepository": "me/web", "eventTypes": ["push", "issues"], "accessToken": key("access"),
            "secretToken": key("signing"), "sink": {"uri": sink}, "ceOverrides": {"extensions": {"room": "7"}},
        },
    }))
    .unwrap();
    sources.create(&PostParams::default(), &source).await.unwrap();
    let status = json!({"status": {"sinkUri": sink}});
    sources
        .patch_status("web", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

fn signed(secret: &str, body: &str) -> String {
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
        body.as_bytes(),
    );
    let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// A delivery over a connection of its own: the status and the text of the answer.
async fn deliver(
    at: SocketAddr,
    path: &str,
    event: &str,
    id: &str,
    signature: &str,
    body: &str,
) -> (u16, String) {
    let stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(path)
        .header("host", "x")
        .header("content-type", "application/json")
        .header("x-github-event", event)
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", signature)
        .body(http_body_util::Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap();
    let answer = tokio::time::timeout(PATIENCE, sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&text).into_owned())
}

/// A receiver whose source is known.
async fn serving(api: &TestApi, sink: &str) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    source(api, sink).await;
    receiver(api).await
}

async fn received(events: &mut Received) -> Event {
    crate::test_support::received(events).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_delivery_is_one_event_however_often_it_comes() {
    let api = api().await;
    let (url, mut events) = sink(Vec::new()).await;
    let (at, running) = serving(&api, &url).await;
    let signature = signed("hush", BODY);
    for _ in 0..3 {
        assert_eq!(
            deliver(at, "/default/web", "push", "d-1", &signature, BODY).await,
            (202, String::new())
        );
    }
    assert_eq!(
        deliver(at, "/default/web", "push", "d-2", &signature, BODY)
            .await
            .0,
        202
    );
    let event = received(&mut events).await;
    assert_eq!(
        (&*event.id, &*event.type_),
        ("d-1", "dev.knative.source.github.push")
    );
    assert_eq!(&*event.source, "https://github.com/me/web");
    assert_eq!(event.data.as_deref(), Some(BODY.as_bytes()));
    let text = |name| {
        event
            .get(name)
            .map(|value| value.text().into_owned())
            .unwrap_or_default()
    };
    assert_eq!(
        (text("subject"), text("ref")),
        ("a...b".to_owned(), "refs/heads/main".to_owned())
    );
    assert_eq!(
        (text("owner"), text("repository"), text("room")),
        ("me".to_owned(), "web".to_owned(), "7".to_owned())
    );
    assert_eq!(&*received(&mut events).await.id, "d-2");
    assert!(events.try_recv().is_err());
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_unwanted_or_misdirected_makes_no_event() {
    let api = api().await;
    let (url, mut events) = sink(Vec::new()).await;
    let (at, running) = serving(&api, &url).await;
    let good = signed("hush", BODY);
    let short = good[..good.len() - 2].to_owned();
    for (path, event, signature, body, status, text) in [
        (
            "/default/web",
            "push",
            signed("guess", BODY),
            BODY,
            400,
            "the signature does not fit",
        ),
        (
            "/default/web",
            "push",
            good.clone(),
            "{}",
            400,
            "the signature does not fit",
        ),
        (
            "/default/web",
            "push",
            signed("", BODY),
            BODY,
            400,
            "the signature does not fit",
        ),
        ("/default/web", "push", short, BODY, 400, "must be sha256= and 64"),
        (
            "/default/web",
            "push",
            signed("hush", "[1]"),
            "[1]",
            400,
            "not one JSON object",
        ),
        (
            "/default/web",
            "fork",
            good.clone(),
            BODY,
            404,
            "does not want events of the type \"fork\"",
        ),
        ("/default/web", "ping", good.clone(), BODY, 200, ""),
        (
            "/default/other",
            "push",
            good.clone(),
            BODY,
            404,
            "there is no GitHubSource default/other",
        ),
        ("/default", "push", good.clone(), BODY, 404, "webhooks go to"),
        (
            "/default/web/x",
            "push",
            good.clone(),
            BODY,
            404,
            "webhooks go to",
        ),
    ] {
        let (found, told) = deliver(at, path, event, "d", &signature, body).await;
        assert!(
            found == status && told.contains(text),
            "{path} {event} {body}: {found} {told}"
        );
    }
    assert!(events.try_recv().is_err());
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_fails_is_told_and_the_next_delivery_tries_again() {
    let api = api().await;
    // One attempt is not tried again: the sink says that the event is wrong.
    let (url, mut events) = sink(vec![400, 500]).await;
    let (at, running) = serving(&api, &url).await;
    let signature = signed("hush", BODY);
    let (status, text) = deliver(at, "/default/web", "push", "d-1", &signature, BODY).await;
    assert_eq!(
        (status, text.as_str()),
        (502, "the sink did not take the event: 400\n")
    );
    assert!(!text.contains(&url), "where events go is nobody's business");
    received(&mut events).await;
    // Delivered again: 500 is tried again at once, and the event has the same id.
    assert_eq!(
        deliver(at, "/default/web", "push", "d-1", &signature, BODY)
            .await
            .0,
        202
    );
    assert_eq!(&*received(&mut events).await.id, "d-1");
    assert_eq!(&*received(&mut events).await.id, "d-1");
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_secret_is_taken_up() {
    let api = api().await;
    let (url, _events) = sink(Vec::new()).await;
    let (at, running) = serving(&api, &url).await;
    assert_eq!(
        deliver(at, "/default/web", "push", "d-1", &signed("hush", BODY), BODY)
            .await
            .0,
        202
    );
    let secrets: Api<Secret> = Api::namespaced(api.client(), "default");
    let change = |value: Value| Patch::Merge(json!({"stringData": {"value": value}}));
    secrets
        .patch("signing", &PatchParams::default(), &change(json!("other")))
        .await
        .unwrap();
    let wait = async {
        while deliver(at, "/default/web", "push", "d-2", &signed("other", BODY), BODY)
            .await
            .0
            != 202
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("the new secret is taken up in time");
    let old = deliver(at, "/default/web", "push", "d-3", &signed("hush", BODY), BODY).await;
    assert_eq!(old.0, 400, "{}", old.1);
    secrets.delete("signing", &Default::default()).await.unwrap();
    running.abort();
}

#[test]
fn paths_name_sources() {
    for (path, expected) in [
        ("/ns/web", Some(Key::new("ns", "web"))),
        ("/ns/web/", Some(Key::new("ns", "web"))),
        ("/", None),
        ("", None),
        ("/ns", None),
        ("/ns/", None),
        ("//web", None),
        ("/ns/web/x", None),
        ("*", None),
    ] {
        assert_eq!(key(path), expected, "{path}");
    }
}
