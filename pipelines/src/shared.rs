//! What the reconcilers of this crate share: caches, events, the clock.

use std::sync::Arc;

use crds::tekton::{CustomRun, PipelineRun, TaskRun};
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, Cache, Caches, Recorder};

/// Source of the current time; tests pass a fixed one.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The collaborators of a reconciler.
#[derive(Clone)]
pub(crate) struct Shared {
    pub client: kube::Client,
    pub events: Recorder,
    pub clock: Clock,
    pub pipeline_runs: Cache<PipelineRun>,
    pub task_runs: Cache<TaskRun>,
    pub custom_runs: Cache<CustomRun>,
}

impl Shared {
    pub(crate) fn new(caches: &Caches, clock: Clock) -> Self {
        let client = caches.client().clone();
        Self {
            events: Recorder::new(client.clone(), "pipelines-controller"),
            clock,
            pipeline_runs: caches.cache(),
            task_runs: caches.cache(),
            custom_runs: caches.cache(),
            client,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(crate) fn applier(&self, manager: &'static str) -> Applier {
        Applier::new(self.client.clone(), manager)
    }
}
