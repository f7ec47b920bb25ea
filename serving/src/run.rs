//! Puts the controllers together.

use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Caches, ConfigStore, Controller, Key, Leadership, Queue, Reconcile, Selection, leases};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::digest::Resolver;
use crate::shared::{Clock, Shared};
use crate::{collector, configuration, labeler, revision, route, service};

/// How the controllers run.
#[derive(Clone)]
pub struct Config {
    /// Where the ConfigMaps and leases are.
    pub system_namespace: String,
    /// DNS suffix of the cluster, for example `cluster.local`.
    pub cluster_domain: String,
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

impl Default for Config {
    fn default() -> Self {
        Self {
            system_namespace: crds::names::SYSTEM_NAMESPACE.to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            election: None,
            clock: Arc::new(Timestamp::now),
        }
    }
}

/// Reconciles until the future is dropped.
pub async fn run(client: kube::Client, config: Config) {
    run_with(Caches::new(client), config).await;
}

/// Like [`run`], with caches that the process shares among its controllers.
pub fn run_with(caches: Caches, config: Config) -> BoxFuture<'static, ()> {
    run_until(caches, config, Box::pin(std::future::pending()))
}

/// Reconciles until `stop` ends, and then gives the leases back, so that a successor need not wait for their end.
pub fn run_until(caches: Caches, config: Config, stop: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(controllers(caches, config, stop))
}

async fn controllers(caches: Caches, config: Config, mut stop: BoxFuture<'static, ()>) {
    let store = ConfigStore::start(&caches, &config.system_namespace);
    let shared = Shared::new(&caches, store.clone(), &config);
    let mut tasks = Tasks {
        shared: shared.clone(),
        config,
        running: JoinSet::new(),
        elections: JoinSet::new(),
        stopping: watch::Sender::new(false),
    };

    let revisions = reconciler::queue("revision");
    let resolver = Resolver::new(shared.client.clone(), revisions.clone());
    let services = service::controller(&shared);
    let configurations = configuration::controller(&shared);
    let revision_controller = revision::controller(&shared, revisions.clone(), resolver);

    let slices = caches.cache_of(Selection::labelled(crds::labels::ROUTE));
    let routes = route::controller(&shared, slices);
    let labeler = labeler::controller(&shared);
    let collector = collector::controller(&shared);
    let (route_queue, collector_queue) = (routes.queue(), collector.queue());

    // Everything that reads has subscribed by now; writing begins when the caches are complete.
    tokio::select! {
        () = caches.synced() => {}
        () = &mut stop => return,
    }
    tracing::info!(
        services = shared.services.len(),
        revisions = shared.revisions.len(),
        "Serving controllers start"
    );
    tasks.start("service", services);
    tasks.start("configuration", configurations);
    tasks.start("revision", revision_controller);
    tasks.start("route", routes);
    tasks.start("labeler", labeler);
    tasks.start("collector", collector);
    let (all_revisions, all_routes, all_configurations) = (
        shared.revisions.clone(),
        shared.routes.clone(),
        shared.configurations.clone(),
    );
    tasks.on_config_change(
        &store,
        vec![
            (revisions, Box::new(move || all_revisions.keys())),
            (route_queue, Box::new(move || all_routes.keys())),
            (collector_queue, Box::new(move || all_configurations.keys())),
        ],
    );
    tasks.run(stop).await;
}

type Keys = Box<dyn Fn() -> Vec<Key> + Send + Sync>;

struct Tasks {
    shared: Shared,
    config: Config,
    running: JoinSet<()>,
    elections: JoinSet<()>,
    /// Tells the elections to end.
    stopping: watch::Sender<bool>,
}

impl Tasks {
    fn start<R: Reconcile>(&mut self, name: &str, controller: Controller<R>) {
        let leadership = match &self.config.election {
            None => Leadership::always(),
            Some(election) => {
                let lease = format!("controller.{name}.00-of-01");
                let namespace = &self.config.system_namespace;
                let timing = election.timing.clone();
                let candidate = leases::Election::new(
                    self.shared.client.clone(),
                    namespace,
                    &lease,
                    &election.identity,
                    timing,
                );
                let leadership = candidate.leadership();
                let mut stopping = self.stopping.subscribe();
                self.elections.spawn(candidate.run(async move {
                    let _ = stopping.wait_for(|stopping| *stopping).await;
                }));
                leadership
            }
        };
        self.running.spawn(controller.run(leadership));
    }

    /// Looks at everything again that depends on the configuration.
    fn on_config_change(&mut self, store: &ConfigStore, dependents: Vec<(Queue, Keys)>) {
        let mut changes = store.changes();
        self.running.spawn(async move {
            while changes.changed().await.is_ok() {
                for (queue, keys) in &dependents {
                    for key in keys() {
                        queue.add(key);
                    }
                }
            }
        });
    }

    async fn run(mut self, stop: BoxFuture<'static, ()>) {
        let working = async {
            while let Some(ended) = self.running.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "A controller ended");
                }
            }
        };
        tokio::select! {
            () = working => {}
            () = stop => {}
        }
        // First no more writes, then the leases.
        self.running.shutdown().await;
        self.stopping.send_replace(true);
        while self.elections.join_next().await.is_some() {}
    }
}
