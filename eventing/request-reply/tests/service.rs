//! Requests over HTTP, a broker that the test plays, and what comes of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crds::eventing::{Broker, RequestReply};
use event_client::Allowed;
use event_request_reply::{Config, Limits};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use informer::Caches;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use prometheus::Registry;
use proxy::{Body, Handler, Server, ServerConfig};
use serde_json::json;
use test_api::TestApi;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Notes what comes, and accepts it.
struct Played {
    seen: mpsc::UnboundedSender<http::HeaderMap>,
}

impl Handler for Played {
    async fn handle(self: Arc<Self>, request: Request<Body>, _: SocketAddr) -> Response<Body> {
        let (head, body) = request.into_parts();
        let _ = body.collect().await;
        let status = match head.headers["ce-type"].as_bytes() {
            b"refused" => StatusCode::UNAUTHORIZED,
            b"broken" => StatusCode::BAD_REQUEST,
            _ => StatusCode::ACCEPTED,
        };
        let _ = self.seen.send(head.headers);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    }
}

struct Plane {
    address: SocketAddr,
    seen: mpsc::UnboundedReceiver<http::HeaderMap>,
    registry: Registry,
    api: TestApi,
    stop: CancellationToken,
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

impl Plane {
    async fn start(limits: Limits) -> Self {
        let api = TestApi::start().await;
        api.define(&crds::all()).await;
        let namespaces: Api<Namespace> = Api::all(api.client());
        let system = serde_json::from_value(json!({"metadata": {"name": "knative-eventing"}})).unwrap();
        namespaces.create(&PostParams::default(), &system).await.unwrap();

        let stop = CancellationToken::new();
        let (listener, broker) = listen().await;
        let (noting, seen) = mpsc::unbounded_channel();
        let played = Server::new(Arc::new(Played { seen: noting }), ServerConfig::default());
        tokio::spawn(played.run(listener, stop.clone(), Duration::ZERO));
        let (listener, address) = listen().await;
        let registry = Registry::new();
        tokio::spawn(event_request_reply::run(Config {
            caches: Caches::new(api.client()),
            system_namespace: "knative-eventing".to_owned(),
            client: event_client::Config {
                allowed: Allowed::ALL,
                ..event_client::Config::default()
            },
            listeners: vec![listener],
            secure_listeners: Vec::new(),
            registry: registry.clone(),
            shutdown: stop.clone(),
            grace: Duration::from_secs(1),
            limits,
        }));

        let brokers: Api<Broker> = Api::namespaced(api.client(), "default");
        let made = json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": "b"}, "spec": {}});
        let made = serde_json::from_value(made).unwrap();
        brokers.create(&PostParams::default(), &made).await.unwrap();
        let status = json!({"status": {"address": {"url": format!("http://{broker}/default/b")}}});
        brokers
            .patch_status("b", &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
        let plane = Self {
            address,
            seen,
            registry,
            api,
            stop,
        };
        for (name, timeout) in [("patient", "PT1M"), ("hasty", "PT0.2S")] {
            plane.create(name, timeout).await;
        }
        plane.serves().await;
        plane
    }

    async fn create(&self, name: &str, timeout: &str) {
        let objects: Api<RequestReply> = Api::namespaced(self.api.client(), "default");
        let broker = json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "b"});
        let object = json!({
            "apiVersion": "eventing.knative.dev/v1alpha1", "kind": "RequestReply", "metadata": {"name": name},
            "spec": {"brokerRef": broker, "timeout": timeout, "correlationAttribute": "asks", "replyAttribute": "answers"},
        });
        let object = serde_json::from_value(object).unwrap();
        objects.create(&PostParams::default(), &object).await.unwrap();
    }

    /// Waits until objects and keys are known.
    async fn serves(&self) {
        for _ in 0..1_000 {
            let code = self.post("/default/hasty", "ready", &[]).await.0;
            if !matches!(code, 404 | 503) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not come up");
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        ask(self.address, method, path, headers).await
    }

    async fn post(&self, path: &str, event_type: &str, more: &[(&str, &str)]) -> (u16, String) {
        let mut headers = vec![
            ("ce-specversion", "1.0"),
            ("ce-type", event_type),
            ("ce-source", "/me"),
            ("ce-id", "7"),
        ];
        headers.extend(more);
        self.ask("POST", path, &headers).await
    }

    /// What the next event of this type carried to the broker.
    async fn id_of(&mut self, event_type: &str) -> String {
        loop {
            let headers = self.seen.recv().await.unwrap();
            if headers["ce-type"] == event_type {
                return headers["ce-asks"].to_str().unwrap().to_owned();
            }
        }
    }

    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let values = family.get_metric().iter();
        values
            .map(|metric| metric.get_gauge().get_value() + metric.get_counter().get_value())
            .sum()
    }
}

