//! The embedded API server over HTTPS with the platform's kinds, a player for the controllers, and the program under test.
#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster_apiserver::{ApiServer, Config, LogOptions, LogStream, NodeApi, StatusError, write_kubeconfig};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A digest for every image.
pub const DIGEST: &str = "sha256:abcdef0000000000000000000000000000000000000000000000000000000000";

pub struct Cluster {
    pub client: Client,
    kubeconfig: PathBuf,
    /// Address of the API.
    url: String,
    tasks: Vec<JoinHandle<()>>,
    _server: ApiServer,
    dir: tempfile::TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What a run of the program left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Cluster {
    pub async fn start() -> Self {
        Self::start_with(Arc::new(Logs), &crds::all()).await
    }

    /// A cluster with these kinds, whose containers' logs are read from `node`.
    pub async fn start_with(node: Arc<dyn NodeApi>, kinds: &[CustomResourceDefinition]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::ephemeral(dir.path().join("api"));
        assert!(config.node.connect(node));
        let server = ApiServer::open(config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let kubeconfig = dir.path().join("kubeconfig");
        write_kubeconfig(&kubeconfig, &server.kubeconfig_entry("test", &url), true).unwrap();
        let client = server.client();
        define(&client, kinds).await;
        let serving = server.clone();
        let tasks = vec![
            tokio::spawn(async move {
                serving
                    .serve(listener, std::future::pending::<()>())
                    .await
                    .unwrap();
            }),
            tokio::spawn(play(client.clone())),
        ];
        Self {
            client,
            kubeconfig,
            url,
            tasks,
            _server: server,
            dir,
        }
    }

    /// A folder for files.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// A cluster in which `kn service create web` has run already.
    pub async fn with_web(image: &str) -> Self {
        let cluster = Self::start().await;
        cluster
            .kn(&format!("service create web --image {image}"))
            .await
            .code(0);
        cluster
    }

    /// Runs the program with the cluster's kubeconfig; `line` is split at blanks.
    pub async fn kn(&self, line: &str) -> Ran {
        self.kn_with(line, "").await
    }

    /// As [`Self::kn`], with standard input.
    pub async fn kn_with(&self, line: &str, input: &str) -> Ran {
        self.finish(self.command(line), input).await
    }

    /// What is offered for the last word of `line`, an entry each.
    pub async fn complete(&self, line: &str) -> Ran {
        let mut command = self.command("");
        command.env("KN_COMPLETE", "fish").arg("--").args(line.split(' '));
        self.finish(command, "").await
    }

    /// Runs the program for as long as its lines are read.
    pub fn follow(&self, line: &str) -> Lines {
        let mut child = self.command(line).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Lines { child, lines }
    }

    fn command(&self, line: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_kn"));
        command
            .args(line.split_whitespace())
            .current_dir(self.dir.path())
            .env_clear()
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn finish(&self, mut command: tokio::process::Command, input: &str) -> Ran {
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let ran = child.wait_with_output().await.unwrap();
        Ran {
            code: ran.status.code().unwrap_or(-1),
            out: String::from_utf8(ran.stdout).unwrap(),
            err: String::from_utf8(ran.stderr).unwrap(),
        }
    }

    /// A service as it is stored.
    pub async fn service(&self, name: &str) -> Value {
        serde_json::to_value(api(&self.client, "Service").get(name).await.unwrap()).unwrap()
    }

    /// An object as it is stored, if it is there; `path` is group, version and plural.
    pub async fn find(&self, path: &str, name: &str) -> Option<Value> {
        let object = resource(&self.client, path).get_opt(name).await.unwrap();
        object.map(|object| serde_json::to_value(object).unwrap())
    }

    /// As [`Self::find`], of an object that is there.
    pub async fn get(&self, path: &str, name: &str) -> Value {
        self.find(path, name).await.unwrap()
    }

    /// Plays the controllers of events: the object becomes ready, with `status` besides.
    pub async fn settle(&self, path: &str, name: &str, mut status: Value) {
        let generation = self.get(path, name).await["metadata"]["generation"].clone();
        status["observedGeneration"] = generation;
        status["conditions"] =
            json!([{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }]);
        resource(&self.client, path)
            .patch_status(
                name,
                &PatchParams::default(),
                &Patch::Merge(json!({ "status": status })),
            )
            .await
            .unwrap();
    }

    /// Plays the gateway of this machine: services have this domain, and are served at this port.
    pub async fn serve_domain(&self, domain: &str, port: u16) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = json!({ "metadata": { "name": "knative-serving" } });
        let namespace = serde_json::from_value(namespace).unwrap();
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), "knative-serving");
        let map = json!({ "metadata": { "name": "config-domain" }, "data": { domain: "" } });
        maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap())
            .await
            .unwrap();
        let run = json!({ "apiUrl": self.url, "gatewayUrl": format!("http://{domain}:{port}/") });
        std::fs::write(self.dir.path().join("run.json"), run.to_string()).unwrap();
    }

    /// Makes the account that every namespace has.
    pub async fn make_account(&self) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), "default");
        let account = json!({ "metadata": { "name": "default" } });
        let account = serde_json::from_value(account).unwrap();
        accounts.create(&PostParams::default(), &account).await.unwrap();
    }

    /// What a token is good for, as the server says.
    pub async fn audiences(&self, token: &str) -> Vec<String> {
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let review = json!({ "spec": { "token": token, "audiences": ["spindrift-events", "other", "eventing.knative.dev/broker/default/default"] } });
        let review = serde_json::from_value(review).unwrap();
        let review = reviews.create(&PostParams::default(), &review).await.unwrap();
        review.status.unwrap().audiences.unwrap()
    }

    /// Changes a service behind the program's back.
    pub async fn patch(&self, name: &str, change: Value) {
        api(&self.client, "Service")
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
    }
}

