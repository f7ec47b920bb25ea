//! From a push to a deployment, with the controllers and the receiver running and the API server in process. The tests
//! play those who run tasks and Services.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use crds::spindrift::{PushState, Repository};
use crds::tekton::{PipelineRun, PipelineRunSpecStatus, PipelineSpec};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use push::{Config, run_until};
use reconciler::Caches;
use serde_json::{Value, json};
use test_api::TestApi;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const SYSTEM: &str = "tekton-pipelines";

/// Waits until `look` sees what it looks for.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(found) => found,
        Err(_) => panic!("no {what}"),
    }
}

struct Home {
    api: TestApi,
    receiver: std::net::SocketAddr,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for Home {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Home {
    async fn start(parallel: usize) -> Self {
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
    async fn with_controllers(mut self, parallel: usize) -> Self {
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

    fn objects(&self, object: &Value) -> Api<DynamicObject> {
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

    async fn create(&self, object: Value) -> DynamicObject {
        let typed: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        self.objects(&object)
            .create(&PostParams::default(), &typed)
            .await
            .unwrap()
    }

    async fn set_status(&self, api_version: &str, kind: &str, name: &str, status: Value) {
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {}});
        let change = Patch::Merge(json!({"status": status}));
        self.objects(&object)
            .patch_status(name, &PatchParams::default(), &change)
            .await
            .unwrap();
    }

    async fn get(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {}});
        let found = self.objects(&object).get_opt(name).await.unwrap()?;
        Some(serde_json::to_value(found).unwrap())
    }

    async fn repository(&self, name: &str) {
        self.create(json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": name},
            "spec": {"url": "http://git/app", "branch": "main", "service": name, "webhook": {"allowUnsigned": true}},
        }))
        .await;
    }

    async fn status(&self, name: &str) -> crds::spindrift::RepositoryStatus {
        let api: Api<Repository> = Api::namespaced(self.api.client(), "default");
        api.get(name).await.unwrap().status.unwrap_or_default()
    }

    async fn runs(&self, repository: &str) -> Vec<PipelineRun> {
        let api: Api<PipelineRun> = Api::namespaced(self.api.client(), "default");
        let of = ListParams::default().labels(&format!("spindrift.dev/repository={repository}"));
        api.list(&of).await.unwrap().items
    }

    /// The run of that name once it may begin.
    async fn begun(&self, name: &str) -> PipelineRun {
        let api: Api<PipelineRun> = Api::namespaced(self.api.client(), "default");
        eventually("run that begins", async || {
            let run = api.get_opt(name).await.unwrap()?;
            (run.spec.status != Some(PipelineRunSpecStatus::PipelineRunPending)).then_some(run)
        })
        .await
    }

    async fn end(&self, run: &str, status: &str, message: &str) {
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
    async fn push(&self, repository: &str, before: char, after: char) -> Option<String> {
        let hash = |digit: char| digit.to_string().repeat(40);
        let body = format!("push {} {} refs/heads/main\n", hash(before), hash(after));
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
    fn image(repository: &str, digit: char) -> String {
        let digest = digit.to_string().repeat(64);
        format!("localhost:5000/default/{repository}@sha256:{digest}")
    }

    fn owners(run: &PipelineRun) -> Value {
        json!([{
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": run.metadata.name,
            "uid": run.metadata.uid, "controller": true,
        }])
    }

    /// The build of a PipelineRun succeeds, and has made an image.
    async fn built(&self, run: &PipelineRun, image: &str) {
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
    async fn custom_run(&self, name: &str, owners: Value, params: Value) {
        self.create(json!({
            "apiVersion": "tekton.dev/v1beta1", "kind": "CustomRun",
            "metadata": {"name": name, "ownerReferences": owners},
            "spec": {"customRef": {"apiVersion": "spindrift.dev/v1alpha1", "kind": "Deploy"}, "params": params},
        }))
        .await;
    }

    /// A build that made an image, and its deployment as a PipelineRun makes it.
    async fn deploy(&self, run: &PipelineRun, image: &str) -> String {
        self.built(run, image).await;
        let name = format!("{}-deploy", run.metadata.name.as_deref().unwrap());
        self.custom_run(&name, Self::owners(run), json!([])).await;
        name
    }

    /// The Service makes a revision of its template, which becomes ready or not.
    async fn revision(&self, service: &str, revision: &str, ready: &str) {
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
    async fn ended(&self, deploy: &str) -> (String, String) {
        eventually("end of the deployment", async || {
            let run = self.get("tekton.dev/v1beta1", "CustomRun", deploy).await?;
            let condition = &run["status"]["conditions"][0];
            let text = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
            (condition["status"] == "True" || condition["status"] == "False")
                .then(|| (text("reason"), text("message")))
        })
        .await
    }

    async fn told(&self, service: &str, state: &str) -> Value {
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

#[tokio::test(flavor = "multi_thread")]
async fn pushes_are_built_one_after_the_other_and_deployed() {
    let home = Home::start(1).await;
    home.repository("web").await;
    // What is there is built as it is.
    let first = eventually("first run", async || home.runs("web").await.pop()).await;
    let first = home.begun(first.metadata.name.as_deref().unwrap()).await;
    let address = eventually("address", async || home.status("web").await.address).await;
    assert_eq!(
        address.url.as_deref(),
        Some("http://push.example.com/default/web")
    );

    // Another Repository of the namespace waits, and shows its place.
    home.repository("shop").await;
    let waiting = eventually("run that waits", async || {
        let run = home.runs("shop").await.pop()?;
        run.metadata
            .annotations
            .as_ref()?
            .contains_key("spindrift.dev/position")
            .then_some(run)
    })
    .await;
    assert_eq!(
        waiting.spec.status,
        Some(PipelineRunSpecStatus::PipelineRunPending)
    );

    let deploy = home.deploy(&first, &Home::image("web", '1')).await;
    let service = eventually("Service", async || {
        home.get("serving.knative.dev/v1", "Service", "web").await
    })
    .await;
    assert_eq!(
        service["spec"]["template"]["spec"]["containers"][0]["image"],
        Home::image("web", '1').as_str()
    );
    home.revision("web", "web-00001", "True").await;
    assert_eq!(home.ended(&deploy).await.0, "Succeeded");
    home.end(first.metadata.name.as_deref().unwrap(), "True", "")
        .await;
    home.begun(waiting.metadata.name.as_deref().unwrap()).await;
    home.told("web", "succeeded").await;
    let deployed = home.status("web").await.deployed.unwrap();
    assert_eq!((deployed.sequence, deployed.revision.as_str()), (1, "web-00001"));
    eventually("owner", async || {
        let repository = home.get("spindrift.dev/v1alpha1", "Repository", "web").await?;
        (repository["metadata"]["ownerReferences"][0]["uid"] == service["metadata"]["uid"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_push_is_deployed_and_a_failure_changes_nothing() {
    let home = Home::start(5).await;
    home.repository("web").await;
    eventually("first run", async || home.runs("web").await.pop()).await;
    let older = home.push("web", 'a', 'b').await.unwrap();
    home.begun(&older).await;
    let newer = home.push("web", 'b', 'c').await.unwrap();
    // Redeliveries, also after a restart, make nothing.
    let home = home.with_controllers(5).await;
    assert_eq!(home.push("web", 'b', 'c').await, Some(newer.clone()));
    assert_eq!(home.push("web", 'a', 'b').await, Some(older.clone()));
    let cancelled = eventually("end of the older", async || {
        let runs = home.runs("web").await;
        let run = runs
            .into_iter()
            .find(|run| run.metadata.name.as_ref() == Some(&older))?;
        (run.spec.status == Some(PipelineRunSpecStatus::CancelledRunFinally)).then_some(run)
    })
    .await;
    let newer = home.begun(&newer).await;
    assert_eq!(home.runs("web").await.len(), 3);
    // It was about to be deployed, which now must not happen.
    let deploy = home.deploy(&cancelled, &Home::image("web", '1')).await;
    assert_eq!(home.ended(&deploy).await.0, "Superseded");
    assert!(
        home.get("serving.knative.dev/v1", "Service", "web")
            .await
            .is_none()
    );

    let deploy = home.deploy(&newer, &Home::image("web", '2')).await;
    eventually("Service", async || {
        home.get("serving.knative.dev/v1", "Service", "web").await
    })
    .await;
    home.revision("web", "web-00001", "True").await;
    assert_eq!(home.ended(&deploy).await.0, "Succeeded");
    let states: Vec<PushState> = home
        .status("web")
        .await
        .pushes
        .iter()
        .map(|push| push.state)
        .collect();
    assert_eq!(
        states,
        [PushState::Superseded, PushState::Superseded, PushState::Started]
    );

    let broken = home.push("web", 'c', 'd').await.unwrap();
    home.begun(&broken).await;
    home.end(&broken, "False", "step build failed").await;
    let told = home.told("web", "failed").await;
    assert_eq!(
        (&told["run"], &told["message"]),
        (&json!(broken), &json!("step build failed"))
    );
    let service = home
        .get("serving.knative.dev/v1", "Service", "web")
        .await
        .unwrap();
    assert_eq!(
        service["spec"]["template"]["spec"]["containers"][0]["image"],
        Home::image("web", '2').as_str()
    );

    // A revision that fails fails its run.
    let crashing = home.push("web", 'd', 'e').await.unwrap();
    let crashing = home.begun(&crashing).await;
    let deploy = home.deploy(&crashing, &Home::image("web", '3')).await;
    eventually("new template", async || {
        let service = home.get("serving.knative.dev/v1", "Service", "web").await?;
        (service["spec"]["template"]["spec"]["containers"][0]["image"] == Home::image("web", '3').as_str())
            .then_some(())
    })
    .await;
    home.revision("web", "web-00002", "False").await;
    let (reason, message) = home.ended(&deploy).await;
    assert!(
        reason == "RevisionFailed" && message.contains("it crashed"),
        "{reason} {message}"
    );
    assert_eq!(home.status("web").await.deployed.unwrap().revision, "web-00001");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_deploys() {
    let home = Home::start(5).await;
    home.repository("web").await;
    let run = eventually("run", async || home.runs("web").await.pop()).await;
    let run = home.begun(run.metadata.name.as_deref().unwrap()).await;
    let deploy = format!("{}-deploy", run.metadata.name.as_deref().unwrap());
    let param = |name: &str, value: &str| json!({"name": name, "value": value});
    let evil = Home::image("evil", '6');
    let params = json!([
        param("repository", "web"),
        param("image", &evil),
        param("sequence", "99")
    ]);
    for (name, owners, reason) in [
        ("mine", json!([]), "NotOfABuild"),
        // The owner is right, but the build's own deployment has another name.
        ("also-mine", Home::owners(&run), "NotOfABuild"),
        // The name is right, too, but nothing is built yet.
        (deploy.as_str(), Home::owners(&run), "NothingBuilt"),
    ] {
        home.custom_run(name, owners, params.clone()).await;
        assert_eq!(home.ended(name).await.0, reason, "{name}");
    }
    let web = home.get("serving.knative.dev/v1", "Service", "web");
    assert!(web.await.is_none());

    // When it is built, what was built is deployed, whoever wrote what into the run.
    let next = home.push("web", 'a', 'b').await.unwrap();
    let next = home.begun(&next).await;
    home.built(&next, &Home::image("web", '1')).await;
    let deploy = format!("{}-deploy", next.metadata.name.as_deref().unwrap());
    home.custom_run(&deploy, Home::owners(&next), params.clone())
        .await;
    let service = eventually("Service", async || {
        home.get("serving.knative.dev/v1", "Service", "web").await
    })
    .await;
    let container = &service["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], Home::image("web", '1').as_str());

    // Nor does a build deploy what is kept elsewhere than the Repository says.
    let next = home.push("web", 'b', 'c').await.unwrap();
    let next = home.begun(&next).await;
    let deploy = home.deploy(&next, &evil).await;
    assert_eq!(home.ended(&deploy).await.0, "NothingBuilt");
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_go_with_the_repository() {
    let home = Home::start(5).await;
    home.create(json!({
        "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"},
        "spec": {
            "url": "http://git/app", "branch": "main", "service": "web", "previews": true,
            "webhook": {"allowUnsigned": true},
        },
    }))
    .await;
    eventually("run", async || home.runs("web").await.pop()).await;
    home.set_status(
        "spindrift.dev/v1alpha1",
        "Repository",
        "web",
        json!({"previews": [{"tag": "x", "ref": "refs/heads/x"}]}),
    )
    .await;
    home.create(json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {
            "template": {"spec": {"containers": [{"image": "i"}]}},
            "traffic": [
                {"latestRevision": true, "percent": 100},
                {"tag": "x", "revisionName": "x-1", "latestRevision": false, "percent": 0},
                {"tag": "mine", "revisionName": "web-1", "latestRevision": false, "percent": 0},
            ],
        },
    }))
    .await;
    let api: Api<Repository> = Api::namespaced(home.api.client(), "default");
    eventually("Service to be known", async || {
        let service = home.get("serving.knative.dev/v1", "Service", "web").await?;
        let told = &service["metadata"]["annotations"]["spindrift.dev/last-build"];
        told.is_string().then_some(())
    })
    .await;
    api.delete("web", &Default::default()).await.unwrap();
    eventually("end of the Repository", async || {
        api.get_opt("web").await.unwrap().is_none().then_some(())
    })
    .await;
    let service = home
        .get("serving.knative.dev/v1", "Service", "web")
        .await
        .unwrap();
    let tags: Vec<&str> = service["spec"]["traffic"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|target| target["tag"].as_str())
        .collect();
    assert_eq!(tags, ["mine"]);
}
