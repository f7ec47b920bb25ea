//! Runs the controller.

use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Caches, Leadership, leases};

use super::Listeners;

/// Source of the current time; tests pass a fixed one.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How the controller runs.
#[derive(Clone)]
pub struct Config {
    /// The image of listeners.
    pub image: String,
    /// Where the leases are.
    pub system_namespace: String,
    /// DNS suffix of the cluster.
    pub cluster_domain: String,
    /// `None` if there is only one process.
    pub election: Option<Election>,
    /// The time.
    pub clock: Clock,
}

/// Who this process is among its replicas.
#[derive(Clone, Debug)]
pub struct Election {
    /// Starts with the pod's name and an underscore.
    pub identity: String,
    /// When a lease is renewed, and lost.
    pub timing: leases::Timing,
}

impl Config {
    /// The only process, with listeners of this image.
    pub fn new(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            system_namespace: crds::tekton::names::NAMESPACE.to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            election: None,
            clock: Arc::new(Timestamp::now),
        }
    }
}

/// Reconciles until the future is dropped, with caches that the process shares among its controllers.
pub fn run_with(caches: Caches, config: Config) -> BoxFuture<'static, ()> {
    run_until(caches, config, Box::pin(std::future::pending()))
}

/// Reconciles until `stop` ends, and then gives the lease back, so that a successor need not wait for its end.
pub fn run_until(caches: Caches, config: Config, stop: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(controller(caches, config, stop))
}

async fn controller(caches: Caches, config: Config, stop: BoxFuture<'static, ()>) {
    let client = caches.client().clone();
    let controller = Listeners::new(&caches, &config).controller();
    // Everything that reads has subscribed by now; writing begins when the caches are complete.
    caches.synced().await;
    let Some(election) = &config.election else {
        let running = tokio::spawn(controller.run(Leadership::always()));
        stop.await;
        running.abort();
        let _ = running.await;
        return;
    };
    let candidate = leases::Election::new(
        client,
        &config.system_namespace,
        "triggers-controller.eventlistener.00-of-01",
        &election.identity,
        election.timing.clone(),
    );
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(controller.run(candidate.leadership()));
    let electing = tokio::spawn(candidate.run(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }));
    stop.await;
    // First no more writes, then the lease.
    running.abort();
    let _ = running.await;
    stopping.send_replace(true);
    let _ = electing.await;
}
