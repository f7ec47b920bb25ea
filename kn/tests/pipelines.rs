//! The commands of tasks, pipelines and their runs: what they store, show and read.
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

use bytes::Bytes;
use cluster::Cluster;
use cluster_apiserver::{LogOptions, LogStream, NodeApi, StatusError};
use crds::tekton::{Param, ParamValue, PipelineRun, PipelineRunSpecStatus, TaskRun, TaskRunSpecStatus};
use futures::StreamExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tekton::{PIPELINE_RUNS, TASK_RUNS, condition, make, set_status};
use tokio::sync::Semaphore;

/// A node whose containers have written two lines each. Whoever follows sees the second one when a container is let end.
struct Steps {
    ends: Arc<Semaphore>,
}

impl NodeApi for Steps {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        pod: &'a str,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<LogStream, StatusError>> {
        let first = Bytes::from(format!("{container} begins in {pod}\n"));
        let second = Bytes::from(format!("{container} ends\n"));
        let ends = Arc::clone(&self.ends);
        let end = async move {
            if options.follow {
                ends.acquire().await.unwrap().forget();
            }
            Ok(second)
        };
        let lines = match options.tail_lines {
            Some(1) => futures::stream::once(end).boxed(),
            _ => futures::stream::iter([Ok(first)])
                .chain(futures::stream::once(end))
                .boxed(),
        };
        Box::pin(async move { Ok(lines) })
    }
}

async fn cluster() -> (Cluster, Arc<Semaphore>) {
    let ends = Arc::new(Semaphore::new(0));
    let node = Arc::new(Steps {
        ends: Arc::clone(&ends),
    });
    (Cluster::start_with(node, &crds::tekton_definitions()).await, ends)
}

/// A pod of steps, each of them running, ended (`Some`) or not begun.
async fn make_pod(cluster: &Cluster, name: &str, steps: &[&str]) {
    let containers: Vec<Value> = steps
        .iter()
        .map(|step| json!({ "name": step, "image": "i" }))
        .collect();
    make(
        cluster,
        "Pod",
        json!({ "metadata": { "name": name }, "spec": { "containers": containers } }),
    )
    .await;
}