/// The lines of a program that runs.
pub struct Lines {
    child: tokio::process::Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Lines {
    /// The next line, once there is one.
    pub async fn next(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(60), self.lines.next_line());
        line.await.unwrap().unwrap().unwrap()
    }

    /// Waits for the end, and returns what has not been read.
    pub async fn end(mut self) -> Ran {
        let mut out = Vec::new();
        let read = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                out.push(line);
            }
            self.child.wait_with_output().await.unwrap()
        };
        let ran = tokio::time::timeout(Duration::from_secs(60), read).await.unwrap();
        Ran {
            code: ran.status.code().unwrap_or(-1),
            out: out.join("\n"),
            err: String::from_utf8(ran.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Asserts the exit code, and returns standard output.
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "{}\n{}", self.out, self.err);
        self
    }

    /// Asserts that standard output contains each of the tokens.
    pub fn says(self, tokens: &[&str]) -> Self {
        for token in tokens {
            assert!(
                self.out.contains(token),
                "no {token:?} in\n{}\n{}",
                self.out,
                self.err
            );
        }
        self
    }

    /// Asserts that standard error contains each of the tokens.
    pub fn complains(self, tokens: &[&str]) -> Self {
        for token in tokens {
            assert!(
                self.err.contains(token),
                "no {token:?} in\n{}\n{}",
                self.out,
                self.err
            );
        }
        self
    }
}

fn resource(client: &Client, path: &str) -> Api<DynamicObject> {
    let [group, version, plural]: [&str; 3] = path.split('/').collect::<Vec<_>>().try_into().unwrap();
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, ""), plural);
    Api::namespaced_with(client.clone(), "default", &resource)
}

fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("serving.knative.dev", "v1", kind),
        &format!("{}s", kind.to_lowercase()),
    );
    Api::namespaced_with(client.clone(), "default", &resource)
}

