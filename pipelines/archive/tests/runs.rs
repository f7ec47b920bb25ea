//! The archive against an API server: the test is the controller of runs, and the node that has their logs.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use archive::{Bounds, Config, Kind, Store, Subject};
use bytes::Bytes;
use cluster_apiserver::{ApiServer, LogOptions, LogStream, NodeApi, StatusError};
use crds::serving::Revision;
use crds::tekton::{PipelineRun, TaskRun};
use futures::StreamExt;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Empty};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};
use reconciler::{Caches, Object};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node whose containers have written one line each.
struct Logs;

impl NodeApi for Logs {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        pod: &'a str,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<LogStream, StatusError>> {
        assert!(options.timestamps);
        let line = Bytes::from(format!("2026-01-01T00:00:00Z {container} was in {pod}\n"));
        Box::pin(async move { Ok(futures::stream::iter([Ok(line)]).boxed()) })
    }
}

struct Cluster {
    client: Client,
    store: Arc<Store>,
    address: std::net::SocketAddr,
    running: JoinHandle<()>,
    _server: ApiServer,
    _folder: tempfile::TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Cluster {
    /// A cluster that keeps one run of each pipeline.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = cluster_apiserver::Config::ephemeral(folder.path().join("api"));
        assert!(config.node.connect(Arc::new(Logs)));
        let server = ApiServer::open(config).await.unwrap();
        let client = server.client();
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let revisions = crds::all()
            .into_iter()
            .filter(|crd| crd.spec.names.kind == "Revision");
        for crd in crds::tekton_definitions().into_iter().chain(revisions) {
            definitions.create(&PostParams::default(), &crd).await.unwrap();
            let name = crd.name_any();
            let established = await_condition(definitions.clone(), &name, is_crd_established());
            tokio::time::timeout(PATIENCE, established)
                .await
                .unwrap()
                .unwrap();
        }
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = json!({ "metadata": { "name": "tekton-pipelines" } });
        namespaces
            .create(
                &PostParams::default(),
                &serde_json::from_value(namespace).unwrap(),
            )
            .await
            .unwrap();
        let mut map = archive::manifest();
        map.data = Some([("global-config".to_owned(), "historyLimit: 1".to_owned())].into());
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "tekton-pipelines");
        maps.create(&PostParams::default(), &map).await.unwrap();

        let store = Arc::new(Store::open(&folder.path().join("archive"), Bounds::default()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            listeners: vec![listener],
            ..Config::new(store.clone())
        };
        let running = tokio::spawn(archive::run_until(
            Caches::new(client.clone()),
            config,
            Box::pin(std::future::pending()),
        ));
        Self {
            client,
            store,
            address,
            running,
            _server: server,
            _folder: folder,
        }
    }

    fn api<K: Object<Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Makes an object with its status.
    async fn make<K: Object<Scope = NamespaceResourceScope>>(&self, object: Value) -> K {
        let status = object["status"].clone();
        let made: K = serde_json::from_value(object).unwrap();
        let made = self
            .api::<K>()
            .create(&PostParams::default(), &made)
            .await
            .unwrap();
        if status.is_null() {
            return made;
        }
        let change = Patch::Merge(json!({ "status": status }));
        self.api::<K>()
            .patch_status(&made.name_any(), &PatchParams::default(), &change)
            .await
            .unwrap()
    }

    /// A run of a pipeline that ended long ago, with one task and its pod.
    async fn ended(&self, name: &str, end: &str) -> PipelineRun {
        let run: PipelineRun = self
            .make(json!({ "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
                "metadata": { "name": name, "labels": { "tekton.dev/pipeline": "p" } }, "spec": { "pipelineRef": { "name": "p" } } }))
            .await;
        let task_run: TaskRun = self
            .make(json!({ "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
                "metadata": { "name": format!("{name}-t"), "ownerReferences": [owner(&run)] }, "spec": {} ,
                "status": over(end) }))
            .await;
        self.pod(&format!("{name}-t-pod"), &task_run, "terminated").await;
        let change = Patch::Merge(json!({ "status": over(end) }));
        self.api::<PipelineRun>()
            .patch_status(name, &PatchParams::default(), &change)
            .await
            .unwrap()
    }

