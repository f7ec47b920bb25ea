//! Runs that do nothing, and how long that takes.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PostParams, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

/// Longest wait for one run.
const LIMIT: Duration = Duration::from_secs(600);

pub struct Runs {
    client: Client,
    image: String,
}

impl Runs {
    pub fn new(client: Client, image: &str) -> Self {
        let image = image.to_owned();
        Self { client, image }
    }

    /// A TaskRun of so many steps: from its creation to its success.
    pub async fn task_run(&self, name: &str, steps: usize) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let spec = json!({ "taskSpec": self.task(steps) });
        self.succeeded("TaskRun", name, spec).await?;
        Ok(start.elapsed())
    }

    /// A pipeline whose tasks come one after the other: until its first pod is there, and until its success.
    pub async fn chain(&self, name: &str, tasks: usize) -> anyhow::Result<(Duration, Duration)> {
        let start = Instant::now();
        let pods: Api<Pod> = Api::default_namespaced(self.client.clone());
        let label = format!("tekton.dev/pipelineRun={name}");
        let first = async {
            let params = WatchParams::default().labels(&label);
            let mut events = pin!(pods.watch(&params, "0").await?);
            while let Some(event) = events.try_next().await? {
                if let WatchEvent::Added(_) | WatchEvent::Modified(_) = event {
                    return Ok(start.elapsed());
                }
            }
            bail!("the watch of pods has ended")
        };
        let work = self.succeeded("PipelineRun", name, self.pipeline(tasks));
        let (first, ()) = tokio::try_join!(first, work)?;
        Ok((first, start.elapsed()))
    }

    /// A PipelineRun of two tasks, to its success.
    pub async fn pair(&self, name: String) -> anyhow::Result<()> {
        self.succeeded("PipelineRun", &name, self.pipeline(2)).await
    }

    fn task(&self, steps: usize) -> Value {
        let step = |index| json!({ "name": format!("s{index}"), "image": self.image, "command": ["/entrypoint", "working-dir"] });
        let steps: Vec<Value> = (0..steps).map(step).collect();
        json!({ "steps": steps })
    }

    fn pipeline(&self, tasks: usize) -> Value {
        let task = |index: usize| {
            let mut task = json!({ "name": format!("t{index}"), "taskSpec": self.task(1) });
            if let Some(before) = index.checked_sub(1) {
                task["runAfter"] = json!([format!("t{before}")]);
            }
            task
        };
        let tasks: Vec<Value> = (0..tasks).map(task).collect();
        json!({ "pipelineSpec": { "tasks": tasks } })
    }

    async fn succeeded(&self, kind: &str, name: &str, spec: Value) -> anyhow::Result<()> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("tekton.dev", "v1", kind));
        let api: Api<DynamicObject> = Api::default_namespaced_with(self.client.clone(), &kind);
        let object = DynamicObject::new(name, &kind).data(json!({ "spec": spec }));
        let created = api.create(&PostParams::default(), &object).await?;
        let mut version = created.metadata.resource_version.context("no version")?;
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let work = async {
            // A watch ends by itself after a while.
            loop {
                let mut events = pin!(api.watch(&params, &version).await?);
                let mut seen = version.clone();
                while let Some(event) = events.try_next().await? {
                    let (WatchEvent::Added(run) | WatchEvent::Modified(run)) = event else {
                        continue;
                    };
                    let condition = &run.data["status"]["conditions"][0];
                    match condition["status"].as_str() {
                        Some("True") => return Ok(()),
                        Some("False") => bail!("{name} failed: {condition}"),
                        _ => {}
                    }
                    seen = run.metadata.resource_version.unwrap_or_default();
                }
                version = seen;
            }
        };
        let ended = tokio::time::timeout(LIMIT, work).await;
        ensure!(ended.is_ok(), "{name} has not ended within {LIMIT:?}");
        ended?
    }
}
