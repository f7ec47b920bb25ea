//! PipelineRuns against an API server; the test is the controller of TaskRuns.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use crds::tekton::{CustomRun, Pipeline, PipelineRun, ResolutionRequest, RunStatus as _, Task, TaskRun};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, ResourceExt};
use reconciler::{Caches, Object};
use serde_json::{Value, json};
use test_api::TestApi;
use tokio::task::JoinHandle;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    client: Client,
    controller: JoinHandle<()>,
    _api: TestApi,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

fn controller(client: Client) -> JoinHandle<()> {
    let caches = Caches::new(client);
    tokio::spawn(async move {
        tokio::join!(
            resolvers::run_with(caches.clone(), resolvers::Config::default()),
            pipelines::pipeline_run::run(caches, Arc::new(Timestamp::now), "entrypoint".to_owned()),
        );
    })
}

impl Cluster {
    async fn start() -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let api = TestApi::start().await;
        let client = api.client();
        api.define(&crds::tekton_definitions()).await;
        let cluster = Self {
            controller: controller(client.clone()),
            client,
            _api: api,
        };
        cluster
            .create::<Task>(
                json!({"metadata": {"name": "work"}, "spec": {"steps": [{"name": "s", "image": "i"}]}}),
            )
            .await;
        cluster
    }

    /// Stops the controller and starts it anew.
    fn restart(&mut self) {
        self.controller.abort();
        self.controller = controller(self.client.clone());
    }

    fn api<K: Object<Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn create<K: Object<Scope = NamespaceResourceScope>>(&self, mut object: Value) -> K {
        object["apiVersion"] = K::api_version(&()).into();
        object["kind"] = K::kind(&()).into();
        self.api()
            .create(&PostParams::default(), &serde_json::from_value(object).unwrap())
            .await
            .unwrap()
    }

    async fn run(&self, name: &str, spec: Value) -> PipelineRun {
        self.create(json!({"metadata": {"name": name}, "spec": spec}))
            .await
    }

    async fn patch<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str, change: Value) {
        self.api::<K>()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
    }

    /// The object once it is as wanted.
    async fn when<K: Object<Scope = NamespaceResourceScope>>(
        &self,
        name: &str,
        wanted: impl Fn(&K) -> bool,
    ) -> K {
        let mut last = None;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < deadline {
            last = self.api::<K>().get_opt(name).await.unwrap();
            if let Some(found) = last.as_ref().filter(|found| wanted(found)) {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!(
            "{name} did not become as wanted: {}",
            serde_json::to_string(&last).unwrap()
        )
    }

    async fn there<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str) -> K {
        self.when(name, |_: &K| true).await
    }

    /// The run once its condition has this status and reason.
    async fn told(&self, name: &str, status: &str, reason: &str) -> PipelineRun {
        self.when(name, |run: &PipelineRun| {
            let condition = run.status.as_ref().and_then(|status| status.succeeded());
            condition.is_some_and(|found| {
                found.status.as_str() == status && found.reason.as_deref() == Some(reason)
            })
        })
        .await
    }

    /// What the controller of TaskRuns would say.
    async fn end<K: Object<Scope = NamespaceResourceScope>>(
        &self,
        name: &str,
        status: &str,
        reason: &str,
        results: Value,
    ) {
        self.there::<K>(name).await;
        let condition = json!({"type": "Succeeded", "status": status, "reason": reason});
        let change = json!({"status": {"conditions": [condition], "results": results, "podName": ""}});
        let params = PatchParams::default();
        self.api::<K>()
            .patch_status(name, &params, &Patch::Merge(change))
            .await
            .unwrap();
    }

    async fn succeed(&self, name: &str) {
        self.end::<TaskRun>(name, "True", "Succeeded", json!([])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_runs_to_its_end_with_results() {
    let cluster = Cluster::start().await;
    let pipeline = json!({
        "metadata": {"name": "pipe", "labels": {"team": "a"}},
        "spec": {
            "params": [{"name": "who", "default": "world"}],
            "tasks": [
                {"name": "greet", "taskRef": {"name": "work"}, "params": [{"name": "to", "value": "$(params.who)"}]},
                {"name": "shout", "taskRef": {"name": "work"}, "params": [{"name": "text", "value": "$(tasks.greet.results.text)!"}]},
                {"name": "approve", "runAfter": ["greet"], "taskRef": {"apiVersion": "x.dev/v1", "kind": "Approval", "name": "boss"}},
            ],
            "finally": [{"name": "clean", "taskRef": {"name": "work"}, "params": [{"name": "how", "value": "$(tasks.status)"}]}],
            "results": [{"name": "text", "value": "$(tasks.greet.results.text)"}],
        },
    });
    cluster.create::<Pipeline>(pipeline).await;
    cluster.run("r", json!({"pipelineRef": {"name": "pipe"}, "params": [{"name": "who", "value": "$(context.pipelineRun.name)"}]})).await;
    let greet: TaskRun = cluster.there("r-greet").await;
    let labels = greet.labels();
    let label = |key: &str| labels.get(key).map(String::as_str).unwrap_or_default();
    assert_eq!(
        [
            "team",
            "tekton.dev/pipeline",
            "tekton.dev/pipelineRun",
            "tekton.dev/pipelineTask",
            "tekton.dev/memberOf"
        ]
        .map(label),
        ["a", "pipe", "r", "greet", "tasks"]
    );
    assert_eq!(greet.owner_references()[0].kind, "PipelineRun");
    cluster.told("r", "Unknown", "Running").await;
    cluster
        .end::<TaskRun>(
            "r-greet",
            "True",
            "Succeeded",
            json!([{"name": "text", "value": "hello"}]),
        )
        .await;
    let shout: TaskRun = cluster.there("r-shout").await;
    assert_eq!(shout.spec.params[0].value.as_str(), Some("hello!"));
    cluster.succeed("r-shout").await;
    cluster
        .end::<CustomRun>("r-approve", "True", "Approved", json!([]))
        .await;
    let clean: TaskRun = cluster.there("r-clean").await;
    assert_eq!(clean.spec.params[0].value.as_str(), Some("Succeeded"));
    cluster.succeed("r-clean").await;
    let run = cluster.told("r", "True", "Succeeded").await;
    assert_eq!(
        run.labels().get("tekton.dev/pipeline").map(String::as_str),
        Some("pipe")
    );
    let status = run.status.unwrap();
    assert_eq!(status.conditions[0].type_, "Succeeded");
    let children: Vec<(&str, &str)> = status
        .child_references
        .iter()
        .map(|child| (child.kind.as_str(), child.name.as_str()))
        .collect();
    let expected = [
        ("TaskRun", "r-greet"),
        ("TaskRun", "r-shout"),
        ("CustomRun", "r-approve"),
        ("TaskRun", "r-clean"),
    ];
    assert_eq!(children, expected);
    assert_eq!(status.results[0].value.as_str(), Some("hello"));
    assert!(status.pipeline_spec.is_some() && status.finally_start_time.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_after_a_restart_and_makes_nothing_twice() {
    let mut cluster = Cluster::start().await;
    let tasks: Vec<Value> = (0..6)
        .map(|n| json!({"name": format!("t{n}"), "taskRef": {"name": "work"}}))
        .collect();
    cluster.run("r", json!({"pipelineSpec": {"tasks": tasks}})).await;
    cluster.there::<TaskRun>("r-t0").await;
    cluster.restart();
    // The status got lost, as if the process had ended between making children and writing it.
    cluster.told("r", "Unknown", "Running").await;
    cluster.restart();
    for n in 0..6 {
        cluster.succeed(&format!("r-t{n}")).await;
    }
    let run = cluster.told("r", "True", "Succeeded").await;
    assert_eq!(run.status.unwrap().child_references.len(), 6);
    let all = cluster
        .api::<TaskRun>()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(all.items.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_done_or_waits_is_not_written_again() {
    let cluster = Cluster::start().await;
    cluster
        .run(
            "r",
            json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": "work"}}]}}),
        )
        .await;
    let before = cluster.told("r", "Unknown", "Running").await;
    // What changes nothing for the run wakes it, and another run shows that it was looked at.
    cluster
        .patch::<TaskRun>("r-a", json!({"metadata": {"annotations": {"x": "y"}}}))
        .await;
    cluster
        .run(
            "other",
            json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": "work"}}]}}),
        )
        .await;
    cluster.told("other", "Unknown", "Running").await;
    let after: PipelineRun = cluster.there("r").await;
    assert_eq!(after.resource_version(), before.resource_version());
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_ends_children_that_the_status_does_not_know() {
    let cluster = Cluster::start().await;
    cluster.run("r", json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": "work"}}, {"name": "b", "taskRef": {"name": "work"}}]}})).await;
    cluster.told("r", "Unknown", "Running").await;
    cluster
        .patch::<PipelineRun>("r", json!({"spec": {"status": "Cancelled"}}))
        .await;
    let run = cluster.told("r", "False", "Cancelled").await;
    let condition = run
        .status
        .as_ref()
        .and_then(|status| status.succeeded().cloned())
        .unwrap();
    assert_eq!(
        condition.message.as_deref(),
        Some("PipelineRun \"r\" was cancelled")
    );
    for name in ["r-a", "r-b"] {
        let child: TaskRun = cluster.there(name).await;
        assert!(child.spec.is_cancelled(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_found_is_told() {
    let cluster = Cluster::start().await;
    let missing = json!({"tasks": [{"name": "a", "taskRef": {"name": "missing"}}]});
    let remote = json!({"tasks": [{"name": "a", "taskRef": {"resolver": "git", "params": []}}]});
    let elsewhere = |kind: &str| json!([{"name": "kind", "value": kind}, {"name": "name", "value": "work"}, {"name": "namespace", "value": "default"}]);
    for (name, spec, reason, words) in [
        (
            "p",
            json!({"pipelineRef": {"name": "missing"}}),
            "CouldntGetPipeline",
            "pipeline default/missing was not found",
        ),
        (
            "t",
            json!({"pipelineSpec": missing}),
            "CouldntGetTask",
            "task default/missing was not found",
        ),
        (
            "g",
            json!({"pipelineSpec": remote}),
            "CouldntGetTask",
            "the param pathInRepo is missing",
        ),
        (
            "b",
            json!({"pipelineRef": {"resolver": "bundles", "params": []}}),
            "CouldntGetPipeline",
            "the param bundle is missing",
        ),
        (
            "c",
            json!({"pipelineRef": {"resolver": "cluster", "params": elsewhere("task")}}),
            "CouldntGetPipeline",
            "\"tekton.dev/v1\" \"Task\", a Pipeline of tekton.dev is wanted",
        ),
    ] {
        cluster.run(name, spec).await;
        let run = cluster.told(name, "False", reason).await;
        let message = run.status.unwrap().succeeded().unwrap().message.clone().unwrap();
        assert!(message.contains(words), "{message}");
    }
    let found =
        json!({"tasks": [{"name": "a", "taskRef": {"resolver": "cluster", "params": elsewhere("task")}}]});
    cluster.run("found", json!({"pipelineSpec": found})).await;
    cluster.there::<TaskRun>("found-a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resolvers_of_others_are_asked_too() {
    let cluster = Cluster::start().await;
    let reference = json!({"resolver": "shelf", "params": [{"name": "book", "value": "b"}]});
    cluster.run("r", json!({"pipelineRef": reference})).await;
    cluster.told("r", "Unknown", "ResolvingPipelineRef").await;
    let name = cluster
        .api::<ResolutionRequest>()
        .list(&ListParams::default().labels("resolution.tekton.dev/type=shelf"))
        .await
        .unwrap()
        .items
        .remove(0)
        .name_any();
    // {"apiVersion":"tekton.dev/v1","kind":"Pipeline","metadata":{"name":"p"},"spec":{"tasks":[{"name":"a","taskRef":{"name":"work"}}]}}
    let data = "eyJhcGlWZXJzaW9uIjoidGVrdG9uLmRldi92MSIsImtpbmQiOiJQaXBlbGluZSIsIm1ldGFkYXRhIjp7Im5hbWUiOiJwIn0sInNwZWMiOnsidGFza3MiOlt7Im5hbWUiOiJhIiwidGFza1JlZiI6eyJuYW1lIjoid29yayJ9fV19fQ==";
    let status = json!({
        "data": data,
        "refSource": {"uri": "shelf:b", "digest": {"sha256": "00"}},
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "ResolutionSuccessful"}],
    });
    cluster
        .api::<ResolutionRequest>()
        .patch_status(
            &name,
            &PatchParams::default(),
            &Patch::Merge(json!({"status": status})),
        )
        .await
        .unwrap();
    let run = cluster.told("r", "Unknown", "Running").await;
    let source = run.status.unwrap().provenance.unwrap().ref_source.unwrap();
    assert_eq!(source.uri, "shelf:b");
    cluster.there::<TaskRun>("r-a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_fails_the_run_and_is_left_alone() {
    let cluster = Cluster::start().await;
    let other: TaskRun = cluster
        .create(json!({"metadata": {"name": "r-a"}, "spec": {"taskRef": {"name": "work"}}}))
        .await;
    cluster
        .run(
            "r",
            json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": "work"}}]}}),
        )
        .await;
    let run = cluster.told("r", "False", "CreateRunFailed").await;
    assert!(run.status.unwrap().child_references.is_empty());
    assert_eq!(cluster.there::<TaskRun>("r-a").await.uid(), other.uid());
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_run_in_pipelines_but_not_in_themselves() {
    let cluster = Cluster::start().await;
    let inner = json!({"metadata": {"name": "inner"}, "spec": {
        "tasks": [{"name": "a", "taskRef": {"name": "work"}}],
        "results": [{"name": "r", "value": "$(tasks.a.results.r)"}],
    }});
    cluster.create::<Pipeline>(inner).await;
    cluster.run("outer", json!({"pipelineSpec": {"tasks": [
        {"name": "in", "pipelineRef": {"name": "inner"}},
        {"name": "after", "taskRef": {"name": "work"}, "params": [{"name": "p", "value": "$(tasks.in.results.r)"}]},
    ]}})).await;
    cluster
        .end::<TaskRun>(
            "outer-in-a",
            "True",
            "Succeeded",
            json!([{"name": "r", "value": "deep"}]),
        )
        .await;
    let after: TaskRun = cluster.there("outer-after").await;
    assert_eq!(after.spec.params[0].value.as_str(), Some("deep"));
    let circle = json!({"metadata": {"name": "circle"}, "spec": {"tasks": [{"name": "a", "pipelineRef": {"name": "circle"}}]}});
    cluster.create::<Pipeline>(circle).await;
    cluster.run("c", json!({"pipelineRef": {"name": "circle"}})).await;
    cluster.told("c", "False", "CreateRunFailed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_other_controllers_are_left_alone_and_changes_are_told_as_events() {
    let cluster = Cluster::start().await;
    let spec = json!({"managedBy": "somebody.else", "pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": "work"}}]}});
    cluster.run("theirs", spec.clone()).await;
    let mut spec = spec;
    spec.as_object_mut().unwrap().remove("managedBy");
    cluster.run("ours", spec).await;
    cluster.succeed("ours-a").await;
    cluster.told("ours", "True", "Succeeded").await;
    let theirs: PipelineRun = cluster.there("theirs").await;
    assert!(theirs.status.is_none_or(|status| status.conditions.is_empty()));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let all = cluster.api::<Event>().list(&ListParams::default()).await.unwrap();
        let reasons: Vec<&str> = all
            .items
            .iter()
            .filter_map(|event| event.reason.as_deref())
            .collect();
        if ["Started", "Running", "Succeeded"]
            .iter()
            .all(|reason| reasons.contains(reason))
        {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{reasons:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster
        .api::<PipelineRun>()
        .delete("ours", &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_status_cannot_be_stored_fails_instead_of_hanging() {
    let cluster = Cluster::start().await;
    // The status holds the pipeline a second time.
    let description = "x".repeat(900_000);
    cluster
        .run("r", json!({"pipelineSpec": {"description": description, "tasks": [{"name": "a", "taskRef": {"name": "work"}}]}}))
        .await;
    let run = cluster.told("r", "False", "Failed").await;
    let message = run.status.unwrap().succeeded().unwrap().message.clone().unwrap();
    assert!(message.contains("too large to be stored"), "{message}");
    let child: TaskRun = cluster.there("r-a").await;
    assert!(child.spec.is_cancelled());
}
