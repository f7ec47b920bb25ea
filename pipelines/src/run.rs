//! Puts the controllers together.

use std::sync::Arc;

use crds::tekton::names::NAMESPACE;
use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Caches, Candidate, Clock, ConfigStore, Manager, Recorder, Selection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cloud_events::Follower;
use crate::shared::Shared;
use crate::{Outgoing, pipeline_run, task_run};

/// How the controllers run.
#[derive(Clone)]
pub struct Config {
    /// Where the ConfigMaps and the leases are.
    pub system_namespace: String,
    /// The image of the entrypoint of steps.
    pub entrypoint_image: String,
    /// How the sink of CloudEvents about runs is reached.
    pub outgoing: Outgoing,
    /// `None` if there is only one process.
    pub election: Option<Candidate>,
    pub clock: Clock,
}

impl Config {
    /// The only process, with the entrypoint of this image.
    pub fn new(entrypoint_image: impl Into<String>) -> Self {
        Self {
            system_namespace: NAMESPACE.to_owned(),
            entrypoint_image: entrypoint_image.into(),
            outgoing: Outgoing {
                max_idle: 8,
                ..Outgoing::default()
            },
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

async fn controllers(caches: Caches, config: Config, mut stop: BoxFuture<'static, ()>) {
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
    let of_pipelines = Shared::new(
        &caches,
        shared.config.clone(),
        events.clone(),
        config.clock.clone(),
        config.entrypoint_image.clone(),
    );
    let pipeline_runs = pipeline_run::controller(&of_pipelines);
    let follower = Follower::new(
        &caches,
        shared.config.clone(),
        events,
        config.outgoing,
        config.clock,
        &config.system_namespace,
    );
    // Everything that reads has subscribed by now; writing begins when the caches are complete.
    tokio::select! {
        () = caches.synced() => {}
        () = &mut stop => return,
    }
    tracing::info!(
        task_runs = shared.task_runs.len(),
        pipeline_runs = of_pipelines.pipeline_runs.len(),
        "Pipelines controllers start"
    );
    let mut manager = Manager::new(
        client,
        &config.system_namespace,
        "pipelines-controller",
        config.election,
    );
    manager.start("taskrun", task_runs);
    manager.start("pipelinerun", pipeline_runs);
    let (closing, mut telling) = (CancellationToken::new(), JoinSet::new());
    telling.spawn(follower.run(manager.leadership("cloudevents"), closing.clone()));
    manager.work_until(stop).await;
    closing.cancel();
    while telling.join_next().await.is_some() {}
    manager.shut_down().await;
}
