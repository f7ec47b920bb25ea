//! Puts the controllers together.

use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Caches, Candidate, Clock, ConfigStore, Dependent, Manager, Selection};

use crate::digest::Resolver;
use crate::shared::Shared;
use crate::{collector, configuration, domain_mapping, labeler, revision, route, service};

/// How the controllers run.
#[derive(Clone)]
pub struct Config {
    /// Where the ConfigMaps and leases are.
    pub system_namespace: String,
    /// DNS suffix of the cluster, for example `cluster.local`.
    pub cluster_domain: String,
    /// `None` if there is only one process.
    pub election: Option<Candidate>,
    pub clock: Clock,
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
    let Config {
        system_namespace,
        election,
        ..
    } = config;
    let mut manager = Manager::new(caches.client().clone(), &system_namespace, "controller", election);

    let revisions = reconciler::queue("revision");
    let resolver = Resolver::new(shared.client.clone(), revisions.clone());
    let services = service::controller(&shared);
    let configurations = configuration::controller(&shared);
    let revision_controller = revision::controller(&shared, revisions.clone(), resolver);

    let slices = caches.cache_of(Selection::labelled(crds::labels::ROUTE));
    let routes = route::controller(&shared, slices);
    let labeler = labeler::controller(&shared);
    let collector = collector::controller(&shared);
    let (mappings, claims) = (caches.cache(), caches.cache());
    let domain_mappings = domain_mapping::controller(&shared, &mappings, claims);
    let (route_queue, collector_queue) = (routes.queue(), collector.queue());
    let mapping_queue = domain_mappings.queue();

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
    manager.start("service", services);
    manager.start("configuration", configurations);
    manager.start("revision", revision_controller);
    manager.start("route", routes);
    manager.start("domainmapping", domain_mappings);
    manager.start("labeler", labeler);
    manager.start("collector", collector);
    manager.watch_config(
        &store,
        vec![
            Dependent::new(revisions, &shared.revisions),
            Dependent::new(route_queue, &shared.routes),
            Dependent::new(mapping_queue, &mappings),
            Dependent::new(collector_queue, &shared.configurations),
        ],
    );
    manager.run_until(stop).await;
}
