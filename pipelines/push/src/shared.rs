//! What the controllers work with: caches, events, the clock.

use crds::serving::{Revision, Service};
use crds::spindrift::{Repository, labels};
use crds::tekton::{CustomRun, PipelineRun};
use k8s_openapi::api::core::v1::Service as CoreService;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use reconciler::{Applier, Cache, Caches, Recorder, Selection};

use crate::run::Config;

#[derive(Clone)]
pub(crate) struct Shared {
    pub client: kube::Client,
    pub events: Recorder,
    pub config: Config,
    pub repositories: Cache<Repository>,
    pub runs: Cache<PipelineRun>,
    pub custom_runs: Cache<CustomRun>,
    pub services: Cache<Service>,
    pub revisions: Cache<Revision>,
    /// Those of the system namespace.
    pub core_services: Cache<CoreService>,
}

impl Shared {
    pub(crate) fn new(caches: &Caches, events: Recorder, config: &Config) -> Self {
        Self {
            client: caches.client().clone(),
            events,
            config: config.clone(),
            repositories: caches.cache(),
            runs: caches.cache(),
            custom_runs: caches.cache(),
            services: caches.cache(),
            revisions: caches.cache(),
            core_services: caches.cache_of(Selection::within(&config.system_namespace)),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let now = (self.config.clock)();
        // Times in a status are whole seconds.
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    pub(crate) fn applier(&self, manager: &'static str) -> Applier {
        Applier::new(self.client.clone(), manager)
    }
}

/// Name of the Repository that a run builds.
pub(crate) fn repository_of(run: &PipelineRun) -> Option<&str> {
    run.labels().get(labels::REPOSITORY).map(String::as_str)
}
