//! Puts runs and the logs of their pods into the store.

mod log;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use crds::tekton::{PipelineRun, RunStatus, TaskRun};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use reconciler::object::controller_of;
use reconciler::{Cache, Caches, Controller, Error, Key, Next, Object, Reconcile, Selection};
use serde_json::Value;

use crate::store::{Kind, Store, StoreError, Subject};
use log::Reading;

/// Pods that are read at the same time; each takes up to [`tail::MOST`] bytes of memory.
const AT_ONCE: usize = 8;
/// Longest time for the logs of one pod. One that is about to go has its grace period, and is read until then.
const LIMIT: Duration = Duration::from_secs(120);
/// Runs within runs that are followed.
const DEPTH: usize = 8;

/// Puts runs and logs into the store.
pub(crate) struct Keeper {
    pub client: kube::Client,
    pub store: Arc<Store>,
    pub pipeline_runs: Cache<PipelineRun>,
    pub task_runs: Cache<TaskRun>,
    pub pods: Cache<Pod>,
}

/// What a pod is, for who keeps its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is more to come.
    Running,
    /// All steps have ended.
    Ended,
    /// It is about to go, whatever its steps do.
    Going,
}

impl Keeper {
    pub fn new(caches: &Caches, store: Arc<Store>) -> Self {
        Self {
            client: caches.client().clone(),
            store,
            pipeline_runs: caches.cache(),
            task_runs: caches.cache(),
            pods: caches.cache_of(Selection::labelled(crds::tekton::labels::TASK_RUN)),
        }
    }

    /// Keeps a run, all runs that it made, and the logs of their pods.
    ///
    /// # Errors
    /// A log that cannot be read although its pod is there, or what a store fails at.
    pub async fn keep_tree(&self, run: &PipelineRun) -> Result<(), Error> {
        self.tree(run, 0).await
    }

    fn tree<'a>(&'a self, run: &'a PipelineRun, depth: usize) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let uid = run.metadata.uid.as_deref().unwrap_or_default();
            for task_run in self.task_runs.controlled_by(uid) {
                self.keep_task_run_and_pods(&task_run).await?;
            }
            if depth < DEPTH {
                for child in self.pipeline_runs.controlled_by(uid) {
                    self.tree(&child, depth + 1).await?;
                }
            }
            self.keep_run(Kind::PipelineRun, run).await
        })
    }

    /// Keeps the run of a task, and the logs of its pods.
    ///
    /// # Errors
    /// As [`Self::keep_tree`].
    pub async fn keep_task_run_and_pods(&self, run: &TaskRun) -> Result<(), Error> {
        for pod in self
            .pods
            .controlled_by(run.metadata.uid.as_deref().unwrap_or_default())
        {
            self.keep_pod(&pod, false).await?;
        }
        self.keep_run(Kind::TaskRun, run).await
    }

    /// Keeps the object of a run.
    async fn keep_run<K: Object>(&self, kind: Kind, run: &K) -> Result<(), Error> {
        let meta = run.meta();
        let (subject, id) = (subject(kind, meta), meta.uid.clone().unwrap_or_default());
        if self.store.has(&subject, &id) {
            return Ok(());
        }
        let mut object =
            serde_json::to_value(run).map_err(|error| Error::fault(StoreFailure::Json(error)))?;
        strip(&mut object);
        self.put(subject, id, object.to_string().into_bytes()).await
    }

    /// Keeps the log of a pod unless that is done; with `follow`, reads it until its steps end.
    async fn keep_pod(&self, pod: &Pod, follow: bool) -> Result<(), Error> {
        let meta = &pod.metadata;
        let (subject, id) = (subject(Kind::Pod, meta), id_of(pod));
        let steps = steps(pod);
        if self.store.has(&subject, &id) || steps.is_empty() {
            return Ok(());
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &subject.namespace);
        let reading = Reading {
            api,
            pod: subject.name.clone(),
            follow,
        };
        let mut text = Vec::new();
        let mut read = true;
        for step in steps {
            read &= reading.step(&step, &mut text).await;
        }
        // A pod that stays can be read later.
        let stays = self.pods.named(&subject.namespace, &subject.name);
        if !read && !follow && stays.is_some_and(|found| found.metadata.uid == meta.uid) {
            return Err(Error::fault(StoreFailure::Log(subject.name)));
        }
        self.put(subject, id, text).await
    }

    async fn put(&self, subject: Subject, id: String, text: Vec<u8>) -> Result<(), Error> {
        let store = Arc::clone(&self.store);
        let put = tokio::task::spawn_blocking(move || store.put(subject, &id, &text));
        flatten(put.await)
    }

    /// Makes durable what has been kept.
    ///
    /// # Errors
    /// The disk does not do it.
    pub async fn store_durably(&self) -> Result<(), Error> {
        let store = Arc::clone(&self.store);
        flatten(tokio::task::spawn_blocking(move || store.sync()).await)
    }
}