    async fn pod(&self, name: &str, task_run: &TaskRun, state: &str) -> Pod {
        let inner = if state == "terminated" {
            json!({ "exitCode": 0 })
        } else {
            json!({})
        };
        self.make(json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "labels": { "tekton.dev/taskRun": task_run.name_any() }, "ownerReferences": [owner(task_run)] },
            "spec": { "containers": [{ "name": "step-a", "image": "i" }, { "name": "sidecar-s", "image": "i" }], "nodeName": "n" },
            "status": { "phase": "Running", "containerStatuses": [{ "name": "step-a", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": { state: inner } }] } }))
        .await
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("not in time: {what}");
        }
    }

    async fn is_gone<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str) {
        self.until(name, async || {
            self.api::<K>().get_opt(name).await.unwrap().is_none()
        })
        .await;
    }

    async fn has(&self, kind: Kind, name: &str) {
        let subject = Subject {
            kind,
            namespace: "default".to_owned(),
            name: name.to_owned(),
        };
        self.until(name, async || !self.store.find(&subject).is_empty())
            .await;
    }

    async fn token(&self, audience: &str) -> String {
        let accounts: Api<ServiceAccount> = self.api();
        if accounts.get_opt("default").await.unwrap().is_none() {
            let account = serde_json::from_value(json!({ "metadata": { "name": "default" } })).unwrap();
            let _ = accounts.create(&PostParams::default(), &account).await;
        }
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(vec![audience.to_owned()]),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let made = accounts
            .create_token_request("default", &PostParams::default(), &request)
            .await
            .unwrap();
        made.status.unwrap().token.unwrap()
    }

    /// Asks the archive; status and text.
    async fn ask(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request =
            http::Request::get(format!("/.spindrift/v1/namespaces/default/{path}")).header("host", "archive");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        connection.abort();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

fn owner<K: Object>(owner: &K) -> Value {
    json!(reconciler::object::controller_reference(owner).unwrap())
}

fn over(end: &str) -> Value {
    json!({ "completionTime": end, "conditions": [{ "type": "Succeeded", "status": "True", "reason": "Succeeded", "lastTransitionTime": end }] })
}

#[tokio::test]
async fn what_is_pruned_can_still_be_read() {
    let cluster = Cluster::start().await;
    let old = cluster.ended("old", "2026-01-01T00:00:00Z").await;
    cluster.ended("new", "2026-01-02T00:00:00Z").await;
    cluster.is_gone::<PipelineRun>("old").await;
    assert!(
        cluster
            .api::<PipelineRun>()
            .get_opt("new")
            .await
            .unwrap()
            .is_some()
    );

    let token = cluster.token("spindrift-logs").await;
    let (status, text) = cluster.ask("pipelineruns/old", Some(&token)).await;
    assert_eq!(status, 200, "{text}");
    let run: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(run["metadata"]["uid"], json!(old.metadata.uid));
    assert_eq!(run["kind"], "PipelineRun");
    assert_eq!(run["status"]["conditions"][0]["status"], "True");
    let (status, text) = cluster.ask("taskruns/old-t", Some(&token)).await;
    assert_eq!(status, 200, "{text}");
    let (status, text) = cluster.ask("pods/old-t-pod/log", Some(&token)).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({ "step": "a", "log": "2026-01-01T00:00:00Z step-a was in old-t-pod" })
    );

    // Who may not act in the namespace learns nothing, not even what there is.
    assert_eq!(cluster.ask("pipelineruns/old", None).await.0, 401);
    assert_eq!(cluster.ask("pipelineruns/none", None).await.0, 401);
    let other = cluster.token("spindrift-events").await;
    assert_eq!(cluster.ask("pipelineruns/old", Some(&other)).await.0, 401);
    assert_eq!(cluster.ask("pipelineruns/none", Some(&token)).await.0, 404);
    let foreign = "../other/pipelineruns/old";
    assert!([401, 403, 404].contains(&cluster.ask(foreign, Some(&token)).await.0));
}

#[tokio::test]
async fn the_run_of_a_serving_revision_stays() {
    let cluster = Cluster::start().await;
    cluster
        .make::<Revision>(json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
            "metadata": { "name": "web-1", "annotations": { "spindrift.dev/build": "built" }, "labels": { "serving.knative.dev/routingState": "active" } },
            "spec": { "containers": [{ "image": "i@sha256:1" }] } }))
        .await;
    cluster.ended("built", "2026-01-01T00:00:00Z").await;
    cluster.ended("between", "2026-01-02T00:00:00Z").await;
    cluster.ended("new", "2026-01-03T00:00:00Z").await;
    cluster.is_gone::<PipelineRun>("between").await;
    assert!(
        cluster
            .api::<PipelineRun>()
            .get_opt("built")
            .await
            .unwrap()
            .is_some()
    );
    // As soon as it serves no more, it goes.
    let change =
        Patch::Merge(json!({ "metadata": { "labels": { "serving.knative.dev/routingState": "reserve" } } }));
    cluster
        .api::<Revision>()
        .patch("web-1", &PatchParams::default(), &change)
        .await
        .unwrap();
    cluster.is_gone::<PipelineRun>("built").await;
}

#[tokio::test]
async fn logs_outlive_pods_that_are_deleted() {
    let cluster = Cluster::start().await;
    let run: TaskRun = cluster
        .make(json!({ "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": { "name": "t" }, "spec": {} }))
        .await;
    cluster.pod("ended", &run, "terminated").await;
    cluster.has(Kind::Pod, "ended").await;
    cluster.pod("running", &run, "running").await;
    let token = cluster.token("spindrift-logs").await;
    assert_eq!(cluster.ask("pods/running/log", Some(&token)).await.0, 404);
    cluster
        .api::<Pod>()
        .delete("running", &DeleteParams::default())
        .await
        .unwrap();
    cluster.has(Kind::Pod, "running").await;
    let (status, text) = cluster.ask("pods/running/log", Some(&token)).await;
    assert_eq!(status, 200);
    assert!(text.contains("step-a was in running"), "{text}");
    // A run that somebody deletes is remembered, too.
    let change = Patch::Merge(json!({ "status": over("2026-01-01T00:00:00Z") }));
    cluster
        .api::<TaskRun>()
        .patch_status("t", &PatchParams::default(), &change)
        .await
        .unwrap();
    cluster.has(Kind::TaskRun, "t").await;
    cluster
        .api::<TaskRun>()
        .delete("t", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(cluster.ask("taskruns/t", Some(&token)).await.0, 200);
}
