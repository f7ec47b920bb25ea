//! Puts the parts together.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crds::tekton::names::NAMESPACE;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use proxy::{Server, ServerConfig};
use reconciler::{Caches, ConfigStore, Leadership, Selection, leases};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::CONFIG_TYPE;
use crate::keep::{self, Keeper};
use crate::namespaces;
use crate::prune::Pruner;
use crate::serve::Reader;
use crate::store::Store;

/// Source of the current time; tests pass their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

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
    let (stopping, stopped) = tokio::sync::watch::channel(false);
    let mut electing = JoinSet::new();
    let leadership = match &config.election {
        None => Leadership::always(),
        Some(election) => {
            let candidate = leases::Election::new(
                caches.client().clone(),
                &config.system_namespace,
                "run-archive.pruner.00-of-01",
                &election.identity,
                election.timing.clone(),
            );
            let leadership = candidate.leadership();
            let mut stopped = stopped.clone();
            electing.spawn(candidate.run(async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            }));
            leadership
        }
    };
    let mut running = JoinSet::new();
    if synced {
        running.spawn(pods.run(leadership.clone()));
        running.spawn(task_runs.run(leadership.clone()));
        running.spawn(pipeline_runs.run(leadership.clone()));
        running.spawn(pruner.run(leadership));
        running.spawn(expire(caches.client().clone(), config.store));
        stop.await;
    }
    // First no more writes, then the lease.
    running.shutdown().await;
    closing.cancel();
    while serving.join_next().await.is_some() {}
    stopping.send_replace(true);
    while electing.join_next().await.is_some() {}
}

async fn expire(client: kube::Client, store: Arc<Store>) {
    loop {
        namespaces::drop_gone(&client, &store, SystemTime::now()).await;
        let store = Arc::clone(&store);
        let _ = tokio::task::spawn_blocking(move || store.expire(SystemTime::now())).await;
        tokio::time::sleep(EXPIRY).await;
    }
}
