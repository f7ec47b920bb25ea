//! Runs the controller.

use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Caches, Candidate, Clock, Manager};

use super::Listeners;

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
    pub election: Option<Candidate>,
    /// The time.
    pub clock: Clock,
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

async fn controller(caches: Caches, config: Config, mut stop: BoxFuture<'static, ()>) {
    let client = caches.client().clone();
    let controller = Listeners::new(&caches, &config).controller();
    // Everything that reads has subscribed by now; writing begins when the caches are complete.
    tokio::select! {
        () = caches.synced() => {}
        () = &mut stop => return,
    }
    let mut manager = Manager::new(
        client,
        &config.system_namespace,
        "triggers-controller",
        config.election,
    );
    manager.start("eventlistener", controller);
    manager.run_until(stop).await;
}
