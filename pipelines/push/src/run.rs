//! Puts the receiver and the controllers together.

use std::sync::Arc;
use std::time::Duration;

use crds::spindrift::{PushRecord, Repository};
use crds::tekton::PipelineSpec;
use crds::tekton::names::NAMESPACE;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use proxy::{Server, ServerConfig};
use reconciler::{Caches, Candidate, Clock, Manager, Recorder};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::receiver::Receiver;
use crate::shared::Shared;
use crate::{builds, deploy, feedback, poll, repository};

/// The pipeline that builds something, or why there is none.
pub type Pipeline = Arc<dyn Fn(&Job<'_>) -> Result<PipelineSpec, Unbuildable> + Send + Sync>;

/// Why there is no pipeline for something, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unbuildable {
    /// What it takes is on its way: nobody has to do anything.
    NotYet(String),
    /// Something has to be changed.
    No(String),
}

/// A Secret for the namespace of that name.
pub type SecretOf = Arc<dyn Fn(&str) -> Secret + Send + Sync>;

/// What is to be built.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    pub repository: &'a Repository,
    /// The push, or the upload: then its `tree` is the artifact.
    pub push: &'a PushRecord,
    /// Where the image is pushed to, without tag.
    pub image: &'a str,
}

/// Connections of git hosts, and of whoever else finds the receiver.
const MAX_CONNECTIONS: usize = 1024;

/// How it runs.
#[derive(Clone)]
pub struct Config {
    /// Where the Service of the receiver and the leases are.
    pub system_namespace: String,
    /// Where images go unless a Repository says, `host[:port]`.
    pub registry: String,
    /// Builds of one namespace that run at the same time.
    pub parallel: usize,
    /// Makes the pipeline of a build. It has to have a task [`BUILD_TASK`](crate::BUILD_TASK) whose results are
    /// `IMAGE_URL`, `IMAGE_DIGEST` and `tree`, and of a git repository `commit`.
    pub pipeline: Pipeline,
    /// What the pods of builds need in their namespace, the Secret of the registry for one.
    pub secret: Option<SecretOf>,
    /// How git hosts are asked, and told.
    pub outgoing: event_client::Config,
    /// Time for deliveries in flight to finish in the end.
    pub grace: Duration,
    /// `None` if there is only one process.
    pub election: Option<Candidate>,
    pub clock: Clock,
}

impl Config {
    /// The only process, with images in `registry`.
    pub fn new(registry: impl Into<String>, pipeline: Pipeline) -> Self {
        Self {
            system_namespace: NAMESPACE.to_owned(),
            registry: registry.into(),
            parallel: 2,
            pipeline,
            secret: None,
            outgoing: event_client::Config {
                max_idle: 2,
                ..event_client::Config::default()
            },
            grace: Duration::from_secs(10),
            election: None,
            clock: Arc::new(Timestamp::now),
        }
    }
}

/// Works until `stop` ends: receives webhooks at `listeners`, and keeps Repositories. Then lets deliveries in flight
/// finish and gives the leases back.
pub fn run_until(
    caches: Caches,
    config: Config,
    listeners: Vec<TcpListener>,
    stop: BoxFuture<'static, ()>,
) -> BoxFuture<'static, ()> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(all(caches, config, listeners, stop))
}

async fn all(caches: Caches, config: Config, listeners: Vec<TcpListener>, mut stop: BoxFuture<'static, ()>) {
    let events = Recorder::new(caches.client().clone(), "repository-controller");
    let shared = Shared::new(&caches, events, &config);
    let repositories = repository::controller(&shared);
    let queue = builds::controller(&shared);
    let deployments = deploy::controller(&shared);
    let polls = poll::controller(&shared);
    let feedback = feedback::controller(&shared);
    let receiver = Receiver::new(&caches, config.clock.clone());
    tokio::select! {
        () = caches.synced() => {}
        () = &mut stop => return,
    }
    let mut manager = Manager::new(
        caches.client().clone(),
        &config.system_namespace,
        "push-controller",
        config.election,
    );
    manager.start("repository", repositories);
    manager.start("build-queue", queue);
    manager.start("deploy", deployments);
    manager.start("repository-poll", polls);
    manager.start("commit-status", feedback);
    let server = Server::new(
        Arc::new(receiver),
        ServerConfig {
            max_connections: MAX_CONNECTIONS,
            ..ServerConfig::default()
        },
    );
    let (closing, mut serving) = (CancellationToken::new(), JoinSet::new());
    for listener in listeners {
        serving.spawn(server.clone().run(listener, closing.clone(), config.grace));
    }
    manager.work_until(stop).await;
    closing.cancel();
    while serving.join_next().await.is_some() {}
    manager.shut_down().await;
}
