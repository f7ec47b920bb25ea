//! Events over HTTP become Jobs at an API server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::net::SocketAddr;
use std::time::Duration;

use crds::sinks::JobSink;
use event_sinks::Config;
use informer::Caches;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use prometheus::Registry;
use serde_json::{Value, json};
use test_api::TestApi;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

struct Plane {
    client: Client,
    address: SocketAddr,
    stop: CancellationToken,
    _api: TestApi,
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Plane {
    async fn start() -> Self {
        let api = TestApi::start().await;
        api.define(&crds::all()).await;
        let client = api.client();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(event_sinks::run(Config {
            caches: Caches::new(client.clone()),
            system_namespace: "knative-eventing".to_owned(),
            listeners: vec![listener],
            secure_listeners: Vec::new(),
            registry: Registry::new(),
            shutdown: stop.clone(),
            grace: Duration::from_secs(1),
        }));
        let sink = json!({
            "apiVersion": "sinks.knative.dev/v1alpha1", "kind": "JobSink", "metadata": {"name": "s"},
            "spec": {"job": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}],
            }}}}},
        });
        let sinks: Api<JobSink> = Api::namespaced(client.clone(), "default");
        sinks
            .create(&PostParams::default(), &serde_json::from_value(sink).unwrap())
            .await
            .unwrap();
        let plane = Self {
            client,
            address,
            stop,
            _api: api,
        };
        plane.serves().await;
        plane
    }

    /// Waits until the policies are known.
    async fn serves(&self) {
        for _ in 0..1_000 {
            if self.ask("POST", "/default/s", &[], "").await.0 != 503 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the receivers do not come up");
    }

    /// Status code and head of the answer.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: job-sink\r\nConnection: close\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (code, answer)
    }

    async fn post(&self, source: &str, id: &str) -> (u16, String) {
        self.post_as("", source, id).await
    }

    async fn post_as(&self, authorization: &str, source: &str, id: &str) -> (u16, String) {
        let event = [
            ("ce-specversion", "1.0"),
            ("ce-type", "t"),
            ("ce-source", source),
            ("ce-id", id),
            ("content-type", "application/json"),
            ("authorization", authorization),
        ];
        self.ask("POST", "/default/s", &event, r#"{"a":1}"#).await
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn jobs(&self) -> Vec<Job> {
        self.api::<Job>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
    }
}

fn location(answer: &str) -> String {
    let line = answer
        .lines()
        .find(|line| line.to_lowercase().starts_with("location: "));
    line.unwrap()["location: ".len()..].trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_that_say_little_keep_nobody_out() {
    let plane = Plane::start().await;
    let mut slow = Vec::new();
    for id in 0..200 {
        let mut stream = TcpStream::connect(plane.address).await.unwrap();
        let request = format!(
            "POST /default/s HTTP/1.1\r\nHost: job-sink\r\nce-specversion: 1.0\r\nce-type: t\r\nce-source: /slow\r\n\
             ce-id: {id}\r\nContent-Length: 1000000\r\n\r\nx"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    for id in 0..20 {
        let (code, text) = plane.post("/quick", &id.to_string()).await;
        assert_eq!(code, 202, "{text}");
    }
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_makes_one_job_and_says_how_it_goes() {
    let plane = Plane::start().await;
    let (code, answer) = plane.post("/me", "1").await;
    assert_eq!(code, 202, "{answer}");
    let path = location(&answer);
    assert_eq!(path, "/namespaces/default/name/s/sources/%2Fme/ids/1");
    let jobs = plane.jobs().await;
    let [job] = jobs.as_slice() else {
        panic!("{jobs:?}")
    };
    assert_eq!(job.labels()["sinks.knative.dev/job-sink-name"], "s");
    let secret = plane.api::<Secret>().get(&job.name_any()).await.unwrap();
    let event: Value = serde_json::from_slice(&secret.data.as_ref().unwrap()["event"].0).unwrap();
    assert_eq!(
        event,
        json!({"specversion": "1.0", "type": "t", "source": "/me", "id": "1", "datacontenttype": "application/json", "data": {"a": 1}})
    );
    let owners = secret.owner_references();
    assert_eq!((owners.len(), &owners[0].uid), (1, &job.uid().unwrap()));

    // The same again finds its job; another id makes another.
    assert_eq!(plane.post("/me", "1").await.0, 202);
    assert_eq!(plane.jobs().await.len(), 1);
    assert_eq!(plane.post("/me", "2").await.0, 202);
    assert_eq!(plane.jobs().await.len(), 2);

    assert_eq!(plane.ask("GET", &path, &[], "").await.0, 202);
    for (condition, code, reason) in [
        ("Failed", 400, "reason: Failed"),
        ("Complete", 200, "reason: Complete"),
    ] {
        let status = json!({"status": {"conditions": [{"type": condition, "status": "True"}]}});
        plane
            .api::<Job>()
            .patch_status(&job.name_any(), &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
        let (found, answer) = plane.ask("GET", &path, &[], "").await;
        assert!(
            found == code && answer.to_lowercase().contains(&reason.to_lowercase()),
            "{answer}"
        );
    }
    let unknown = "/namespaces/default/name/s/sources/%2Fme/ids/9";
    assert_eq!(plane.ask("GET", unknown, &[], "").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_is_completed_when_the_event_comes_again() {
    let plane = Plane::start().await;
    let (jobs, secrets) = (plane.api::<Job>(), plane.api::<Secret>());
    assert_eq!(plane.post("/me", "1").await.0, 202);
    let name = plane.jobs().await[0].name_any();
    let now = DeleteParams::default();
    // Secret there, Job not: as if killed in between.
    jobs.delete(&name, &now).await.unwrap();
    assert_eq!(plane.post("/me", "1").await.0, 202);
    let uid = jobs.get(&name).await.unwrap().uid().unwrap();
    assert_eq!(secrets.get(&name).await.unwrap().owner_references()[0].uid, uid);
    // Job there, Secret not.
    secrets.delete(&name, &now).await.unwrap();
    assert_eq!(plane.post("/me", "1").await.0, 202);
    assert_eq!(secrets.get(&name).await.unwrap().owner_references()[0].uid, uid);
    assert_eq!(plane.jobs().await.len(), 1);

    // Two events that share a hash are not taken for one.
    let (code, answer) = plane.post("/m", "e1").await;
    assert_eq!(code, 409, "{answer}");
    assert_eq!(plane.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_for_a_sink_is_refused_in_words() {
    let plane = Plane::start().await;
    let event = [
        ("ce-specversion", "1.0"),
        ("ce-type", "t"),
        ("ce-source", "/me"),
        ("ce-id", "1"),
    ];
    let large = "x".repeat(1024 * 1024 + 1);
    for (method, path, headers, body, code, words) in [
        ("PUT", "/default/s", &event[..], "", 400, "only POST"),
        ("POST", "/default", &event[..], "", 400, "<namespace>"),
        (
            "POST",
            "/default/none",
            &event[..],
            "",
            400,
            "no JobSink default/none",
        ),
        ("POST", "/default/No_Name", &event[..], "", 400, "<namespace>"),
        ("POST", "/default/s", &event[..3], "", 400, "id"),
        (
            "POST",
            "/default/s",
            &event[..],
            large.as_str(),
            413,
            "larger than",
        ),
    ] {
        let (found, answer) = plane.ask(method, path, headers, body).await;
        assert_eq!(found, code, "{method} {path}: {answer}");
        assert!(answer.contains(words), "{method} {path}: {answer}");
    }
    assert!(plane.jobs().await.is_empty());
    let secrets = plane.api::<Secret>().list(&ListParams::default()).await.unwrap();
    assert!(secrets.items.is_empty());
}

const AUDIENCE: &str = "sinks.knative.dev/jobsink/default/s";

/// `Bearer <token>` of a ServiceAccount that is made for it.
async fn token(client: &Client, namespace: &str, name: &str, audience: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let account = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    // There since the first time.
    let _ = accounts.create(&PostParams::default(), &account).await;
    let request = json!({"spec": {"audiences": [audience]}});
    let request = serde_json::from_value(request).unwrap();
    let made = accounts
        .create_token_request(name, &PostParams::default(), &request)
        .await
        .unwrap();
    format!("Bearer {}", made.status.unwrap().token.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_show_who_they_are_while_they_have_identities() {
    let plane = Plane::start().await;
    let client = &plane.client;
    assert_eq!(plane.post_as("Bearer nonsense", "/off", "1").await.0, 202);

    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = serde_json::from_value(json!({"metadata": {"name": "knative-eventing"}})).unwrap();
    let _ = namespaces.create(&PostParams::default(), &system).await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "knative-eventing");
    let map = json!({"metadata": {"name": "config-features"}, "data": {"authentication-oidc": "enabled"}});
    let map = serde_json::from_value(map).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    // Nobody gets in before it is known what tokens must be made for.
    for _ in 0..1_000 {
        if plane.post("/me", "0").await.0 == 500 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = plane.jobs().await.len();
    let sinks = plane.api::<JobSink>();
    let say = async |status: Value| {
        let status = Patch::Merge(json!({ "status": status }));
        sinks
            .patch_status("s", &PatchParams::default(), &status)
            .await
            .unwrap();
    };
    say(json!({"address": {"url": "http://x", "audience": AUDIENCE}})).await;
    let good = token(client, "default", "sender", AUDIENCE).await;
    let other = token(client, "knative-eventing", "sender", AUDIENCE).await;
    let wrong = token(
        client,
        "default",
        "sender",
        "sinks.knative.dev/jobsink/default/other",
    )
    .await;
    for (authorization, code) in [
        ("", 401),
        ("Bearer nonsense", 401),
        (wrong.as_str(), 401),
        (other.as_str(), 403),
        (good.as_str(), 202),
    ] {
        let (found, answer) = plane.post_as(authorization, "/me", "1").await;
        assert_eq!(found, code, "{authorization}: {answer}");
    }
    assert_eq!(plane.jobs().await.len(), before + 1);

    // A policy that is named and not there lets nobody in.
    say(json!({"policies": [{"apiVersion": "eventing.knative.dev/v1alpha1", "name": "gone"}]})).await;
    let (code, answer) = plane.post_as(&good, "/me", "2").await;
    assert_eq!(code, 403, "{answer}");
    assert!(
        answer.contains("system:serviceaccount:default:sender"),
        "{answer}"
    );
}