fn flatten(done: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Result<(), Error> {
    match done {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::fault(StoreFailure::Store(error))),
        Err(error) => Err(Error::fault(StoreFailure::Task(error))),
    }
}

/// Why something was not kept.
#[derive(Debug, thiserror::Error)]
enum StoreFailure {
    #[error("cannot be archived: {0}")]
    Store(#[source] StoreError),
    #[error("the archive stopped: {0}")]
    Task(#[source] tokio::task::JoinError),
    #[error("cannot be written as JSON: {0}")]
    Json(#[source] serde_json::Error),
    #[error("the log of pod {0} cannot be read")]
    Log(String),
}

fn subject(kind: Kind, meta: &ObjectMeta) -> Subject {
    Subject {
        kind,
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

/// Tells the pods of a name apart: by their TaskRun, and by themselves.
fn id_of(pod: &Pod) -> String {
    let owner = controller_of(&pod.metadata).map_or("", |owner| owner.uid.as_str());
    format!("{owner}_{}", pod.metadata.uid.as_deref().unwrap_or_default())
}

/// What nobody reads, and what would say twice what the object says.
fn strip(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(crds::tekton::annotations::LAST_APPLIED);
        }
    }
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter());
    statuses.flatten()
}

fn is_step(container: &Container) -> bool {
    container.name.starts_with(crds::tekton::names::STEP_PREFIX)
}

/// Names of the containers of steps that have a log, in order.
fn steps(pod: &Pod) -> Vec<String> {
    let began = |name: &str| {
        let state = statuses(pod).find(|status| status.name == name);
        let state = state.and_then(|status| status.state.as_ref());
        state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .filter(|container| is_step(container) && began(&container.name))
        .map(|container| container.name.clone())
        .collect()
}

fn phase(pod: &Pod) -> Phase {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let over = |name: &str| {
        let state = statuses(pod).find(|status| status.name == name);
        let state = state.and_then(|status| status.state.as_ref());
        state.is_some_and(|state| state.terminated.is_some())
    };
    let mut steps = pod
        .spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .filter(|container| is_step(container))
        .peekable();
    let all_over = steps.peek().is_some() && steps.all(|step| over(&step.name));
    if all_over || matches!(phase, Some("Succeeded" | "Failed")) {
        Phase::Ended
    } else if pod.metadata.deletion_timestamp.is_some() {
        Phase::Going
    } else {
        Phase::Running
    }
}

/// Keeps logs as pods end.
pub(crate) struct Pods(Arc<Keeper>);

/// Keeps runs of tasks as they end.
pub(crate) struct TaskRuns(Arc<Keeper>);

/// Keeps runs of pipelines as they end.
pub(crate) struct PipelineRuns(Arc<Keeper>);

impl Reconcile for Pods {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(pod) = self.0.pods.get(key) else {
            return Ok(Next::OnChange);
        };
        match phase(&pod) {
            Phase::Running => {}
            Phase::Ended => self.0.keep_pod(&pod, false).await?,
            Phase::Going => self.0.keep_pod(&pod, true).await?,
        }
        Ok(Next::OnChange)
    }
}

impl Reconcile for TaskRuns {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let run = self.0.task_runs.get(key);
        if let Some(run) = run.filter(|run| run.status.as_ref().is_some_and(RunStatus::is_done)) {
            self.0.keep_run(Kind::TaskRun, run.as_ref()).await?;
        }
        Ok(Next::OnChange)
    }
}

impl Reconcile for PipelineRuns {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let run = self.0.pipeline_runs.get(key);
        if let Some(run) = run.filter(|run| run.status.as_ref().is_some_and(RunStatus::is_done)) {
            self.0.keep_run(Kind::PipelineRun, run.as_ref()).await?;
        }
        Ok(Next::OnChange)
    }
}

