//! Builds, runs that are run again, and logs of what is gone: what the commands store, show and read.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/tekton.rs"]
mod tekton;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::{Cluster, answer};
use cluster_apiserver::{LogOptions, LogStream, NodeApi, StatusError};
use futures::StreamExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tekton::{PIPELINE_RUNS, condition, make, set_status};

const REPOSITORIES: &str = "spindrift.dev/v1alpha1/repositories";
const PATIENCE: Duration = Duration::from_secs(60);

/// A node whose containers have written two lines each.
struct Steps;

impl NodeApi for Steps {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        pod: &'a str,
        container: &'a str,
        _: LogOptions,
    ) -> BoxFuture<'a, Result<LogStream, StatusError>> {
        let lines = Bytes::from(format!("{container} begins in {pod}\nerror: no such file\n"));
        Box::pin(async move { Ok(futures::stream::iter([Ok(lines)]).boxed()) })
    }
}

async fn cluster() -> Cluster {
    let kinds = [
        crds::all(),
        crds::tekton_definitions(),
        crds::spindrift_definitions(),
    ]
    .concat();
    Cluster::start_with(Arc::new(Steps), &kinds).await
}

fn build(name: &str, minute: u32, status: &str) -> Value {
    let over = status != "Unknown";
    json!({ "metadata": { "name": name, "labels": { "spindrift.dev/repository": "web", "spindrift.dev/service": "web", "tekton.dev/pipeline": "build" },
            "annotations": { "spindrift.dev/commit": "0123456789abcdef", "spindrift.dev/ref": "refs/heads/main", "spindrift.dev/author": "Ada", "spindrift.dev/message": "Say hello" } },
        "spec": { "pipelineSpec": { "tasks": [{ "name": "build", "taskSpec": { "steps": [{ "image": "i" }] } }] } },
        "status": { "startTime": format!("2026-01-01T00:{minute:02}:00Z"), "completionTime": over.then(|| format!("2026-01-01T00:{minute:02}:30Z")),
            "childReferences": [{ "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": format!("{name}-build"), "pipelineTaskName": "build" }],
            "conditions": condition(status, if over { "Failed" } else { "Running" }, "it broke") } })
}

