//! Puts the controllers together.

use std::sync::Arc;

use crds::tekton::names::NAMESPACE;
use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Caches, ConfigStore, Leadership, Recorder, Selection, leases};
use tokio::task::JoinSet;

use crate::shared::Shared;
use crate::{pipeline_run, task_run};

/// Source of the current time; tests pass a fixed one.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How the controllers run.
#[derive(Clone)]
pub struct Config {
    /// Where the ConfigMaps and the leases are.
    pub system_namespace: String,
    /// The image of the entrypoint of steps.
    pub entrypoint_image: String,
    /// `None` if there is only one process.
    pub election: Option<Election>,
    pub clock: Clock,
}

/// Who this process is among its replicas.
#[derive(Clone, Debug)]
pub struct Election {
    /// Starts with the pod's name and an underscore.
    pub identity: String,
    pub timing: leases::Timing,
}

impl Config {
    /// The only process, with the entrypoint of this image.
    pub fn new(entrypoint_image: impl Into<String>) -> Self {
        Self {
            system_namespace: NAMESPACE.to_owned(),
            entrypoint_image: entrypoint_image.into(),
            election: None,
            clock: Arc::new(Timestamp::now),
        }
    }
}

/// Reconciles until the future is dropped, with caches that the process shares among its controllers.
pub fn run_with(caches: Caches, config: Config) -> BoxFuture<'static, ()> {
    run_until(caches, config, Box::pin(std::future::pending()))
}

/// Reconciles until `stop` ends, and then gives the leases back, so that a successor need not wait for their end.
pub fn run_until(caches: Caches, config: Config, stop: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(controllers(caches, config, stop))
}

async fn controllers(caches: Caches, config: Config, stop: BoxFuture<'static, ()>) {
    let client = caches.client().clone();
    let events = Recorder::new(client.clone(), "pipelines-controller");
    let shared = task_run::Shared {
        config: ConfigStore::start(&caches, &config.system_namespace),
        events: events.clone(),
        clock: config.clock.clone(),
        entrypoint_image: config.entrypoint_image.clone(),
        task_runs: caches.cache(),
        pods: caches.cache_of(Selection::labelled(crds::tekton::labels::TASK_RUN)),
        requests: caches.cache(),
        limit_ranges: caches.cache(),
        client: client.clone(),
    };
    let task_runs = task_run::controller(&shared);
    let of_pipelines = Shared::new(&caches, shared.config.clone(), events, config.clock.clone());
    let pipeline_runs = pipeline_run::controller(&of_pipelines);
    // Everything that reads has subscribed by now; writing begins when the caches are complete.
    caches.synced().await;
    tracing::info!(
        task_runs = shared.task_runs.len(),
        pipeline_runs = of_pipelines.pipeline_runs.len(),
        "Pipelines controllers start"
    );

    let (stopping, stopped) = tokio::sync::watch::channel(false);
    let (mut running, mut elections) = (JoinSet::new(), JoinSet::new());
    let mut leadership = |name: &str| {
        let Some(election) = &config.election else {
            return Leadership::always();
        };
        let candidate = leases::Election::new(
            client.clone(),
            &config.system_namespace,
            &format!("pipelines-controller.{name}.00-of-01"),
            &election.identity,
            election.timing.clone(),
        );
        let leadership = candidate.leadership();
        let mut stopped = stopped.clone();
        elections.spawn(candidate.run(async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }));
        leadership
    };
    running.spawn(task_runs.run(leadership("taskrun")));
    running.spawn(pipeline_runs.run(leadership("pipelinerun")));
    stop.await;
    // First no more writes, then the leases.
    running.shutdown().await;
    stopping.send_replace(true);
    while elections.join_next().await.is_some() {}
}