/// The controllers that keep what ends.
pub(crate) fn controllers(
    keeper: &Arc<Keeper>,
) -> (Controller<Pods>, Controller<TaskRuns>, Controller<PipelineRuns>) {
    (
        Controller::new("archive-pod", Pods(keeper.clone()))
            .concurrency(AT_ONCE)
            .time_limit(LIMIT)
            .watches(&keeper.pods),
        Controller::new("archive-taskrun", TaskRuns(keeper.clone())).watches(&keeper.task_runs),
        Controller::new("archive-pipelinerun", PipelineRuns(keeper.clone())).watches(&keeper.pipeline_runs),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(states: &[(&str, &str)], phase: &str, going: bool) -> Pod {
        let containers: Vec<Value> = states.iter().map(|(name, _)| json!({ "name": name })).collect();
        let statuses: Vec<Value> = states
            .iter()
            .filter(|(_, state)| !state.is_empty())
            .map(|(name, state)| {
                let inner = if *state == "terminated" { json!({ "exitCode": 0 }) } else { json!({}) };
                json!({ "name": name, "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": { (*state): inner } })
            })
            .collect();
        let time = going.then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({ "metadata": { "name": "p", "deletionTimestamp": time },
            "spec": { "containers": containers }, "status": { "phase": phase, "containerStatuses": statuses } }))
        .unwrap()
    }

    #[test]
    fn pods_are_read_when_their_steps_have_ended_or_they_go() {
        for (states, phase_, going, expected, read) in [
            (
                &[
                    ("step-a", "terminated"),
                    ("step-b", "running"),
                    ("sidecar-c", "running"),
                ][..],
                "Running",
                false,
                Phase::Running,
                &["step-a", "step-b"][..],
            ),
            (
                &[
                    ("step-a", "terminated"),
                    ("step-b", "terminated"),
                    ("sidecar-c", "running"),
                ],
                "Running",
                false,
                Phase::Ended,
                &["step-a", "step-b"],
            ),
            (
                &[("step-a", "terminated"), ("step-b", "waiting")],
                "Running",
                true,
                Phase::Going,
                &["step-a"],
            ),
            (
                &[("step-a", "terminated"), ("step-b", "waiting")],
                "Failed",
                false,
                Phase::Ended,
                &["step-a"],
            ),
            (
                &[("step-a", "terminated")],
                "Succeeded",
                true,
                Phase::Ended,
                &["step-a"],
            ),
            (&[("step-a", "")], "Pending", false, Phase::Running, &[]),
            (&[("other", "terminated")], "Running", false, Phase::Running, &[]),
        ] {
            let pod = pod(states, phase_, going);
            assert_eq!(
                (phase(&pod), steps(&pod)),
                (expected, read.iter().map(ToString::to_string).collect()),
                "{states:?}"
            );
        }
    }

    #[test]
    fn what_nobody_reads_is_left_out() {
        let mut object = json!({ "metadata": { "name": "r", "managedFields": [{}], "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b" } } });
        strip(&mut object);
        assert_eq!(
            object,
            json!({ "metadata": { "name": "r", "annotations": { "a": "b" } } })
        );
    }
}
