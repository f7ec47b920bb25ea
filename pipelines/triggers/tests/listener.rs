//! A listener on a real API: from a signed request to objects, once, whatever is sent again or killed.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use crds::triggers::{
    EventListener, Interceptor, Outcome, ReceivedEvent, State, TriggerBinding, TriggerTemplate,
};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use prometheus::Registry;
use serde_json::{Value, json};
use test_api::TestApi;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use triggers::listener::{Config, run};

const NAMESPACE: &str = "ns";

struct Home {
    client: Client,
    _api: TestApi,
}

fn read<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

impl Home {
    async fn start() -> Self {
        let api = TestApi::start().await;
        api.define(&crds::triggers_definitions()).await;
        let client = api.client();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        namespaces
            .create(&PostParams::default(), &read(namespace))
            .await
            .unwrap();
        let home = Self { client, _api: api };
        let secret = json!({"metadata": {"name": "github"}, "stringData": {"secret": "hush"}});
        home.create::<Secret>(secret).await;
        home.create::<TriggerBinding>(json!({
            "metadata": {"name": "push"},
            "spec": {"params": [
                {"name": "ref", "value": "$(body.ref)"}, {"name": "sha", "value": "$(extensions.short)"},
                {"name": "event", "value": "$(context.eventID)"},
            ]},
        }))
        .await;
        home.create::<TriggerTemplate>(template("$(tt.params.ref)")).await;
        home
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    async fn create<K>(&self, object: Value) -> K
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + serde::de::DeserializeOwned
            + serde::Serialize
            + Clone
            + std::fmt::Debug,
    {
        self.api::<K>()
            .create(&PostParams::default(), &read(object))
            .await
            .unwrap()
    }

    async fn listen(&self, name: &str) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, stop) = (self.client.clone(), CancellationToken::new());
        let config = Config {
            namespace: NAMESPACE.to_owned(),
            name: name.to_owned(),
            client_for: Arc::new(move |_| Ok(client.clone())),
            outgoing: event_client::Config {
                allowed: event_client::Allowed::ALL,
                ..event_client::Config::default()
            },
            listener,
            registry: Registry::new(),
            shutdown: stop.clone(),
            grace: Duration::from_secs(5),
        };
        let task = tokio::spawn(async move { run(config).await.unwrap() });
        Running {
            url: format!("http://{address}/"),
            task,
            stop,
        }
    }

    async fn made(&self) -> Vec<ConfigMap> {
        let params = ListParams::default().labels("triggers.tekton.dev/eventlistener");
        self.api::<ConfigMap>().list(&params).await.unwrap().items
    }

    /// The event of that id, when it is done.
    async fn done(&self, id: &str) -> ReceivedEvent {
        let api = self.api::<ReceivedEvent>();
        tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                let event = api.get(id).await.unwrap();
                if event
                    .status
                    .as_ref()
                    .is_some_and(|status| status.state == State::Done)
                {
                    return event;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("the event is done")
    }
}

