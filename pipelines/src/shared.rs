//! What the reconciler of PipelineRuns works with: caches, events, the clock.

use crds::tekton::{CustomRun, PipelineRun, ResolutionRequest, TaskRun};
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, Cache, Caches, Clock, ConfigStore, Recorder};

/// The collaborators of a reconciler.
#[derive(Clone)]
pub(crate) struct Shared {
    pub client: kube::Client,
    pub events: Recorder,
    pub clock: Clock,
    /// The image of the entrypoint, which affinity assistants have as well.
    pub entrypoint_image: String,
    pub pipeline_runs: Cache<PipelineRun>,
    pub task_runs: Cache<TaskRun>,
    pub custom_runs: Cache<CustomRun>,
    /// The questions to resolvers.
    pub requests: Cache<ResolutionRequest>,
    pub config: ConfigStore,
}

impl Shared {
    pub(crate) fn new(
        caches: &Caches,
        config: ConfigStore,
        events: Recorder,
        clock: Clock,
        entrypoint_image: String,
    ) -> Self {
        let client = caches.client().clone();
        Self {
            events,
            clock,
            entrypoint_image,
            pipeline_runs: caches.cache(),
            task_runs: caches.cache(),
            custom_runs: caches.cache(),
            requests: caches.cache(),
            config,
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