/// The TaskRun of a build whose second step failed, and its pod.
async fn failed_task(cluster: &Cluster, run: &str) {
    let name = format!("{run}-build");
    let step = |name: &str, code: i64| {
        json!({ "name": name, "container": format!("step-{name}"), "terminationReason": if code == 0 { "Completed" } else { "Error" },
        "terminated": { "exitCode": code, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:10Z" } })
    };
    make(
        cluster,
        "TaskRun",
        json!({ "metadata": { "name": name, "labels": { "tekton.dev/pipelineRun": run, "tekton.dev/pipelineTask": "build" } }, "spec": { "taskSpec": { "steps": [{ "image": "i" }] } },
            "status": { "podName": format!("{name}-pod"), "conditions": condition("False", "Failed", "it broke"), "steps": [step("clone", 0), step("build", 7)] } }),
    )
    .await;
    let container = |name: &str| json!({ "name": name, "image": "i" });
    let state = |name: &str| json!({ "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": { "terminated": { "exitCode": 0 } } });
    make(
        cluster,
        "Pod",
        json!({ "metadata": { "name": format!("{name}-pod") }, "spec": { "containers": [container("step-clone"), container("step-build")] },
            "status": { "phase": "Failed", "containerStatuses": [state("step-clone"), state("step-build")] } }),
    )
    .await;
}

#[tokio::test]
async fn builds_are_listed_described_read_and_cancelled() {
    let cluster = cluster().await;
    assert_eq!(
        cluster.kn("build list").await.code(0).out,
        "No PipelineRuns found\n"
    );
    cluster
        .kn("build logs web")
        .await
        .code(3)
        .complains(&["neither a build 'web'"]);
    make(
        &cluster,
        "PipelineRun",
        json!({ "metadata": { "name": "other" }, "spec": { "pipelineRef": { "name": "p" } } }),
    )
    .await;
    make(&cluster, "PipelineRun", build("web-1", 1, "False")).await;
    make(&cluster, "PipelineRun", build("web-2", 2, "Unknown")).await;
    failed_task(&cluster, "web-1").await;

    let listed = cluster.kn("build list").await.code(0);
    assert!(!listed.out.contains("other"), "{}", listed.out);
    let rows: Vec<&str> = listed.out.lines().collect();
    assert!(
        rows[1].starts_with("web-2") && rows[2].starts_with("web-1"),
        "{}",
        listed.out
    );
    assert!(
        rows[2].contains("0123456")
            && rows[2].contains("main")
            && rows[2].contains("30s")
            && rows[2].ends_with("Say hello"),
        "{}",
        rows[2]
    );
    cluster
        .kn("build list --service nobody")
        .await
        .code(0)
        .says(&["No PipelineRuns found"]);
    cluster
        .kn("build list --service web -o wide")
        .await
        .code(0)
        .says(&["AUTHOR", "Ada"]);

    cluster.kn("build describe web-1").await.code(0).says(&[
        "Commit:      0123456789abcdef",
        "Author:      Ada",
        "clone    10s        Completed",
        "build    10s        Error (7)",
        "Step 'build' of task 'build' ended with exit code 7. Its last lines:\n  step-build begins in web-1-build-pod\n  error: no such file",
    ]);
    let logs = cluster.kn("build logs web-1 --step build").await.code(1);
    assert!(
        logs.err.contains("`kn build describe web-1` shows more"),
        "{}",
        logs.err
    );
    assert_eq!(
        logs.out,
        "[build : build] step-build begins in web-1-build-pod\n[build : build] error: no such file\n"
    );
    // The service means its last build.
    cluster
        .kn("build describe web")
        .await
        .code(0)
        .says(&["Name:        web-2"]);
    cluster
        .kn("build cancel web")
        .await
        .code(0)
        .says(&["PipelineRun cancelled: web-2"]);
    assert_eq!(
        cluster.get(PIPELINE_RUNS, "web-2").await["spec"]["status"],
        "CancelledRunFinally"
    );
    cluster
        .kn("build cancel web-1")
        .await
        .code(1)
        .complains(&["it is over: Failed"]);
    cluster
        .kn("build describe other")
        .await
        .code(3)
        .complains(&["`kn build list`"]);
}

#[tokio::test]
async fn the_last_build_is_built_again() {
    let cluster = cluster().await;
    make(&cluster, "PipelineRun", build("web-1", 1, "False")).await;
    make(&cluster, "PipelineRun", build("web-2", 2, "False")).await;
    make(
        &cluster,
        "Repository",
        json!({ "metadata": { "name": "web" }, "spec": { "url": "http://git/web.git" } }),
    )
    .await;
    cluster
        .kn("build rerun web-1")
        .await
        .code(2)
        .complains(&["build 'web-1' is not the last one", "must not undo a newer one"]);
    // The controller of Repositories hears of it.
    let controller = async {
        until(async || {
            let repository = cluster.get(REPOSITORIES, "web").await;
            repository["metadata"]["annotations"]["spindrift.dev/rebuild"].is_string()
        })
        .await;
        make(&cluster, "PipelineRun", build("web-3", 3, "Unknown")).await;
    };
    let (ran, ()) = tokio::join!(cluster.kn("build rerun web"), controller);
    ran.code(0)
        .says(&["Build started: web-3"])
        .complains(&["kn build logs web-3 --follow"]);
    cluster
        .kn("pipelinerun rerun web-2")
        .await
        .code(2)
        .complains(&["is a build", "kn build rerun"]);
}

async fn until(holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test]
async fn runs_are_run_again() {
    let cluster = cluster().await;
    make(
        &cluster,
        "PipelineRun",
        json!({ "metadata": { "name": "r", "labels": { "team": "a" } },
            "spec": { "pipelineRef": { "name": "p" }, "params": [{ "name": "a", "value": "b" }], "status": "Cancelled" },
            "status": { "conditions": condition("False", "Cancelled", "") } }),
    )
    .await;
    let again = cluster.kn("pipelinerun rerun r -o name").await.code(0);
    let name = again
        .out
        .trim()
        .strip_prefix("pipelinerun.tekton.dev/")
        .unwrap()
        .to_owned();
    assert!(name.starts_with("r-"), "{name}");
    let stored = cluster.get(PIPELINE_RUNS, &name).await;
    assert_eq!(stored["metadata"]["labels"], json!({ "team": "a" }));
    assert_eq!(stored["spec"]["params"], json!([{ "name": "a", "value": "b" }]));
    assert!(stored["spec"]["status"].is_null() && stored["metadata"]["annotations"].is_null());
    cluster
        .kn("pr rerun r --from-failed --dry-run")
        .await
        .code(0)
        .says(&["spindrift.dev/rerun-of: r", "generateName: r-"]);
    cluster
        .kn(&format!("pipelinerun rerun {name} --from-failed"))
        .await
        .code(1)
        .complains(&["it is not over", "without --from-failed"]);
    cluster
        .kn("taskrun rerun nobody")
        .await
        .code(3)
        .complains(&["\"nobody\" not found"]);
    make(
        &cluster,
        "TaskRun",
        json!({ "metadata": { "name": "t", "generateName": "unit-" }, "spec": { "taskRef": { "name": "unit" } } }),
    )
    .await;
    cluster
        .kn("taskrun rerun t")
        .await
        .code(0)
        .says(&["TaskRun started: unit-"])
        .complains(&["kn taskrun logs unit-"]);
}

#[tokio::test]
async fn what_is_gone_is_read_from_the_archive() {
    let cluster = cluster().await;
    cluster
        .kn("pipelinerun logs old")
        .await
        .code(3)
        .complains(&["\"old\" not found"]);
    let gateway = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    cluster
        .serve_domain("localhost", gateway.local_addr().unwrap().port())
        .await;
    cluster.make_account().await;
    let run = json!({ "metadata": { "name": "old", "uid": "u" }, "status": { "conditions": condition("True", "Succeeded", ""),
        "childReferences": [{ "kind": "TaskRun", "name": "old-t", "pipelineTaskName": "t" }] } })
    .to_string();
    let task_run =
        json!({ "metadata": { "name": "old-t", "uid": "tu" }, "status": { "podName": "old-t-pod" } })
            .to_string();
    let line = |step: &str, log: &str| {
        json!({ "step": step, "log": format!("2026-01-01T00:00:00Z {log}") }).to_string()
    };
    let dropped = json!({ "step": "b", "dropped": 9 }).to_string();
    let log = [
        line("a", "one"),
        line("a", "two"),
        dropped,
        line("b", "three"),
        line("b", "four"),
    ]
    .join("\n");
    let archive = async {
        let mut heads = Vec::new();
        for text in [&run, &task_run, &log] {
            heads.push(answer(&gateway, "200 OK", text).await);
        }
        heads
    };
    let (ran, heads) = tokio::join!(cluster.kn("pipelinerun logs old --tail 1 --follow"), archive);
    assert_eq!(ran.code(0).complains(&[]).out, "[t : a] two\n[t : b] four\n");
    let path = "/.spindrift/v1/namespaces/default";
    assert!(
        heads[0].starts_with(&format!("GET {path}/pipelineruns/old HTTP/1.1\r\n")),
        "{}",
        heads[0]
    );
    assert!(
        heads[1].starts_with(&format!("GET {path}/taskruns/old-t ")),
        "{}",
        heads[1]
    );
    assert!(
        heads[2].starts_with(&format!("GET {path}/pods/old-t-pod/log?owner=tu ")),
        "{}",
        heads[2]
    );
    assert!(
        heads[0].contains("host: run-archive.tekton-pipelines.localhost"),
        "{}",
        heads[0]
    );
    let archive = async {
        for text in [&run, &task_run, &log] {
            answer(&gateway, "200 OK", text).await;
        }
    };
    let (ran, ()) = tokio::join!(cluster.kn("pipelinerun logs old --step b --timestamps"), archive);
    assert_eq!(
        ran.code(0).complains(&["9 bytes before this were not kept"]).out,
        "[t : b] 2026-01-01T00:00:00Z three\n[t : b] 2026-01-01T00:00:00Z four\n"
    );
    // What nobody remembers is not found.
    let (ran, _) = tokio::join!(
        cluster.kn("taskrun logs none"),
        answer(&gateway, "404 Not Found", "not in the archive")
    );
    ran.code(3).complains(&["\"none\" not found"]);
}

#[tokio::test]
async fn a_service_is_built_from_git() {
    let cluster = cluster().await;
    cluster
        .kn("service create web --git http://git/web.git --force")
        .await
        .code(2)
        .complains(&["--force cannot be used with --git or --source"]);
    cluster
        .kn("service create web --source .")
        .await
        .code(2)
        .complains(&["--source needs --image"]);
    cluster
        .kn("service create web --source /nowhere --image localhost:1/web")
        .await
        .code(2)
        .complains(&["--source /nowhere"]);
    cluster
        .kn("service create web --image i --dockerfile D")
        .await
        .code(2)
        .complains(&["--dockerfile"]);
    // The controllers: the Repository becomes a build, that a service.
    let controller = async {
        until(async || cluster.find(REPOSITORIES, "web").await.is_some()).await;
        let address = json!({ "address": { "url": "http://push.tekton-pipelines.localhost/default/web" } });
        set_status(&cluster, "Repository", "web", address).await;
        let template = json!({ "metadata": { "annotations": { "spindrift.dev/build": "web-1", "spindrift.dev/commit": "0123456789abcdef" } },
            "spec": { "containers": [{ "image": "localhost:5000/default/web@sha256:1" }] } });
        let service = json!({ "metadata": { "name": "web" }, "spec": { "template": template } });
        make(&cluster, "Service", service).await;
        let mut run = build("web-1", 1, "True");
        run["status"]["childReferences"] = json!([]);
        make(&cluster, "PipelineRun", run).await;
    };
    let line =
        "service create web --git http://git/web.git --branch next --env A=1 --previews --context-dir app";
    let (ran, ()) = tokio::join!(cluster.kn(line), controller);
    ran.code(0)
        .says(&["Service 'web' created to latest revision 'web-00001' is available at URL:\nhttp://web.default.example.com\n"])
        .complains(&[
            "Building service 'web' in namespace 'default' from http://git/web.git",
            "http://push.tekton-pipelines.localhost/default/web",
            "kubectl get secret web-webhook -n default",
        ]);
    cluster.kn("service describe web").await.code(0).says(&[
        "Commit:    0123456789abcdef\n",
        "Author:    Ada\n",
        "Message:   Say hello\n",
        "Duration:  30s\n",
        "Build:     web-1\n",
        "Webhook:   http://push.tekton-pipelines.localhost/default/web\n",
    ]);
    let stored = cluster.get(REPOSITORIES, "web").await;
    let spec = &stored["spec"];
    assert_eq!(
        (
            &spec["url"],
            &spec["branch"],
            &spec["service"],
            &spec["previews"],
            &spec["build"]["context"]
        ),
        (
            &json!("http://git/web.git"),
            &json!("next"),
            &json!("web"),
            &json!(true),
            &json!("app")
        )
    );
    let container = &spec["serviceTemplate"]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"], json!([{ "name": "A", "value": "1" }]));
    assert!(container["image"].is_null(), "{container}");
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), "default");
    let secret = secrets.get("web-webhook").await.unwrap();
    assert_eq!(secret.data.unwrap()["secret"].0.len(), 64);
    assert_eq!(
        secret.metadata.owner_references.unwrap()[0].uid,
        stored["metadata"]["uid"].as_str().unwrap()
    );
    cluster
        .kn("service create web --git http://git/web.git")
        .await
        .code(4)
        .complains(&["already exists", "kn service update web --git"]);
    cluster
        .kn("service update web --git http://git/web.git --env A=2")
        .await
        .code(2)
        .complains(&["kn service update web"]);
    assert_eq!(secrets.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_build_that_fails_says_why() {
    let cluster = cluster().await;
    let controller = async {
        until(async || cluster.find(REPOSITORIES, "web").await.is_some()).await;
        failed_task(&cluster, "web-1").await;
        make(&cluster, "PipelineRun", build("web-1", 1, "False")).await;
    };
    let (ran, ()) = tokio::join!(
        cluster.kn("service create web --git http://git/web.git"),
        controller
    );
    ran.code(1).complains(&[
        "PipelineRun 'web-1': Failed: it broke",
        "Step 'build' of task 'build' ended with exit code 7. Its last lines:\n  step-build begins in web-1-build-pod\n  error: no such file",
        "kn build describe web-1",
    ]);
    // A Repository that cannot work is told at once.
    let controller = async {
        until(async || cluster.find(REPOSITORIES, "api").await.is_some()).await;
        let repository = cluster.get(REPOSITORIES, "api").await;
        let status = json!({ "observedGeneration": repository["metadata"]["generation"],
            "conditions": [{ "type": "Ready", "status": "False", "reason": "CloneFailed", "message": "no such repository" }] });
        set_status(&cluster, "Repository", "api", status).await;
    };
    let (ran, ()) = tokio::join!(
        cluster.kn("service create api --git http://git/none.git"),
        controller
    );
    ran.code(6).complains(&["CloneFailed : no such repository"]);
}
