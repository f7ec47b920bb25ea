//! What keeps the TaskRuns of a PipelineRun together, against an API server. Nobody runs pods or StatefulSets here.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use crds::tekton::{PipelineRun, RunStatus as _, TaskRun};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, PersistentVolumeClaim, Pod};
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
    api: TestApi,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

/// The controller of PipelineRuns alone: the test is that of TaskRuns.
fn controller(client: Client) -> JoinHandle<()> {
    let clock = Arc::new(Timestamp::now);
    tokio::spawn(pipelines::pipeline_run::run(
        Caches::new(client),
        clock,
        "entrypoint".to_owned(),
    ))
}

impl Cluster {
    /// With this value of the flag; without one, there is no ConfigMap.
    async fn start(coschedule: Option<&str>) -> Self {
        let api = TestApi::start().await;
        let client = api.client();
        api.define(&crds::tekton_definitions()).await;
        if let Some(coschedule) = coschedule {
            let system = json!({"metadata": {"name": "tekton-pipelines"}});
            Api::<Namespace>::all(client.clone())
                .create(&PostParams::default(), &serde_json::from_value(system).unwrap())
                .await
                .unwrap();
            let map = json!({"metadata": {"name": "feature-flags"}, "data": {"coschedule": coschedule}});
            Api::<ConfigMap>::namespaced(client.clone(), "tekton-pipelines")
                .create(&PostParams::default(), &serde_json::from_value(map).unwrap())
                .await
                .unwrap();
        }
        let cluster = Self {
            controller: controller(client.clone()),
            client,
            api,
        };
        let step = json!({"name": "s", "image": "i", "command": ["true"]});
        let task = json!({"metadata": {"name": "work"}, "spec": {"workspaces": [{"name": "src", "optional": true}], "steps": [step]}});
        cluster.create::<crds::tekton::Task>(task).await;
        cluster
    }

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
        let object = serde_json::from_value(object).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap()
    }

    /// A run of two tasks, one after the other, which share what `binding` says.
    async fn run(&self, metadata: Value, binding: Value) -> PipelineRun {
        let task = |name: &str, after: Value| json!({"name": name, "taskRef": {"name": "work"}, "runAfter": after, "workspaces": [{"name": "src"}]});
        let mut binding = binding;
        binding["name"] = "src".into();
        let pipeline = json!({
            "workspaces": [{"name": "src"}], "tasks": [task("a", json!([])), task("b", json!(["a"]))],
        });
        let spec = json!({"pipelineSpec": pipeline, "workspaces": [binding]});
        self.create(json!({"metadata": metadata, "spec": spec})).await
    }

    /// Once `wanted` finds in the object, or in its absence, what it looks for.
    async fn when<K: Object<Scope = NamespaceResourceScope>, T>(
        &self,
        name: &str,
        wanted: impl Fn(Option<K>) -> Option<T>,
    ) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = self.api::<K>().get_opt(name).await.unwrap();
            if let Some(wanted) = wanted(found.clone()) {
                return wanted;
            }
            if tokio::time::Instant::now() >= deadline {
                panic!("{name} did not become as wanted: {}", json!(found))
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn there<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str) -> K {
        self.when(name, |found| found).await
    }

    async fn gone<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str) {
        self.when(name, |found: Option<K>| found.is_none().then_some(()))
            .await;
    }

    async fn told(&self, name: &str, status: &str, reason: &str) -> String {
        self.when(name, |run: Option<PipelineRun>| {
            let condition = run?.status?.succeeded()?.clone();
            let told = condition.status.as_str() == status && condition.reason.as_deref() == Some(reason);
            told.then(|| condition.message.unwrap_or_default())
        })
        .await
    }

    /// What the controller of TaskRuns would say.
    async fn say(&self, task_run: &str, status: &str, reason: &str) {
        self.there::<TaskRun>(task_run).await;
        let condition = json!({"type": "Succeeded", "status": status, "reason": reason});
        let change = Patch::Merge(json!({"status": {"conditions": [condition], "podName": ""}}));
        let runs = self.api::<TaskRun>();
        runs.patch_status(task_run, &PatchParams::default(), &change)
            .await
            .unwrap();
    }

    async fn succeed(&self, task_run: &str) {
        self.say(task_run, "True", "Succeeded").await;
    }

    async fn patch<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str, change: Value) {
        self.api::<K>()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
    }

    async fn event(&self, reason: &str, about: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let all = self.api::<Event>().list(&ListParams::default()).await.unwrap();
            let told = |event: &Event| {
                event.reason.as_deref() == Some(reason)
                    && event.involved_object.name.as_deref() == Some(about)
            };
            if all.items.iter().any(told) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "no event {reason}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The StatefulSet that a TaskRun has to be beside.
fn assistant(run: &TaskRun) -> Option<String> {
    run.annotations()
        .get("pipeline.tekton.dev/affinity-assistant")
        .cloned()
}

fn template() -> Value {
    json!({"volumeClaimTemplate": {"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}},
    }}})
}