/// Status code and text of the answer.
async fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: request-reply\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "Content-Length: 2\r\n\r\n{}";
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (code, answer)
}

const EVENT: [(&str, &str); 4] = [
    ("ce-specversion", "1.0"),
    ("ce-type", "question"),
    ("ce-source", "/me"),
    ("ce-id", "order:7"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_request_gets_the_event_that_answers_it() {
    let mut plane = Plane::start(Limits::default()).await;
    let address = plane.address;
    let asking = tokio::spawn(async move { ask(address, "POST", "/default/patient", &EVENT).await });
    let id = plane.id_of("question").await;
    assert!(id.starts_with("order:7:"), "{id}");
    assert_eq!(plane.metric("request_reply_waiting") as u64, 1);

    // Forged, and for another RequestReply.
    let mut forged = id.clone().into_bytes();
    let at = "order:7:".len();
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for (path, id) in [
        ("/default/patient/reply", forged.as_str()),
        ("/default/patient/reply", "order:7"),
        ("/default/hasty/reply", id.as_str()),
    ] {
        let (code, answer) = plane.post(path, "answer", &[("ce-answers", id)]).await;
        assert_eq!(code, 400, "{path} {id}: {answer}");
    }
    assert_eq!(plane.post("/default/patient/reply", "answer", &[]).await.0, 400);

    let answer = [("ce-answers", id.as_str()), ("content-type", "application/json")];
    assert_eq!(
        plane.post("/default/patient/reply", "answer", &answer).await.0,
        202
    );
    let (code, text) = asking.await.unwrap();
    assert_eq!(code, 200, "{text}");
    let lower = text.to_lowercase();
    assert!(
        lower.contains("ce-type: answer") && text.ends_with("\r\n\r\n{}"),
        "{text}"
    );
    // A second answer finds nobody.
    assert_eq!(
        plane.post("/default/patient/reply", "answer", &answer).await.0,
        400
    );
    assert_eq!(plane.metric("request_reply_waiting") as u64, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_added_serves_on_and_the_old_one_still_opens() {
    let mut plane = Plane::start(Limits::default()).await;
    let address = plane.address;
    let asking = tokio::spawn(async move { ask(address, "POST", "/default/patient", &EVENT).await });
    let id = plane.id_of("question").await;
    let secrets: Api<Secret> = Api::namespaced(plane.api.client(), "knative-eventing");
    // `zz` sorts last, and so seals. The value is 32 times `a` in base64.
    let added = json!({"data": {"zz": "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="}});
    secrets
        .patch(
            "request-reply-keys",
            &PatchParams::default(),
            &Patch::Merge(added),
        )
        .await
        .unwrap();
    let answer = [("ce-answers", id.as_str())];
    assert_eq!(
        plane.post("/default/patient/reply", "answer", &answer).await.0,
        202
    );
    assert_eq!(asking.await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_outlive_their_key() {
    let mut plane = Plane::start(Limits::default()).await;
    let address = plane.address;
    let asking = tokio::spawn(async move { ask(address, "POST", "/default/patient", &EVENT).await });
    let id = plane.id_of("question").await;
    let secrets: Api<Secret> = Api::namespaced(plane.api.client(), "knative-eventing");
    let mut secret = secrets.get("request-reply-keys").await.unwrap();
    // No key at all, so that it shows when the change is known.
    secret.data = None;
    secrets
        .replace("request-reply-keys", &PostParams::default(), &secret)
        .await
        .unwrap();
    for left in (0..1_000).rev() {
        if plane.post("/default/hasty", "question", &[]).await.0 == 503 {
            break;
        }
        assert!(left > 0, "the change is not followed");
    }
    let answer = [("ce-answers", id.as_str())];
    assert_eq!(
        plane.post("/default/patient/reply", "answer", &answer).await.0,
        202
    );
    assert_eq!(asking.await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_no_longer_than_they_may_and_not_too_many_of_them() {
    let mut plane = Plane::start(Limits {
        waiting: 2,
        waiting_each: 1,
        ..Limits::default()
    })
    .await;
    // As long as it says, and then what comes finds nobody.
    let (code, text) = plane.post("/default/hasty", "question", &[]).await;
    assert!(code == 504 && text.contains("200ms"), "{text}");
    let id = plane.id_of("question").await;
    let (code, _) = plane
        .post("/default/hasty/reply", "answer", &[("ce-answers", &id)])
        .await;
    assert_eq!(code, 400);

    let address = plane.address;
    let asking = tokio::spawn(async move { ask(address, "POST", "/default/patient", &EVENT).await });
    let id = plane.id_of("question").await;
    let (code, text) = plane.post("/default/patient", "question", &[]).await;
    assert!(
        code == 503 && text.to_lowercase().contains("retry-after"),
        "{text}"
    );
    // Others are not held up by it.
    assert_eq!(plane.post("/default/hasty", "question", &[]).await.0, 504);
    let answer = [("ce-answers", id.as_str())];
    assert_eq!(
        plane.post("/default/patient/reply", "answer", &answer).await.0,
        202
    );
    assert_eq!(asking.await.unwrap().0, 200);

    // Who waits when the process ends is told to come again.
    let mut last = EVENT;
    last[1] = ("ce-type", "last");
    let asking = tokio::spawn(async move { ask(address, "POST", "/default/patient", &last).await });
    plane.id_of("last").await;
    plane.stop.cancel();
    assert_eq!(asking.await.unwrap().0, 503);
}

/// Begins a request with a body of `announced` bytes of which only `sent` come.
async fn begin(address: SocketAddr, announced: usize, sent: usize) -> TcpStream {
    let mut request = "POST /default/patient HTTP/1.1\r\nHost: request-reply\r\n".to_owned();
    for (name, value) in EVENT {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {announced}\r\n\r\n{}", "x".repeat(sent));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_by_what_has_come_of_them() {
    let plane = Plane::start(Limits {
        held_bytes: 10_000,
        body_bytes: 8_000,
        ..Limits::default()
    })
    .await;
    // They announce far more than there is room for, and send next to nothing.
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(begin(plane.address, 8_000, 1).await);
    }
    assert_eq!(plane.post("/default/hasty", "question", &[]).await.0, 504);
    // Who really sends that much takes the room of others, and gives it back.
    let large = begin(plane.address, 8_000, 7_999).await;
    let small = async || {
        let mut stream = begin(plane.address, 2_500, 2_500).await;
        let mut answer = [0; 12];
        let read = tokio::time::timeout(Duration::from_millis(300), stream.read_exact(&mut answer));
        // Whoever is let in waits for an answer that nobody gives.
        read.await
            .is_ok()
            .then(|| String::from_utf8(answer.to_vec()).unwrap())
    };
    let mut answered = small().await;
    for _ in 0..100 {
        if answered.is_some() {
            break;
        }
        answered = small().await;
    }
    assert_eq!(answered.as_deref(), Some("HTTP/1.1 503"));
    drop(large);
    for _ in 0..100 {
        answered = small().await;
        if answered.is_none() {
            break;
        }
    }
    assert_eq!(answered, None, "the room is free again");
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_in_words() {
    let plane = Plane::start(Limits::default()).await;
    for (method, path, headers, code) in [
        ("OPTIONS", "/default/patient", &EVENT[..0], 200),
        ("GET", "/default/patient", &EVENT[..], 405),
        ("POST", "/default", &EVENT[..], 400),
        ("POST", "/default/nobody", &EVENT[..], 404),
        ("POST", "/default/nobody/reply", &EVENT[..], 404),
        ("POST", "/default/patient", &EVENT[..3], 400),
    ] {
        let (found, answer) = plane.ask(method, path, headers).await;
        assert_eq!(found, code, "{method} {path}: {answer}");
        assert!(answer.to_lowercase().contains("allow: post, options"), "{answer}");
    }
    for (event_type, code) in [("refused", 502), ("broken", 400)] {
        let (found, answer) = plane.post("/default/patient", event_type, &[]).await;
        assert_eq!(found, code, "{answer}");
    }
    assert_eq!(plane.metric("request_reply_waiting_limit") as u64, 4_096);
}
