//! Puts the controller together.

use std::net::SocketAddr;
use std::sync::Arc;

use crds::tekton::names::{NAMESPACE, RESOLVERS_NAMESPACE};
use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, Caches, Candidate, Clock, ConfigStore, Manager};

use crate::policy::Clients;
use crate::reconcile::{Resolvers, controller};

/// How the resolvers run.
#[derive(Clone)]
pub struct Config {
    /// The DNS server of the cluster. `None`: the system resolves all names, as in a pod.
    pub dns: Option<SocketAddr>,
    /// The cluster's domain; its names are asked of `dns`.
    pub cluster_domain: String,
    /// `None` if there is only one process.
    pub election: Option<Candidate>,
    pub clock: Clock,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dns: None,
            cluster_domain: "cluster.local".to_owned(),
            election: None,
            clock: Arc::new(Timestamp::now),
        }
    }
}

/// Answers until the future is dropped, with caches that the process shares among its controllers.
pub fn run_with(caches: Caches, config: Config) -> BoxFuture<'static, ()> {
    run_until(caches, config, Box::pin(std::future::pending()))
}

/// Answers until `stop` ends, and then gives the lease back, so that a successor need not wait for its end.
pub fn run_until(caches: Caches, config: Config, stop: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(run(caches, config, stop))
}

async fn run(caches: Caches, config: Config, mut stop: BoxFuture<'static, ()>) {
    let client = caches.client().clone();
    let store = ConfigStore::start(&caches, RESOLVERS_NAMESPACE);
    let resolvers = Resolvers {
        applier: Applier::new(client.clone(), "spindrift-resolvers"),
        clock: config.clock.clone(),
        requests: caches.cache(),
        pipelines: ConfigStore::start(&caches, NAMESPACE),
        clients: Clients::new(store.clone(), config.dns, config.cluster_domain.clone()),
        config: store,
        answers: Default::default(),
        client: client.clone(),
    };
    let controller = controller(resolvers);
    // Everything that reads has subscribed by now; writing begins when the caches are complete.
    tokio::select! {
        () = caches.synced() => {}
        () = &mut stop => return,
    }
    let mut manager = Manager::new(client, RESOLVERS_NAMESPACE, "resolvers", config.election);
    manager.start("resolutionrequest", controller);
    manager.run_until(stop).await;
}