struct Running {
    url: String,
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Running {
    async fn post(&self, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let http: Http<_, Full<bytes::Bytes>> = Http::builder(TokioExecutor::new()).build_http();
        let mut request = http::Request::post(&self.url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let response = http.request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn template(value: &str) -> Value {
    json!({
        "metadata": {"name": "note"},
        "spec": {
            "params": [{"name": "ref"}, {"name": "sha", "default": "none"}, {"name": "event"}],
            "resourcetemplates": [{
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "push-"},
                "data": {"ref": value, "sha": "$(tt.params.sha)", "event": "$(tt.params.event)", "uid": "$(uid)"},
            }],
        },
    })
}

fn github() -> Value {
    json!({"ref": {"name": "github"}, "params": [
        {"name": "secretRef", "value": {"secretName": "github", "secretKey": "secret"}},
        {"name": "eventTypes", "value": ["push"]},
    ]})
}

fn cel(filter: &str) -> Value {
    json!({"ref": {"name": "cel"}, "params": [
        {"name": "filter", "value": filter},
        {"name": "overlays", "value": [{"key": "short", "expression": "body.after.truncate(7)"}]},
    ]})
}

fn listener(triggers: Value) -> Value {
    json!({"metadata": {"name": "el"}, "spec": {"triggers": triggers}})
}

fn signed(body: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"hush");
    let signature = ring::hmac::sign(&key, body.as_bytes());
    let digits: String = signature
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256={digits}")
}

const BODY: &str = r#"{"ref": "refs/heads/$(params.x)", "after": "0123456789abcdef"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_push_makes_its_objects_once() {
    let home = Home::start().await;
    let trigger = json!({
        "name": "pushes", "interceptors": [github(), cel("body.ref.startsWith('refs/heads/')")],
        "bindings": [{"ref": "push"}], "template": {"ref": "note"},
    });
    let stops = json!({
        "name": "tags", "interceptors": [github(), cel("body.ref.startsWith('refs/tags/')")],
        "bindings": [{"ref": "push"}], "template": {"ref": "note"},
    });
    let stored = home
        .create::<EventListener>(listener(json!([trigger, stops])))
        .await;
    let running = home.listen("el").await;
    let signature = signed(BODY);
    let headers = |signature| {
        [
            ("content-type", "application/json"),
            ("x-github-event", "push"),
            ("x-github-delivery", "d-1"),
            ("x-hub-signature-256", signature),
        ]
    };

    // Nothing is kept of what nobody vouches for.
    let forged = signed("x");
    let (status, said) = running.post(&headers(&forged), BODY).await;
    assert_eq!(
        (status, said["eventListener"].as_str()),
        (401, Some("el")),
        "{said}"
    );
    let (status, _) = running.post(&headers(&signature)[..3], BODY).await;
    assert_eq!(status, 401);
    assert_eq!(running.post(&headers(&signature), "[]").await.0, 400);
    assert!(
        home.api::<ReceivedEvent>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );

    let (status, said) = running.post(&headers(&signature), BODY).await;
    assert_eq!(status, 202, "{said}");
    assert_eq!(said["eventListenerUID"], json!(stored.uid()));
    let id = said["eventID"].as_str().unwrap();
    let event = home.done(id).await;
    let decisions = event.status.unwrap().decisions;
    assert_eq!(decisions.len(), 2);
    assert_eq!(
        (decisions[0].outcome, decisions[0].made.len()),
        (Outcome::Made, 1),
        "{decisions:?}"
    );
    assert_eq!(decisions[1].outcome, Outcome::Stopped, "{decisions:?}");
    assert!(event.spec.content.is_none(), "its body is gone");

    let made = home.made().await;
    let [one] = made.as_slice() else {
        panic!("{made:?}")
    };
    assert_eq!(one.name_any(), decisions[0].made[0].name);
    assert_eq!(one.labels()["triggers.tekton.dev/triggers-eventid"], id);
    assert_eq!(one.labels()["triggers.tekton.dev/trigger"], "pushes");
    let data = one.data.clone().unwrap();
    assert_eq!(data["ref"], "refs/heads/$$(params.x)");
    assert_eq!((data["sha"].as_str(), data["event"].as_str()), ("0123456", id));

    // The same delivery again is the same event, and makes nothing.
    for _ in 0..2 {
        let (status, said) = running.post(&headers(&signature), BODY).await;
        assert_eq!((status, said["eventID"].as_str()), (202, Some(id)));
    }
    // Another delivery of the same body is another event.
    let mut other = headers(&signature);
    other[2].1 = "d-2";
    let (_, said) = running.post(&other, BODY).await;
    home.done(said["eventID"].as_str().unwrap()).await;
    assert_eq!(home.made().await.len(), 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_done_by_whoever_comes_next() {
    let home = Home::start().await;
    // An interceptor that never answers holds the event up until the listener is killed.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let held = json!({
        "interceptors": [{"webhook": {"url": url}}], "bindings": [{"ref": "push"}], "template": {"ref": "note"},
    });
    home.create::<EventListener>(listener(json!([held]))).await;
    let listeners = home.api::<EventListener>();
    let first = home.listen("el").await;
    let large = json!({"ref": "r", "noise": noise()}).to_string();
    let (status, said) = first.post(&[("x-github-delivery", "d")], &large).await;
    assert_eq!(status, 202, "{said}");
    let id = said["eventID"].as_str().unwrap();
    // It is being worked on when the listener dies.
    let _held = tokio::time::timeout(Duration::from_secs(30), silent.accept())
        .await
        .unwrap();
    first.task.abort();
    let left = home.api::<ReceivedEvent>().get(id).await.unwrap();
    assert_eq!(left.status.unwrap().state, State::Accepted);
    assert!(
        left.spec.content.unwrap().more_parts > 0,
        "it takes several objects"
    );
    assert!(home.made().await.is_empty());

    let free = json!({"spec": {"triggers": [{"bindings": [{"ref": "push"}], "template": {"ref": "note"}}]}});
    listeners
        .patch("el", &PatchParams::default(), &Patch::Merge(&free))
        .await
        .unwrap();
    let second = home.listen("el").await;
    let event = home.done(id).await;
    assert_eq!(event.status.unwrap().made, 1);
    assert_eq!(home.made().await.len(), 1);
    let all = home.api::<ReceivedEvent>();
    tokio::time::timeout(Duration::from_secs(30), async {
        while all.list(&ListParams::default()).await.unwrap().items.len() > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("its parts go");
    second.stop().await;
}

/// What does not get smaller, and is larger than one object may be.
fn noise() -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"");
    let mut text = String::new();
    let mut count = 0u32;
    while text.len() < 3 << 20 {
        count += 1;
        for byte in ring::hmac::sign(&key, &count.to_be_bytes()).as_ref() {
            text.push_str(&format!("{byte:02x}"));
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interceptor_that_is_away_for_a_moment_is_asked_again() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let home = Home::start().await;
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", socket.local_addr().unwrap());
    // It closes the first connection, has no time for the second request, and answers the third.
    let interceptor = tokio::spawn(async move {
        let good = r#"{"continue": true, "extensions": {"short": "third"}}"#;
        for (status, body) in [(0, ""), (503, ""), (200, good)] {
            let (mut connection, _) = socket.accept().await.unwrap();
            if status == 0 {
                continue;
            }
            let mut request = Vec::new();
            while !request.ends_with(b"}}") {
                let mut buffer = [0; 4096];
                let read = connection.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the request ends early");
                request.extend_from_slice(&buffer[..read]);
            }
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let config = json!({"metadata": {"name": "mine"}, "spec": {"clientConfig": {"url": url}}});
    home.create::<Interceptor>(config).await;
    let trigger = json!({
        "interceptors": [{"ref": {"name": "mine", "kind": "NamespacedInterceptor"}}],
        "bindings": [{"ref": "push"}], "template": {"ref": "note"},
    });
    home.create::<EventListener>(listener(json!([trigger]))).await;
    let running = home.listen("el").await;
    let (status, said) = running.post(&[], BODY).await;
    assert_eq!(status, 202, "{said}");
    let event = home.done(said["eventID"].as_str().unwrap()).await;
    assert_eq!(event.status.unwrap().failed, 0);
    interceptor.await.unwrap();
    assert_eq!(home.made().await[0].data.clone().unwrap()["sha"], "third");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_tried_again_when_the_delivery_is() {
    let home = Home::start().await;
    let good = json!({"name": "good", "bindings": [{"ref": "push"}], "template": {"ref": "note"}});
    let bad = json!({"name": "bad", "bindings": [{"ref": "push"}], "template": {"ref": "later"}});
    home.create::<EventListener>(listener(json!([good, bad]))).await;
    let running = home.listen("el").await;
    let post = async || {
        let (status, said) = running.post(&[("x-github-delivery", "d")], BODY).await;
        assert_eq!(status, 202, "{said}");
        said["eventID"].as_str().unwrap().to_owned()
    };
    let id = post().await;
    let decisions = home.done(&id).await.status.unwrap().decisions;
    assert_eq!(decisions[0].outcome, Outcome::Made);
    assert_eq!(decisions[1].outcome, Outcome::Failed);
    assert!(
        decisions[1].message.contains("there is no TriggerTemplate"),
        "{decisions:?}"
    );
    assert_eq!(home.made().await.len(), 1);

    let mut later = template("later");
    later["metadata"]["name"] = json!("later");
    home.create::<TriggerTemplate>(later).await;
    assert_eq!(post().await, id);
    tokio::time::timeout(Duration::from_secs(30), async {
        while home.made().await.len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("what failed is made");
    let event = home.done(&id).await;
    assert_eq!(event.status.unwrap().failed, 0);
    assert_eq!(home.made().await.len(), 2);
    running.stop().await;
}