async fn define(client: &Client, wanted: &[CustomResourceDefinition]) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in wanted {
        definitions
            .create(&PostParams::default(), definition)
            .await
            .unwrap();
    }
    let established = async || {
        let list = definitions.list(&ListParams::default()).await.unwrap();
        let is_there = |definition: &CustomResourceDefinition| {
            let conditions = definition
                .status
                .clone()
                .unwrap_or_default()
                .conditions
                .unwrap_or_default();
            conditions
                .iter()
                .any(|condition| condition.type_ == "Established" && condition.status == "True")
        };
        list.items
            .iter()
            .filter(|definition| is_there(definition))
            .count()
            == wanted.len()
    };
    tokio::time::timeout(Duration::from_secs(60), async {
        while !established().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}

/// Every container has logged these lines.
struct Logs;

impl NodeApi for Logs {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<LogStream, StatusError>> {
        assert_eq!((container, options.tail_lines), ("user-container", Some(10)));
        let lines = futures::stream::iter([Ok(Bytes::from("starting\npanic: no database\n"))]);
        Box::pin(async move { Ok(lines.boxed()) })
    }
}

/// Plays the controllers: each new template gets a revision, and the image's name decides what becomes of it.
async fn play(client: Client) {
    let services = api(&client, "Service");
    let mut templates: HashMap<String, (Value, String)> = HashMap::new();
    let mut events = watcher::watcher(services.clone(), watcher::Config::default()).boxed();
    while let Ok(Some(event)) = events.try_next().await {
        let (Event::Apply(service) | Event::InitApply(service)) = event else {
            continue;
        };
        let name = service.name_any();
        let service = serde_json::to_value(service).unwrap();
        if service["metadata"]["generation"] == service["status"]["observedGeneration"] {
            continue;
        }
        let generation = service["metadata"]["generation"].as_i64().unwrap();
        let template = service["spec"]["template"].clone();
        let known = templates.get(&name).filter(|(known, _)| *known == template);
        let revision = match known {
            Some((_, revision)) => revision.clone(),
            None => {
                let revision = make_revision(&client, &name, generation, &template).await;
                templates.insert(name.clone(), (template.clone(), revision.clone()));
                revision
            }
        };
        let status = service_status(&service, &template, &revision, generation);
        let _ = services
            .patch_status(
                &name,
                &PatchParams::default(),
                &Patch::Merge(json!({ "status": status })),
            )
            .await;
    }
}

fn image(template: &Value) -> &str {
    template["spec"]["containers"][0]["image"].as_str().unwrap()
}

fn service_status(service: &Value, template: &Value, revision: &str, generation: i64) -> Value {
    let ready = match image(template) {
        image if image.contains("never") => ("Unknown", "Deploying", "waiting"),
        image if image.contains("missing") || image.contains("crash") => (
            "False",
            "RevisionFailed",
            "Revision failed with message: it broke.",
        ),
        _ => ("True", "", ""),
    };
    let mut status = json!({
        "observedGeneration": generation, "url": format!("http://{}.default.example.com", service["metadata"]["name"].as_str().unwrap()),
        "latestCreatedRevisionName": revision,
        "conditions": [{ "type": "Ready", "status": ready.0, "reason": ready.1, "message": ready.2, "lastTransitionTime": "2026-01-01T00:00:00Z" }],
    });
    if ready.0 == "True" {
        let declared = service["spec"]["traffic"].as_array().cloned().unwrap_or_default();
        let mut traffic = if declared.is_empty() {
            vec![json!({ "latestRevision": true, "percent": 100 })]
        } else {
            declared
        };
        for target in &mut traffic {
            if target["latestRevision"] == true {
                target["revisionName"] = json!(revision);
            }
        }
        status["latestReadyRevisionName"] = json!(revision);
        status["traffic"] = json!(traffic);
    }
    status
}

async fn make_revision(client: &Client, service: &str, generation: i64, template: &Value) -> String {
    let name = template["metadata"]["name"]
        .as_str()
        .map_or_else(|| format!("{service}-{generation:05}"), str::to_owned);
    let revision = json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
        "metadata": { "name": name, "annotations": template["metadata"]["annotations"], "labels": {
            "serving.knative.dev/service": service, "serving.knative.dev/configurationGeneration": generation.to_string() } },
        "spec": template["spec"] });
    let revisions = api(client, "Revision");
    revisions
        .create(&PostParams::default(), &serde_json::from_value(revision).unwrap())
        .await
        .unwrap();
    let image = image(template);
    let failed = image.contains("missing") || image.contains("crash");
    let reason = if image.contains("missing") {
        "ContainerMissing"
    } else {
        "ExitCode3"
    };
    let condition = match failed {
        true => {
            json!({ "type": "Ready", "status": "False", "reason": reason, "message": "it broke", "lastTransitionTime": "2026-01-01T00:00:00Z" })
        }
        false => json!({ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }),
    };
    let repository = image.split(['@', ':']).next().unwrap();
    let status = json!({ "status": { "conditions": [condition], "actualReplicas": 1, "desiredReplicas": 1,
        "containerStatuses": [{ "name": "user-container", "imageDigest": format!("{repository}@{DIGEST}") }] } });
    revisions
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    if image.contains("crash") {
        crash(client, &name).await;
    }
    name
}

/// A pod whose container ended.
async fn crash(client: &Client, revision: &str) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("{revision}-pod"), "labels": { "serving.knative.dev/revision": revision } },
        "spec": { "containers": [{ "name": "user-container", "image": "i" }] } });
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap())
        .await
        .unwrap();
    let status = json!({ "status": { "containerStatuses": [{ "name": "user-container", "ready": false, "restartCount": 2,
        "image": "i", "imageID": "i", "state": { "terminated": { "exitCode": 3, "reason": "Error" } } }] } });
    pods.patch_status(
        &format!("{revision}-pod"),
        &PatchParams::default(),
        &Patch::Merge(status),
    )
    .await
    .unwrap();
}

/// Takes one request without a body, and answers it.
pub async fn answer(listener: &TcpListener, status: &str, text: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap();
        head.push(char::from(byte));
    }
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    head
}
