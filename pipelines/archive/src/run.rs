//! Puts the parts together.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crds::tekton::names::NAMESPACE;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use proxy::{Server, ServerConfig};
use reconciler::{Caches, Candidate, Clock, ConfigStore, Manager, Selection};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::CONFIG_TYPE;
use crate::keep::{self, Keeper};
use crate::namespaces;
use crate::prune::Pruner;
use crate::serve::Reader;
use crate::store::Store;

/// Connections of those who read.
const MAX_CONNECTIONS: usize = 256;
/// How often what is too old is dropped.
const EXPIRY: Duration = Duration::from_secs(600);

/// How the archive runs.
pub struct Config {
    /// Where the ConfigMap and the lease are.
    pub system_namespace: String,
    pub store: Arc<Store>,
    /// Where people ask for what there is.
    pub listeners: Vec<TcpListener>,
    /// Time for answers in flight in the end.
    pub grace: Duration,
    /// `None` if there is only one process.
    pub election: Option<Candidate>,
    pub clock: Clock,
}

impl Config {
    /// The only process, which answers nobody.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            system_namespace: NAMESPACE.to_owned(),
            store,
            listeners: Vec::new(),
            grace: Duration::from_secs(10),
            election: None,
            clock: Arc::new(Timestamp::now),
        }
    }
}

/// Archives, prunes and answers until `stop` ends, and then gives the lease back.
pub fn run_until(caches: Caches, config: Config, stop: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(parts(caches, config, stop))
}

async fn parts(caches: Caches, config: Config, mut stop: BoxFuture<'static, ()>) {
    let keeper = Arc::new(Keeper::new(&caches, config.store.clone()));
    let (pods, task_runs, pipeline_runs) = keep::controllers(&keeper);
    let pruner = Pruner::new(
        keeper.clone(),
        caches.cache(),
        caches.cache_of::<ConfigMap>(Selection::labelled(format!("{CONFIG_TYPE}=namespace"))),
        ConfigStore::start(&caches, &config.system_namespace),
        config.clock.clone(),
    );
    let server = Server::new(
        Arc::new(Reader::new(caches.client().clone(), config.store.clone())),
        ServerConfig {
            max_connections: MAX_CONNECTIONS,
            ..ServerConfig::default()
        },
    );
    let (closing, mut serving) = (CancellationToken::new(), JoinSet::new());
    for listener in config.listeners {
        serving.spawn(server.clone().run(listener, closing.clone(), config.grace));
    }
    // Everything that reads has subscribed by now; work begins when the caches are complete.
    let synced = tokio::select! {
        () = caches.synced() => true,
        () = &mut stop => false,
    };
    let mut manager = Manager::new(
        caches.client().clone(),
        &config.system_namespace,
        "run-archive",
        config.election,
    );
    if synced {
        let leadership = manager.leadership("pruner");
        manager.spawn(pods.run(leadership.clone()));
        manager.spawn(task_runs.run(leadership.clone()));
        manager.spawn(pipeline_runs.run(leadership.clone()));
        manager.spawn(pruner.run(leadership));
        manager.spawn(expire(caches.client().clone(), config.store));
        manager.work_until(stop).await;
    }
    closing.cancel();
    while serving.join_next().await.is_some() {}
    manager.shut_down().await;
}

async fn expire(client: kube::Client, store: Arc<Store>) {
    loop {
        namespaces::drop_gone(&client, &store, SystemTime::now()).await;
        let store = Arc::clone(&store);
        let _ = tokio::task::spawn_blocking(move || store.expire(SystemTime::now())).await;
        tokio::time::sleep(EXPIRY).await;
    }
}