async fn run_pod(cluster: &Cluster, name: &str, steps: &[&str]) {
    let statuses: Vec<Value> = steps
        .iter()
        .map(|step| {
            json!({ "name": step, "ready": true, "restartCount": 0, "image": "i", "imageID": "i",
                "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } } })
        })
        .collect();
    let status = json!({ "phase": "Running", "containerStatuses": statuses });
    set_status(cluster, "Pod", name, status).await;
}

fn build() -> Value {
    json!({ "metadata": { "name": "build" }, "spec": { "description": "Builds an image.",
        "params": [{ "name": "url", "type": "string", "description": "Where the source is." },
            { "name": "flags", "type": "array", "default": ["--fast"] },
            { "name": "image", "type": "object", "properties": { "name": { "type": "string" }, "tag": { "type": "string" } }, "default": { "name": "app", "tag": "latest" } }],
        "workspaces": [{ "name": "src" }, { "name": "cache", "optional": true }],
        "steps": [{ "name": "compile", "image": "busybox" }] } })
}

#[tokio::test]
async fn a_task_is_started_with_what_it_declares() {
    let (cluster, _) = cluster().await;
    assert_eq!(cluster.kn("task list").await.code(0).out, "No Tasks found\n");
    make(&cluster, "Task", build()).await;
    cluster.kn("task list").await.code(0).says(&[
        "NAME     DESCRIPTION        AGE",
        "build    Builds an image.",
        " ago",
    ]);
    cluster.kn("task describe build").await.code(0).says(&[
        "Description:  Builds an image.",
        "flags    array    ---                    [\"--fast\"]",
        "cache    ---           true",
        "compile",
    ]);
    assert_eq!(
        cluster.kn("task list -o name").await.code(0).out,
        "task.tekton.dev/build\n"
    );

    cluster
        .kn("task start build -w name=src,emptyDir=")
        .await
        .code(2)
        .complains(&["no value for param url (string)", "kn task describe build"]);
    cluster
        .kn("task start build -p url=x")
        .await
        .code(2)
        .complains(&["nothing is given for workspace src", "name=src,emptyDir="]);
    cluster
        .kn("task start build -p uri=x")
        .await
        .code(2)
        .complains(&["--param uri: no such param is declared: it takes url, flags, image"]);
    cluster
        .kn("task start buld")
        .await
        .code(3)
        .complains(&["\"buld\" not found"]);
    let shown = cluster
        .kn("task start build -p url=x -w name=src,claimName=c,subPath=app --dry-run")
        .await
        .code(0)
        .says(&["kind: TaskRun", "generateName: build-run-", "claimName: c"]);
    assert!(!shown.out.contains("started"), "{}", shown.out);
    assert_eq!(
        cluster.kn("taskrun list").await.code(0).out,
        "No TaskRuns found\n"
    );

    let line = "task start build -p url=http://git/app?a=b -p flags=--fast,--quiet -p image=name:reg:5000/app,tag:v1 \
                -w name=src,emptyDir= -w name=cache,secret=s -s builder -l team=a --timeout 90s -o name";
    let name = cluster.kn(line).await.code(0).out;
    let name = name.trim().strip_prefix("taskrun.tekton.dev/").unwrap();
    assert!(
        name.starts_with("build-run-") && name.len() > "build-run-".len(),
        "{name}"
    );
    let run: TaskRun = serde_json::from_value(cluster.get(TASK_RUNS, name).await).unwrap();
    assert_eq!(run.metadata.labels.unwrap()["team"], "a");
    assert_eq!(run.spec.task_ref.unwrap().name, "build");
    assert_eq!(run.spec.service_account_name, "builder");
    assert_eq!(run.spec.timeout.unwrap().to_string(), "1m30s");
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        run.spec.params,
        [
            Param::new("url", "http://git/app?a=b"),
            Param::new("flags", ParamValue::Array(texts(&["--fast", "--quiet"]))),
            Param::new(
                "image",
                ParamValue::Object(
                    [("name", "reg:5000/app"), ("tag", "v1")]
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into()
                )
            ),
        ]
    );
    assert!(run.spec.workspaces[0].empty_dir.is_some());
    assert_eq!(
        run.spec.workspaces[1]
            .secret
            .as_ref()
            .unwrap()
            .secret_name
            .as_deref(),
        Some("s")
    );
    cluster.kn("taskrun list").await.code(0).says(&[
        "NAME",
        "STARTED   DURATION   STATUS",
        "---       ---        ---",
    ]);
}

#[tokio::test]
async fn a_pipeline_is_started_listed_with_its_last_run_and_described() {
    let (cluster, _) = cluster().await;
    assert_eq!(
        cluster.kn("pipeline list").await.code(0).out,
        "No Pipelines found\n"
    );
    make(
        &cluster,
        "Pipeline",
        json!({ "metadata": { "name": "release" }, "spec": { "params": [{ "name": "url" }],
            "tasks": [{ "name": "build", "taskRef": { "name": "build" } }, { "name": "test", "runAfter": ["build"], "taskRef": { "name": "test" } }] } }),
    )
    .await;
    cluster.kn("pipeline list").await.code(0).says(&[
        "NAME      AGE",
        "LAST RUN   STARTED   DURATION   STATUS",
        "---        ---       ---        ---",
    ]);
    cluster
        .kn("pipeline start release -p url=x -s deployer --pipeline-timeout 1h --finally-timeout 5m --last")
        .await
        .code(3)
        .complains(&["--last: there is no PipelineRun of 'release'"]);
    let started = cluster
        .kn("pipeline start release -p url=x -s deployer --pipeline-timeout 1h --finally-timeout 5m -l tekton.dev/pipeline=release")
        .await
        .code(0)
        .says(&["PipelineRun started: release-run-"])
        .complains(&["kn pipelinerun logs release-run-", "--follow"]);
    let first = started.out.trim().rsplit(' ').next().unwrap().to_owned();
    let run: PipelineRun = serde_json::from_value(cluster.get(PIPELINE_RUNS, &first).await).unwrap();
    assert_eq!(run.spec.pipeline_ref.unwrap().name, "release");
    assert_eq!(
        run.spec.task_run_template.unwrap().service_account_name,
        "deployer"
    );
    let timeouts = run.spec.timeouts.unwrap();
    assert_eq!(timeouts.pipeline.unwrap().to_string(), "1h0m0s");
    assert_eq!(timeouts.finally.unwrap().to_string(), "5m0s");
    let again = cluster.kn("pipeline start release --last -o json").await.code(0);
    let again: PipelineRun = serde_json::from_str(&again.out).unwrap();
    assert_eq!(again.spec.params, [Param::new("url", "x")]);
    assert_eq!(
        again.spec.task_run_template.unwrap().service_account_name,
        "deployer"
    );

    let status = json!({ "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:05Z",
        "conditions": condition("False", "Failed", "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 1"),
        "childReferences": [{ "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "r-build", "pipelineTaskName": "build" }],
        "skippedTasks": [{ "name": "test", "reason": "Parent Tasks were skipped" }] });
    set_status(&cluster, "PipelineRun", &first, status).await;
    make(
        &cluster,
        "TaskRun",
        json!({ "metadata": { "name": "r-build", "labels": { "tekton.dev/pipelineRun": first } }, "spec": { "taskRef": { "name": "build" } },
            "status": { "podName": "", "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:30Z", "conditions": condition("False", "StepFailed", "it broke") } }),
    )
    .await;
    cluster
        .kn("pipeline list")
        .await
        .code(0)
        .says(&[&first, "1m5s       Failed"]);
    cluster.kn(&format!("pr describe {first}")).await.code(0).says(&[
        "Pipeline Ref:     release",
        "Service Account:  deployer",
        "Message:\n  Tasks Completed: 1",
        "Pipeline:  1 hour",
        "30s        Failed(StepFailed)",
        "test     Parent Tasks were skipped",
    ]);
    cluster
        .kn("pipeline describe release")
        .await
        .code(0)
        .says(&["test     test      build", &first]);
    let listed = cluster.kn("pipelinerun list").await.code(0);
    let names: Vec<&str> = listed
        .out
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names.len(), 2);
    assert_eq!(names[1], first, "what has not started is newest: {}", listed.out);
    let labelled = cluster
        .kn("pipelinerun list --pipeline release -o name")
        .await
        .code(0);
    assert_eq!(labelled.out, format!("pipelinerun.tekton.dev/{first}\n"));
    cluster
        .kn("pipeline delete release")
        .await
        .code(0)
        .says(&["Pipeline 'release' successfully deleted"]);
}

#[tokio::test]
async fn runs_are_cancelled_until_they_are_over() {
    let (cluster, _) = cluster().await;
    let run =
        |name: &str| json!({ "metadata": { "name": name }, "spec": { "taskRef": { "name": "build" } } });
    make(&cluster, "TaskRun", run("a")).await;
    cluster
        .kn("taskrun cancel a")
        .await
        .code(0)
        .says(&["TaskRun cancelled: a"]);
    let stored: TaskRun = serde_json::from_value(cluster.get(TASK_RUNS, "a").await).unwrap();
    assert_eq!(stored.spec.status, Some(TaskRunSpecStatus::TaskRunCancelled));
    let over = json!({ "podName": "", "conditions": condition("False", "TaskRunCancelled", "as wished") });
    set_status(&cluster, "TaskRun", "a", over).await;
    cluster
        .kn("taskrun cancel a")
        .await
        .code(1)
        .complains(&["cannot cancel TaskRun 'a': it is over: Cancelled(TaskRunCancelled)"]);
    cluster
        .kn("taskrun cancel b")
        .await
        .code(3)
        .complains(&["\"b\" not found"]);

    let run =
        |name: &str| json!({ "metadata": { "name": name }, "spec": { "pipelineRef": { "name": "p" } } });
    for (name, flags, expected) in [
        ("p1", "", PipelineRunSpecStatus::Cancelled),
        (
            "p2",
            " --grace CancelledRunFinally",
            PipelineRunSpecStatus::CancelledRunFinally,
        ),
        (
            "p3",
            " --grace StoppedRunFinally",
            PipelineRunSpecStatus::StoppedRunFinally,
        ),
    ] {
        make(&cluster, "PipelineRun", run(name)).await;
        cluster
            .kn(&format!("pipelinerun cancel {name}{flags}"))
            .await
            .code(0);
        let stored: PipelineRun = serde_json::from_value(cluster.get(PIPELINE_RUNS, name).await).unwrap();
        assert_eq!(stored.spec.status, Some(expected));
    }
    cluster
        .kn("pipelinerun cancel p1 --grace soon")
        .await
        .code(2)
        .complains(&["soon"]);
}

#[tokio::test]
async fn runs_are_deleted_but_for_those_to_keep() {
    let (cluster, _) = cluster().await;
    for (name, minute, state, reason) in [
        ("a", 0, "True", "Succeeded"),
        ("b", 10, "False", "StepFailed"),
        ("c", 20, "True", "Succeeded"),
        ("d", 30, "Unknown", "Running"),
    ] {
        let end = (state != "Unknown").then(|| format!("2026-01-01T00:{:02}:00Z", minute + 1));
        make(
            &cluster,
            "TaskRun",
            json!({ "metadata": { "name": name, "labels": { "tekton.dev/task": "build" } }, "spec": { "taskRef": { "name": "build" } },
                "status": { "podName": "", "startTime": format!("2026-01-01T00:{minute:02}:00Z"), "completionTime": end, "conditions": condition(state, reason, "") } }),
        )
        .await;
    }
    let left = async || {
        cluster
            .kn("taskrun list -o name")
            .await
            .code(0)
            .out
            .replace("taskrun.tekton.dev/", "")
    };
    assert_eq!(left().await, "d\nc\nb\na\n");
    cluster
        .kn("taskrun delete")
        .await
        .code(2)
        .complains(&["nothing says what to delete", "--all"]);
    cluster
        .kn("taskrun delete a --all")
        .await
        .code(2)
        .complains(&["--all"]);
    cluster.kn("taskrun delete --task other").await.code(0);
    cluster
        .kn("taskrun delete --keep-since 99999999")
        .await
        .code(0)
        .says(&["No TaskRun to delete: 4 there, all kept."]);
    assert_eq!(left().await, "d\nc\nb\na\n");
    cluster
        .kn("taskrun delete --task build --keep 2")
        .await
        .code(0)
        .says(&["TaskRun 'a' successfully deleted in namespace 'default'."]);
    assert_eq!(left().await, "d\nc\nb\n");
    cluster.kn("taskrun delete b").await.code(0);
    cluster.kn("taskrun delete --all").await.code(0);
    assert_eq!(left().await, "d\n");
    cluster
        .kn("taskrun delete --all --ignore-running=false")
        .await
        .code(0);
    assert_eq!(
        cluster.kn("taskrun list").await.code(0).out,
        "No TaskRuns found\n"
    );
}

#[tokio::test]
async fn logs_of_a_run_are_those_of_every_attempt() {
    let (cluster, _) = cluster().await;
    for pod in ["r-pod", "r-pod-retry1"] {
        make_pod(&cluster, pod, &["step-a", "sidecar-db", "step-b"]).await;
        run_pod(&cluster, pod, &["step-a", "sidecar-db", "step-b"]).await;
    }
    let status = json!({ "podName": "r-pod-retry1", "startTime": "2026-01-01T00:00:00Z",
        "retriesStatus": [{ "podName": "r-pod" }, { "podName": "r-pod-lost" }],
        "conditions": condition("False", "StepFailed", "step b exited with code 1") });
    make(
        &cluster,
        "TaskRun",
        json!({ "metadata": { "name": "r" }, "spec": { "taskRef": { "name": "build" } }, "status": status }),
    )
    .await;
    let ran = cluster.kn("taskrun logs r").await.code(1).complains(&[
        "TaskRun 'r': Failed(StepFailed): step b exited with code 1",
        "pod 'r-pod-lost' is gone",
        "kn taskrun describe r",
    ]);
    assert_eq!(
        ran.out,
        "[a] step-a begins in r-pod\n[a] step-a ends\n[b] step-b begins in r-pod\n[b] step-b ends\n\
         [a] step-a begins in r-pod-retry1\n[a] step-a ends\n[b] step-b begins in r-pod-retry1\n[b] step-b ends\n"
    );
    let ran = cluster
        .kn("taskrun logs --last --step b --tail 1 --prefix=false")
        .await;
    assert_eq!(ran.out, "step-b ends\nstep-b ends\n");
    cluster
        .kn("taskrun logs nobody")
        .await
        .code(3)
        .complains(&["\"nobody\" not found"]);
    cluster.kn("taskrun logs").await.code(2);
    cluster
        .kn("pipelinerun logs --last")
        .await
        .code(3)
        .complains(&["No PipelineRuns found in namespace 'default'"]);
    let running = json!({ "conditions": condition("Unknown", "Running", "") });
    set_status(&cluster, "TaskRun", "r", running).await;
    cluster
        .kn("taskrun logs r")
        .await
        .code(0)
        .complains(&["TaskRun 'r' is not over: Running. --follow goes on"]);
}

#[tokio::test]
async fn a_started_pipeline_is_followed_to_its_failure() {
    let (cluster, ends) = cluster().await;
    make(
        &cluster,
        "Pipeline",
        json!({ "metadata": { "name": "release" }, "spec": { "tasks": [{ "name": "build", "taskRef": { "name": "build" } }, { "name": "test", "taskRef": { "name": "test" } }] } }),
    )
    .await;
    let mut lines = cluster.follow("pipeline start release --showlog");
    let started = lines.next().await;
    let run = started.strip_prefix("PipelineRun started: ").unwrap().to_owned();

    // A task begins: the TaskRun, then the pod, then its first step.
    let child = |task: &str| json!({ "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": format!("{run}-{task}"), "pipelineTaskName": task });
    let running = |children: &[Value]| json!({ "startTime": "2026-01-01T00:00:00Z", "childReferences": children, "conditions": condition("Unknown", "Running", "") });
    let task_run = |task: &str| json!({ "metadata": { "name": format!("{run}-{task}") }, "spec": { "taskRef": { "name": task } } });
    make(&cluster, "TaskRun", task_run("build")).await;
    set_status(&cluster, "PipelineRun", &run, running(&[child("build")])).await;
    let has_pod = |pod: &str| json!({ "podName": pod, "conditions": condition("Unknown", "Running", "") });
    make_pod(&cluster, "b-pod", &["step-one", "step-two"]).await;
    set_status(&cluster, "TaskRun", &format!("{run}-build"), has_pod("b-pod")).await;
    run_pod(&cluster, "b-pod", &["step-one"]).await;
    assert_eq!(lines.next().await, "[build : one] step-one begins in b-pod");
    ends.add_permits(1);
    assert_eq!(lines.next().await, "[build : one] step-one ends");
    run_pod(&cluster, "b-pod", &["step-one", "step-two"]).await;
    assert_eq!(lines.next().await, "[build : two] step-two begins in b-pod");

    // Another one beside it: its lines come while the first one still runs.
    make_pod(&cluster, "t-pod", &["step-try", "step-never"]).await;
    let mut second = task_run("test");
    second["status"] = has_pod("t-pod");
    make(&cluster, "TaskRun", second).await;
    set_status(
        &cluster,
        "PipelineRun",
        &run,
        running(&[child("build"), child("test")]),
    )
    .await;
    run_pod(&cluster, "t-pod", &["step-try"]).await;
    assert_eq!(lines.next().await, "[test : try] step-try begins in t-pod");
    ends.add_permits(2);
    let mut last = [lines.next().await, lines.next().await];
    last.sort();
    assert_eq!(
        last,
        ["[build : two] step-two ends", "[test : try] step-try ends"]
    );

    // A step that never begins is not waited for once its run is over.
    for (task, state, reason) in [("build", "True", "Succeeded"), ("test", "False", "StepFailed")] {
        let status = json!({ "conditions": condition(state, reason, "") });
        set_status(&cluster, "TaskRun", &format!("{run}-{task}"), status).await;
    }
    let message = "Tasks Completed: 2 (Failed: 1, Cancelled 0), Skipped: 0";
    let status = json!({ "conditions": condition("False", "Failed", message) });
    set_status(&cluster, "PipelineRun", &run, status).await;
    let ran = lines.end().await.code(1).complains(&[
        &format!("PipelineRun '{run}': Failed: {message}"),
        &format!("kn pipelinerun describe {run}"),
    ]);
    assert_eq!(ran.out, "");

    // What is over is shown in the order of the pipeline, without waiting.
    let ran = cluster
        .kn(&format!("pipelinerun logs {run} --task build"))
        .await
        .code(1);
    assert_eq!(
        ran.out,
        "[build : one] step-one begins in b-pod\n[build : one] step-one ends\n[build : two] step-two begins in b-pod\n[build : two] step-two ends\n"
    );
}

#[tokio::test]
async fn a_cluster_without_pipelines_is_told() {
    let cluster = Cluster::start_with(
        Arc::new(Steps {
            ends: Arc::new(Semaphore::new(0)),
        }),
        &[],
    )
    .await;
    for line in ["taskrun list", "pipeline start p", "pipelinerun logs r -f"] {
        cluster
            .kn(line)
            .await
            .code(3)
            .complains(&["no or newer Tekton Pipelines API found on the backend"]);
    }
}
