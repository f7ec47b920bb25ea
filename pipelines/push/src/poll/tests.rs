use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::spindrift::{PushState, RepositoryStatus};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use reconciler::{Caches, Recorder};
use serde_json::json;
use test_api::TestApi;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::run::{Config, Unbuildable};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A git server whose branch is at a commit, for who shows what it wants to see.
struct GitHost {
    url: String,
    commit: Arc<Mutex<&'static str>>,
    asked: Arc<AtomicUsize>,
}

impl GitHost {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self {
            url: format!("http://{}/app.git", listener.local_addr().unwrap()),
            commit: Arc::new(Mutex::new(A)),
            asked: Arc::default(),
        };
        let (commit, asked) = (host.commit.clone(), host.asked.clone());
        let shown = format!("authorization: basic {}", STANDARD.encode("me:word")).to_ascii_lowercase();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                asked.fetch_add(1, Ordering::Relaxed);
                let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
                assert!(
                    head.starts_with("get /app.git/info/refs?service=git-upload-pack "),
                    "{head}"
                );
                let line = format!("{} refs/heads/main\n", *commit.lock());
                let body = format!(
                    "001e# service=git-upload-pack\n0000{:04x}{line}0000",
                    line.len() + 4
                );
                let status = if head.contains(&shown) {
                    "200 OK"
                } else {
                    "401 Unauthorized"
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        host
    }
}

async fn create<K>(client: &kube::Client, object: serde_json::Value)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), "default");
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap())
        .await
        .unwrap();
}

struct Home {
    _api: TestApi,
    client: kube::Client,
    polls: Polls,
    key: Key,
}

impl Home {
    async fn start(host: &GitHost) -> Self {
        let api = TestApi::start().await;
        let of_serving = crds::all().into_iter().filter(|crd| {
            crd.spec.group == "serving.knative.dev"
                && ["Service", "Revision"].contains(&crd.spec.names.kind.as_str())
        });
        let definitions: Vec<_> = of_serving
            .chain(crds::tekton_definitions())
            .chain(crds::spindrift_definitions())
            .collect();
        api.define(&definitions).await;
        let client = api.client();
        create::<Secret>(
            &client,
            json!({
                "metadata": {"name": "git", "annotations": {"tekton.dev/git-0": host.url.replace("/app.git", "")}},
                "type": "kubernetes.io/basic-auth", "stringData": {"username": "me", "password": "word"},
            }),
        )
        .await;
        create::<ServiceAccount>(
            &client,
            json!({"metadata": {"name": "cloner"}, "secrets": [{"name": "git"}]}),
        )
        .await;
        create::<Repository>(
            &client,
            json!({
                "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"},
                "spec": {
                    "url": host.url, "branch": "main", "service": "web", "poll": "1m0s", "serviceAccountName": "cloner",
                },
            }),
        )
        .await;
        let mut config = Config::new("registry", Arc::new(|_| Err(Unbuildable::No(String::new()))));
        config.outgoing.allowed.loopback = true;
        let caches = Caches::new(client.clone());
        let shared = Shared::new(&caches, Recorder::silent(), &config);
        let polls = Polls {
            applier: shared.applier("test"),
            client: Client::new(config.outgoing),
            asked: Mutex::default(),
            shared,
        };
        caches.synced().await;
        Self {
            _api: api,
            client,
            polls,
            key: Key::new("default", "web"),
        }
    }

    async fn set_status(&self, status: serde_json::Value) {
        let api: Api<Repository> = Api::namespaced(self.client.clone(), "default");
        let change = Patch::Merge(json!({"status": status}));
        let stored = api
            .patch_status("web", &PatchParams::default(), &change)
            .await
            .unwrap();
        self.polls.shared.repositories.record(stored);
    }

    /// Has the host asked as if the time had come.
    async fn ask(&self) -> RepositoryStatus {
        if let Some(asked) = self.polls.asked.lock().get_mut(&self.key) {
            asked.at -= Duration::from_secs(60);
        }
        let next = self.polls.reconcile(&self.key).await.unwrap();
        assert_eq!(next, Next::After(Duration::from_secs(60)));
        let repository = self.polls.shared.repositories.get(&self.key).unwrap();
        repository.status.clone().unwrap_or_default()
    }

    fn problem(&self) -> Option<String> {
        self.polls.asked.lock().get(&self.key)?.problem.clone()
    }
}

#[tokio::test]
async fn a_branch_that_moved_is_noted_once() {
    let host = GitHost::start().await;
    let home = Home::start(&host).await;
    // Before it was built as it is there is nothing to compare with.
    assert!(home.ask().await.pushes.is_empty());
    home.set_status(json!({"sequence": 1, "pushes": [
        {"sequence": 1, "ref": "refs/heads/main", "after": A, "run": "r", "state": "Started"},
    ]}))
    .await;
    assert_eq!(home.ask().await.pushes.len(), 1);
    *host.commit.lock() = B;
    let pushes = home.ask().await.pushes;
    let last = pushes.last().unwrap();
    assert_eq!(
        (
            last.before.as_str(),
            last.after.as_str(),
            last.state,
            last.sequence
        ),
        (A, B, PushState::Accepted, 2)
    );
    assert!(!last.run.is_empty());
    assert_eq!(home.ask().await.pushes.len(), 2);
    assert_eq!(home.problem(), None);

    // Until the time has come, nobody is asked, however often the Repository changes.
    let asked = host.asked.load(Ordering::Relaxed);
    let next = home.polls.reconcile(&home.key).await.unwrap();
    assert!(
        matches!(next, Next::After(rest) if rest <= Duration::from_secs(60)),
        "{next:?}"
    );
    assert_eq!(host.asked.load(Ordering::Relaxed), asked);
}

#[tokio::test]
async fn who_may_not_ask_is_told() {
    let host = GitHost::start().await;
    let home = Home::start(&host).await;
    let secrets: Api<Secret> = Api::namespaced(home.client.clone(), "default");
    let change = Patch::Merge(json!({"data": {"password": STANDARD.encode("old")}}));
    secrets
        .patch("git", &PatchParams::default(), &change)
        .await
        .unwrap();
    home.ask().await;
    let problem = home.problem().unwrap();
    assert!(problem.contains("401") && problem.contains("Secret"), "{problem}");
}

#[test]
fn answers_that_are_none_are_told() {
    let answer = |status: StatusCode, location: Option<&'static str>| {
        let place = location.map(|place| (LOCATION, HeaderValue::from_static(place)));
        let answer = web::Answer {
            status,
            headers: place.into_iter().collect(),
            body: Bytes::from_static(b"<html>"),
        };
        read(&answer, "refs/heads/main").unwrap_err().to_string()
    };
    let place = "https://git/me/app.git/info/refs?service=git-upload-pack";
    assert_eq!(
        answer(StatusCode::MOVED_PERMANENTLY, Some(place)),
        "it redirects to https://git/me/app.git: let spec.url say so"
    );
    assert_eq!(answer(StatusCode::NOT_FOUND, None), "it answers 404 Not Found");
    assert!(answer(StatusCode::OK, None).contains("smart protocol"));
}

#[test]
fn who_asks_is_no_part_of_the_address() {
    for (url, asked) in [
        ("https://example.com/me/web.git", "https://example.com/me/web.git"),
        (
            "https://t0ken@example.com/me/web.git",
            "https://example.com/me/web.git",
        ),
        ("http://me:t0ken@git:3000/web", "http://git:3000/web"),
        ("no address", "no address"),
    ] {
        assert_eq!(place(url), asked);
    }
}