fn claim_of(run: &TaskRun) -> String {
    let claim = run.spec.workspaces[0].persistent_volume_claim.clone();
    claim.unwrap().claim_name
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_share_a_claim_have_an_assistant_until_the_run_ends() {
    // Upstream's default.
    let mut cluster = Cluster::start(None).await;
    let run = cluster.run(json!({"name": "r"}), template()).await;
    let a: TaskRun = cluster.there("r-a").await;
    let name = assistant(&a).unwrap();
    let set: StatefulSet = cluster.there(&name).await;
    assert_eq!(set.owner_references()[0].uid, run.uid().unwrap());
    let volumes = set.spec.template.spec.unwrap().volumes.unwrap();
    let claim = volumes[0].persistent_volume_claim.clone().unwrap().claim_name;
    assert_eq!(claim, claim_of(&a));
    let owned: PersistentVolumeClaim = cluster.there(&claim).await;
    assert_eq!(owned.owner_references()[0].uid, run.uid().unwrap());

    // A controller that starts anew finds it, and one that somebody took away is made again.
    cluster.restart();
    let sets = cluster.api::<StatefulSet>();
    sets.delete(&name, &DeleteParams::background()).await.unwrap();
    cluster.succeed("r-a").await;
    let b: TaskRun = cluster.there("r-b").await;
    assert_eq!(assistant(&b), Some(name.clone()));
    cluster.there::<StatefulSet>(&name).await;
    cluster.succeed("r-b").await;
    cluster.told("r", "True", "Succeeded").await;
    assert!(sets.get_opt(&name).await.unwrap().is_none());
    cluster.there::<PersistentVolumeClaim>(&claim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_has_one_assistant_with_claims_of_its_own_and_keeps_to_that() {
    let cluster = Cluster::start(Some("isolate-pipelinerun")).await;
    cluster.run(json!({"name": "r"}), template()).await;
    let a: TaskRun = cluster.there("r-a").await;
    let name = assistant(&a).unwrap();
    let set: StatefulSet = cluster.there(&name).await;
    let spec = set.spec;
    let templates = spec.volume_claim_templates.unwrap();
    let claim = format!("{}-{name}-0", templates[0].name_any());
    assert_eq!(claim_of(&a), claim);
    let affinity = spec.template.spec.unwrap().affinity.unwrap().pod_anti_affinity;
    let away = affinity
        .unwrap()
        .required_during_scheduling_ignored_during_execution
        .unwrap();
    assert_eq!(away.len(), 1);
    // As a cluster protects what a pod has, though it has ended.
    let kept = json!({"metadata": {"finalizers": ["kubernetes.io/pvc-protection"]}});
    cluster.there::<PersistentVolumeClaim>(&claim).await;
    cluster.patch::<PersistentVolumeClaim>(&claim, kept).await;

    // The next run goes by the new value, this one by its own.
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "tekton-pipelines");
    let off = Patch::Merge(json!({"data": {"coschedule": "disabled"}}));
    maps.patch("feature-flags", &PatchParams::default(), &off)
        .await
        .unwrap();
    let mut tries = 0;
    loop {
        let other = format!("other-{tries}");
        cluster.run(json!({"name": other}), template()).await;
        if assistant(&cluster.there::<TaskRun>(&format!("{other}-a")).await).is_none() {
            break;
        }
        tries += 1;
        assert!(tries < 1000, "the flag is never seen");
    }
    cluster.succeed("r-a").await;
    let b: TaskRun = cluster.there("r-b").await;
    assert_eq!((assistant(&b), claim_of(&b)), (Some(name.clone()), claim.clone()));
    cluster.succeed("r-b").await;
    cluster.told("r", "True", "Succeeded").await;
    cluster.gone::<StatefulSet>(&name).await;
    cluster.gone::<PersistentVolumeClaim>(&claim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_assistants_nothing_is_asked_and_claims_go_if_that_is_wanted() {
    let cluster = Cluster::start(Some("disabled")).await;
    let metadata = json!({"name": "r", "annotations": {"tekton.dev/auto-cleanup-pvc": "true"}});
    cluster.run(metadata, template()).await;
    let a: TaskRun = cluster.there("r-a").await;
    assert_eq!(assistant(&a), None);
    let claim = claim_of(&a);
    cluster.there::<PersistentVolumeClaim>(&claim).await;
    for child in ["r-a", "r-b"] {
        cluster.say(child, "Unknown", "Pending").await;
        cluster.succeed(child).await;
    }
    cluster.told("r", "True", "Succeeded").await;
    assert!(
        cluster
            .api::<PersistentVolumeClaim>()
            .get_opt(&claim)
            .await
            .unwrap()
            .is_none()
    );
    let counted = cluster.api.requests().counted();
    let needless = counted.keys().find(|operation| {
        operation.resource.starts_with("statefulsets") || operation.resource.starts_with("nodes")
    });
    assert!(needless.is_none(), "{needless:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assistant_leaves_a_node_that_takes_no_more_pods() {
    let cluster = Cluster::start(Some("workspaces")).await;
    cluster
        .run(
            json!({"name": "r"}),
            json!({"persistentVolumeClaim": {"claimName": "mine"}}),
        )
        .await;
    let name = assistant(&cluster.there::<TaskRun>("r-a").await).unwrap();
    let set: StatefulSet = cluster.there(&name).await;
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let node: Node = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let pod = format!("{name}-0");
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": set.uid(), "controller": true,
    });
    let made: Pod = cluster
        .create(json!({
            "metadata": {"name": pod, "ownerReferences": [owner]},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
        }))
        .await;
    let leaves = |found: Option<Pod>| {
        found
            .is_none_or(|pod| pod.uid() != made.uid() || pod.metadata.deletion_timestamp.is_some())
            .then_some(())
    };
    // The child waits, which nobody would tell once more when the node is closed.
    cluster.say("r-a", "Unknown", "Pending").await;
    cluster.told("r", "Unknown", "Running").await;
    let closed = Patch::Merge(json!({"spec": {"unschedulable": true}}));
    nodes.patch("n", &PatchParams::default(), &closed).await.unwrap();
    cluster.when(&pod, leaves).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_comes_again_is_waited_for_and_one_of_others_is_left_alone() {
    let cluster = Cluster::start(Some("workspaces")).await;
    let claim = json!({"persistentVolumeClaim": {"claimName": "mine"}});
    cluster.run(json!({"name": "r"}), claim.clone()).await;
    let name = assistant(&cluster.there::<TaskRun>("r-a").await).unwrap();
    let first: StatefulSet = cluster.there(&name).await;
    // Nobody collects here what the run leaves.
    let runs = cluster.api::<PipelineRun>();
    runs.delete("r", &DeleteParams::background()).await.unwrap();
    cluster.gone::<PipelineRun>("r").await;
    let children = cluster.api::<TaskRun>();
    children.delete("r-a", &DeleteParams::background()).await.unwrap();
    let again = cluster.run(json!({"name": "r"}), claim.clone()).await;
    let second: StatefulSet = cluster
        .when(&name, |found: Option<StatefulSet>| {
            found.filter(|found| found.uid() != first.uid())
        })
        .await;
    assert_eq!(second.owner_references()[0].uid, again.uid().unwrap());
    cluster.there::<TaskRun>("r-a").await;

    // The same name, somebody else's.
    runs.delete("r", &DeleteParams::background()).await.unwrap();
    cluster.gone::<PipelineRun>("r").await;
    children.delete("r-a", &DeleteParams::background()).await.unwrap();
    let theirs = json!({"metadata": {"ownerReferences": null}});
    cluster.patch::<StatefulSet>(&name, theirs).await;
    cluster.run(json!({"name": "r"}), claim).await;
    let reason = "ReasonCouldntCreateOrUpdateAffinityAssistantStatefulSet";
    let message = cluster.told("r", "False", reason).await;
    assert!(message.contains(&name), "{message}");
    let left: StatefulSet = cluster.there(&name).await;
    assert_eq!(left.uid(), second.uid());
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_beside_their_assistant_and_have_one_claim() {
    let cluster = Cluster::start(None).await;
    let config = pipelines::Config::new("entrypoint");
    let task_runs = tokio::spawn(pipelines::run_with(Caches::new(cluster.client.clone()), config));
    let node = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}});
    cluster
        .create::<TaskRun>(json!({
            "metadata": {"name": "near", "annotations": {"pipeline.tekton.dev/affinity-assistant": "assistant"}},
            "spec": {"taskRef": {"name": "work"}, "podTemplate": {"affinity": node}},
        }))
        .await;
    let pod: Pod = cluster.there("near-pod").await;
    let affinity = pod.spec.unwrap().affinity.unwrap();
    let near = affinity
        .pod_affinity
        .unwrap()
        .required_during_scheduling_ignored_during_execution
        .unwrap();
    assert_eq!(near[0].topology_key, "kubernetes.io/hostname");
    let labels = near[0].label_selector.clone().unwrap().match_labels.unwrap();
    assert_eq!(labels["app.kubernetes.io/instance"], "assistant");
    cluster.event("PodAffinityOverwrite", "near").await;

    let claim = |name: &str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    let task =
        json!({"workspaces": [{"name": "x"}, {"name": "y"}], "steps": [{"image": "i", "command": ["true"]}]});
    cluster
        .create::<TaskRun>(json!({
            "metadata": {"name": "two"},
            "spec": {"taskSpec": task, "workspaces": [claim("x"), claim("y")]},
        }))
        .await;
    let message = cluster
        .when("two", |run: Option<TaskRun>| {
            let condition = run?.status?.succeeded()?.clone();
            let refused = condition.reason.as_deref() == Some("TaskRunValidationFailed");
            refused.then_some(condition.message)
        })
        .await;
    assert!(message.unwrap().contains("x, y"));
    task_runs.abort();
}
