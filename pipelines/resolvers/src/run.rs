//! Puts the controller together.

use std::net::SocketAddr;
use std::sync::Arc;

use crds::tekton::names::{NAMESPACE, RESOLVERS_NAMESPACE};
use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, Caches, ConfigStore, Leadership, leases};

use crate::policy::Clients;
use crate::reconcile::{Resolvers, controller};

/// Source of the current time; tests pass a fixed one.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How the resolvers run.
#[derive(Clone)]
pub struct Config {
    /// The DNS server of the cluster. `None`: the system resolves all names, as in a pod.
    pub dns: Option<SocketAddr>,
    /// The cluster's domain; its names are asked of `dns`.
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

async fn run(caches: Caches, config: Config, stop: BoxFuture<'static, ()>) {
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
    caches.synced().await;
    let Some(election) = config.election else {
        tokio::select! {
            () = controller.run(Leadership::always()) => {}
            () = stop => {}
        }
        return;
    };
    let candidate = leases::Election::new(
        client,
        RESOLVERS_NAMESPACE,
        "resolvers.resolutionrequest.00-of-01",
        &election.identity,
        election.timing,
    );
    let leadership = candidate.leadership();
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let elected = candidate.run(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    });
    let work = async {
        tokio::select! {
            () = controller.run(leadership) => {}
            () = stop => {}
        }
        // First no more writes, then the lease.
        stopping.send_replace(true);
    };
    tokio::join!(elected, work);
}
