use std::sync::Arc;

use crds::spindrift::{Deployed, RepositoryStatus};
use k8s_openapi::api::core::v1::Event;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use reconciler::{Caches, Recorder};
use serde_json::Value;
use test_api::TestApi;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::run::{Config, Unbuildable};

const COMMIT_ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A git host that answers each request as it is told to; what it was asked.
struct GitHost {
    url: String,
    answer: Arc<Mutex<&'static str>>,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl GitHost {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            answer: Arc::new(Mutex::new("201 Created")),
            seen: Arc::default(),
        };
        let (answer, seen) = (host.answer.clone(), host.seen.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut text = String::new();
                let (head, body) = loop {
                    let mut buffer = [0; 4096];
                    let read = stream.read(&mut buffer).await.unwrap();
                    text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
                    let Some((head, body)) = text.split_once("\r\n\r\n") else {
                        continue;
                    };
                    if let Ok(body) = serde_json::from_str::<Value>(body) {
                        break (head.to_owned(), body);
                    }
                };
                seen.lock().push((head, body));
                let answer = format!(
                    "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                    *answer.lock()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        host
    }

    fn states(&self) -> Vec<String> {
        let seen = self.seen.lock();
        seen.iter()
            .map(|(_, body)| body["state"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// An API with a Repository whose builds are told, and one build.
struct Home {
    _api: TestApi,
    client: kube::Client,
    host: GitHost,
    feedback: Feedback,
    key: Key,
}

impl Home {
    async fn start(allow_loopback: bool) -> Self {
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
        let (client, host) = (api.client(), GitHost::start().await);
        let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
        let secret = json!({"metadata": {"name": "git"}, "stringData": {"token": "t0ken"}});
        secrets
            .create(&PostParams::default(), &serde_json::from_value(secret).unwrap())
            .await
            .unwrap();
        let repositories: Api<Repository> = Api::namespaced(client.clone(), "default");
        let repository = json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"},
            "spec": {
                "url": format!("{}/me/web.git", host.url), "branch": "main", "service": "web",
                "statuses": {"provider": "gitea", "secretRef": {"name": "git"}},
            },
        });
        let repository = repositories
            .create(
                &PostParams::default(),
                &serde_json::from_value(repository).unwrap(),
            )
            .await
            .unwrap();
        let runs: Api<PipelineRun> = Api::namespaced(client.clone(), "default");
        let run = json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {
                "name": "web-1", "labels": {"spindrift.dev/repository": "web"}, "annotations": {COMMIT: COMMIT_ID},
                "ownerReferences": [{
                    "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "name": "web",
                    "uid": repository.metadata.uid, "controller": true,
                }],
            },
            "spec": {"pipelineSpec": {"tasks": [{"name": "t", "taskSpec": {"steps": [{"image": "i"}]}}]}},
        });
        runs.create(&PostParams::default(), &serde_json::from_value(run).unwrap())
            .await
            .unwrap();
        let mut config = Config::new("registry", Arc::new(|_| Err(Unbuildable::No(String::new()))));
        config.outgoing.allowed.loopback = allow_loopback;
        let caches = Caches::new(client.clone());
        let shared = Shared::new(&caches, Recorder::new(client.clone(), "test"), &config);
        let feedback = Feedback {
            applier: shared.applier("test"),
            client: Client::new(config.outgoing),
            attempts: Mutex::default(),
            shared,
        };
        caches.synced().await;
        Self {
            _api: api,
            client,
            host,
            feedback,
            key: Key::new("default", "web-1"),
        }
    }

    async fn reconcile(&self) -> Next {
        self.feedback.reconcile(&self.key).await.unwrap()
    }

    async fn set_status(&self, status: Value) {
        let runs: Api<PipelineRun> = Api::namespaced(self.client.clone(), "default");
        let change = Patch::Merge(json!({"status": status}));
        let stored = runs
            .patch_status("web-1", &PatchParams::default(), &change)
            .await
            .unwrap();
        self.feedback.shared.runs.record(stored);
    }

    fn mark(&self) -> Option<String> {
        let run = self.feedback.shared.runs.get(&self.key).unwrap();
        run.annotations().get(COMMIT_STATUS).cloned()
    }

    async fn warning(&self) -> String {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let looking = async {
            loop {
                let all = events.list(&ListParams::default()).await.unwrap();
                if let Some(message) = all.items.into_iter().find_map(|event| event.message) {
                    return message;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), looking)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn each_state_is_told_once() {
    let home = Home::start(true).await;
    assert_eq!(home.reconcile().await, Next::OnChange);
    assert_eq!(home.reconcile().await, Next::OnChange);
    assert_eq!(home.host.states(), ["pending"]);
    let (head, body) = home.host.seen.lock()[0].clone();
    assert!(
        head.starts_with(&format!("POST /api/v1/repos/me/web/statuses/{COMMIT_ID} ")),
        "{head}"
    );
    assert!(
        head.to_ascii_lowercase().contains("authorization: token t0ken"),
        "{head}"
    );
    assert_eq!(body["context"], "spindrift/web");

    let mut updated = (*home
        .feedback
        .shared
        .repositories
        .get(&Key::new("default", "web"))
        .unwrap())
    .clone();
    updated.status = Some(RepositoryStatus {
        deployed: Some(Deployed {
            run: "web-1".to_owned(),
            ..Deployed::default()
        }),
        ..RepositoryStatus::default()
    });
    home.feedback.shared.repositories.record(updated);
    home.set_status(json!({"conditions": [{"type": "Succeeded", "status": "True"}]}))
        .await;
    home.reconcile().await;
    home.reconcile().await;
    assert_eq!(home.host.states(), ["pending", "success"]);
    assert_eq!(home.mark().as_deref(), Some("success"));
}

#[tokio::test]
async fn a_host_that_fails_is_told_again_but_not_for_ever() {
    let home = Home::start(true).await;
    *home.host.answer.lock() = "502 Bad Gateway";
    let mut pauses = Vec::new();
    while let Next::After(pause) = home.reconcile().await {
        pauses.push(pause.as_secs());
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32]);
    assert_eq!(home.mark().as_deref(), Some("pending refused"));
    assert_eq!(home.reconcile().await, Next::OnChange);
    assert_eq!(home.host.states().len(), 6);
    let warning = home.warning().await;
    assert!(warning.contains("502") && !warning.contains("t0ken"), "{warning}");
    // The next state is another thing.
    *home.host.answer.lock() = "201 Created";
    home.set_status(json!({"conditions": [{"type": "Succeeded", "status": "False"}]}))
        .await;
    home.reconcile().await;
    assert_eq!(home.mark().as_deref(), Some("failure"));
}

#[tokio::test]
async fn a_token_that_is_refused_is_not_tried_again() {
    let home = Home::start(true).await;
    *home.host.answer.lock() = "401 Unauthorized";
    assert_eq!(home.reconcile().await, Next::OnChange);
    assert_eq!(home.host.states().len(), 1);
    assert_eq!(home.mark().as_deref(), Some("pending refused"));
    assert!(home.warning().await.contains("may the token write"));
}

#[tokio::test]
async fn the_own_machine_is_told_nothing_unless_it_may_be() {
    let home = Home::start(false).await;
    assert_eq!(home.reconcile().await, Next::OnChange);
    assert!(home.host.states().is_empty());
    assert!(home.warning().await.contains("loopback"));
}

#[test]
fn runs_have_states() {
    for (status, spec_status, mark, state) in [
        ("Unknown", "", "", State::Pending),
        ("True", "", "", State::Success),
        ("False", "", "", State::Failure),
        ("False", "CancelledRunFinally", "", State::Cancelled),
        ("False", "", "7", State::Cancelled),
    ] {
        let mut run: PipelineRun = serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": "r"},
            "spec": {"status": spec_status}, "status": {"conditions": [{"type": "Succeeded", "status": status}]},
        }))
        .unwrap();
        if !mark.is_empty() {
            run.annotations_mut()
                .insert(SUPERSEDED_BY.to_owned(), mark.to_owned());
        }
        assert_eq!(State::of(&run), state, "{status} {spec_status} {mark}");
    }
}
