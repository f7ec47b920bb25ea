//! The controllers and the receiver, with the API server in process and who would run tasks and Services.

use std::sync::Arc;

use crds::spindrift::Repository;
use crds::tekton::{PipelineRun, PipelineRunSpecStatus, PipelineSpec};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use push::{Config, run_until};
use reconciler::Caches;
use serde_json::{Value, json};
use test_api::TestApi;
pub(crate) use test_api::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SYSTEM: &str = "tekton-pipelines";

pub(crate) struct Home {
    pub(crate) api: TestApi,
    receiver: std::net::SocketAddr,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for Home {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Home {
    pub(crate) async fn start(parallel: usize) -> Self {
        let api = TestApi::start().await;
        let of_serving = crds::all().into_iter().filter(|crd| {
            crd.spec.group == "serving.knative.dev"
                && ["Service", "Revision"].contains(&crd.spec.names.kind.as_str())
        });
        let definitions: Vec<CustomResourceDefinition> = of_serving
            .chain(crds::tekton_definitions())
            .chain(crds::spindrift_definitions())
            .collect();
        api.define(&definitions).await;
        let home = Self {
            receiver: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
            running: tokio::spawn(async {}),
            api,
        };
        home.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}))
            .await;
        home.create(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": push::SERVICE, "namespace": SYSTEM, "annotations": {"eventing.spindrift.dev/external-url": "http://push.example.com"}},
            "spec": {"ports": [{"port": 80}]},
        }))
        .await;
        home.with_controllers(parallel).await
    }

    /// Starts the controllers, again if they ran.
    pub(crate) async fn with_controllers(mut self, parallel: usize) -> Self {
        self.running.abort();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.receiver = listener.local_addr().unwrap();
        let pipeline: push::Pipeline = Arc::new(|job| {
            let tasks = json!({"tasks": [{"name": "build", "taskSpec": {
                "results": [{"name": "IMAGE_URL"}, {"name": "IMAGE_DIGEST"}, {"name": "commit"}, {"name": "tree"}],
                "steps": [{"name": "s", "image": job.image}],
            }}]});
            serde_json::from_value::<PipelineSpec>(tasks)
                .map_err(|error| push::Unbuildable::No(error.to_string()))
        });
        let config = Config {
            parallel,
            ..Config::new("localhost:5000", pipeline)
        };
        let caches = Caches::new(self.api.client());
        self.running = tokio::spawn(run_until(
            caches,
            config,
            vec![listener],
            Box::pin(std::future::pending()),
        ));
        self
    }

    pub(crate) fn objects(&self, object: &Value) -> Api<DynamicObject> {
        let (group, version) = match object["apiVersion"].as_str().unwrap().split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", object["apiVersion"].as_str().unwrap()),
        };
        let kind = object["kind"].as_str().unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match object["metadata"]["namespace"].as_str() {
            _ if kind == "Namespace" => Api::all_with(self.api.client(), &resource),
            Some(namespace) => Api::namespaced_with(self.api.client(), namespace, &resource),
            None => Api::namespaced_with(self.api.client(), "default", &resource),
        }
    }

    pub(crate) async fn create(&self, object: Value) -> DynamicObject {
        let typed: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        self.objects(&object)
            .create(&PostParams::default(), &typed)
            .await
            .unwrap()
    }

    pub(crate) async fn set_status(&self, api_version: &str, kind: &str, name: &str, status: Value) {
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {}});
        let change = Patch::Merge(json!({"status": status}));
        self.objects(&object)
            .patch_status(name, &PatchParams::default(), &change)
            .await
            .unwrap();
    }

    pub(crate) async fn get(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {}});
        let found = self.objects(&object).get_opt(name).await.unwrap()?;
        Some(serde_json::to_value(found).unwrap())
    }

    pub(crate) async fn repository(&self, name: &str) {
        self.create(json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": name},
            "spec": {"url": "http://git/app", "branch": "main", "service": name, "webhook": {"allowUnsigned": true}},
        }))
        .await;
    }

    pub(crate) async fn status(&self, name: &str) -> crds::spindrift::RepositoryStatus {
        let api: Api<Repository> = Api::namespaced(self.api.client(), "default");
        api.get(name).await.unwrap().status.unwrap_or_default()
    }

    pub(crate) async fn runs(&self, repository: &str) -> Vec<PipelineRun> {
        let api: Api<PipelineRun> = Api::namespaced(self.api.client(), "default");
        let of = ListParams::default().labels(&format!("spindrift.dev/repository={repository}"));
        api.list(&of).await.unwrap().items
    }

    /// The run of that name once it may begin.
    pub(crate) async fn begun(&self, name: &str) -> PipelineRun {
        let api: Api<PipelineRun> = Api::namespaced(self.api.client(), "default");
        eventually("run that begins", async || {
            let run = api.get_opt(name).await.unwrap()?;
            (run.spec.status != Some(PipelineRunSpecStatus::PipelineRunPending)).then_some(run)
        })
        .await
    }

    pub(crate) async fn end(&self, run: &str, status: &str, message: &str) {
        let condition = json!({"type": "Succeeded", "status": status, "reason": "Said", "message": message});
        self.set_status(
            "tekton.dev/v1",
            "PipelineRun",
            run,
            json!({"conditions": [condition]}),
        )
        .await;
    }

    /// Tells of a push by the plain form; the run that builds it.
    pub(crate) async fn push(&self, repository: &str, before: char, after: char) -> Option<String> {
        self.push_to(repository, "refs/heads/main", before, after).await
    }

    /// The same of any ref; a `0` is where it was not there, or is not any more.
    pub(crate) async fn push_to(
        &self,
        repository: &str,
        git_ref: &str,
        before: char,
        after: char,
    ) -> Option<String> {
        let hash = |digit: char| digit.to_string().repeat(40);
        let body = format!("push {} {} {git_ref}\n", hash(before), hash(after));
        let mut stream = TcpStream::connect(self.receiver).await.unwrap();
        let request = format!(
            "POST /default/{repository} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Spindrift-Event: push\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        let json: Value = serde_json::from_str(json.trim()).unwrap();
        json["run"].as_str().map(str::to_owned)
    }

    /// The image of a Repository with this digit for a digest.
    pub(crate) fn image(repository: &str, digit: char) -> String {
        let digest = digit.to_string().repeat(64);
        format!("localhost:5000/default/{repository}@sha256:{digest}")
    }

    pub(crate) fn owners(run: &PipelineRun) -> Value {
        json!([{
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": run.metadata.name,
            "uid": run.metadata.uid, "controller": true,
        }])
    }

    /// The build of a PipelineRun succeeds, and has made an image.
    pub(crate) async fn built(&self, run: &PipelineRun, image: &str) {
        let name = format!("{}-build", run.metadata.name.as_deref().unwrap());
        self.create(json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
            "metadata": {"name": name, "ownerReferences": Self::owners(run)},
            "spec": {"taskSpec": {"steps": [{"name": "s", "image": "i"}]}},
        }))
        .await;
        let (url, digest) = image.split_once('@').unwrap();
        let results: Vec<Value> = [
            ("IMAGE_URL", url),
            ("IMAGE_DIGEST", digest),
            ("commit", "c"),
            ("tree", "t"),
        ]
        .into_iter()
        .map(|(name, value)| json!({"name": name, "type": "string", "value": value}))
        .collect();
        let status = json!({"conditions": [{"type": "Succeeded", "status": "True"}], "results": results});
        self.set_status("tekton.dev/v1", "TaskRun", &name, status).await;
    }

    /// A custom run that would deploy, of the name and with the params that somebody gives it.
    pub(crate) async fn custom_run(&self, name: &str, owners: Value, params: Value) {
        self.create(json!({
            "apiVersion": "tekton.dev/v1beta1", "kind": "CustomRun",
            "metadata": {"name": name, "ownerReferences": owners},
            "spec": {"customRef": {"apiVersion": "spindrift.dev/v1alpha1", "kind": "Deploy"}, "params": params},
        }))
        .await;
    }

    /// A build that made an image, and its deployment as a PipelineRun makes it.
    pub(crate) async fn deploy(&self, run: &PipelineRun, image: &str) -> String {
        self.built(run, image).await;
        let name = format!("{}-deploy", run.metadata.name.as_deref().unwrap());
        self.custom_run(&name, Self::owners(run), json!([])).await;
        name
    }

    /// The Service makes a revision of its template, which becomes ready or not.
    pub(crate) async fn revision(&self, service: &str, revision: &str, ready: &str) {
        let found = self
            .get("serving.knative.dev/v1", "Service", service)
            .await
            .unwrap();
        let marks = &found["spec"]["template"]["metadata"]["annotations"];
        self.create(json!({
            "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
            "metadata": {"name": revision, "annotations": marks},
            "spec": {"containers": [{"image": "x"}]},
        }))
        .await;
        let conditions =
            json!([{"type": "Ready", "status": ready, "reason": "Why", "message": "it crashed"}]);
        self.set_status(
            "serving.knative.dev/v1",
            "Revision",
            revision,
            json!({"conditions": conditions}),
        )
        .await;
        let mut status = json!({"observedGeneration": found["metadata"]["generation"], "latestCreatedRevisionName": revision});
        if ready == "True" {
            status["latestReadyRevisionName"] = json!(revision);
        }
        self.set_status("serving.knative.dev/v1", "Service", service, status)
            .await;
    }

    /// How a deployment ended.
    pub(crate) async fn ended(&self, deploy: &str) -> (String, String) {
        eventually("end of the deployment", async || {
            let run = self.get("tekton.dev/v1beta1", "CustomRun", deploy).await?;
            let condition = &run["status"]["conditions"][0];
            let text = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
            (condition["status"] == "True" || condition["status"] == "False")
                .then(|| (text("reason"), text("message")))
        })
        .await
    }

    pub(crate) async fn told(&self, service: &str, state: &str) -> Value {
        eventually("word of the last build", async || {
            let service = self.get("serving.knative.dev/v1", "Service", service).await?;
            let told = service["metadata"]["annotations"]["spindrift.dev/last-build"]
                .as_str()?
                .to_owned();
            let told: Value = serde_json::from_str(&told).unwrap();
            (told["state"] == state).then_some(told)
        })
        .await
    }
}
