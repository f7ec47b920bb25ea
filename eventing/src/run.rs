//! Puts the controllers together.

use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use reconciler::{
    Cache, Caches, Candidate, Clock, ConfigStore, Controller, Dependent, Manager, Object, Reconcile,
};

use crate::SelectionMode;
use crate::shared::Shared;
use crate::{
    broker, channel, event_policy, event_type, in_memory_channel, job_sink, parallel, request_reply,
    sequence, sources, subscription, sugar, trigger,
};

/// How the controllers run.
#[derive(Clone)]
pub struct Config {
    /// Where the ConfigMaps, the leases and the Service of the brokers are.
    pub system_namespace: String,
    /// DNS suffix of the cluster, for example `cluster.local`.
    pub cluster_domain: String,
    /// Can the data plane keep events in NATS JetStream? If not, brokers of that class say so.
    pub jet_stream: bool,
    /// How the APIs are reached that sources name, and which addresses are not.
    pub client: event_client::Config,
    /// Which workloads sink bindings may bind.
    pub selection_mode: SelectionMode,
    /// `None` if there is only one process.
    pub election: Option<Candidate>,
    pub clock: Clock,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            system_namespace: crds::names::EVENTING_NAMESPACE.to_owned(),
            cluster_domain: crds::names::CLUSTER_DOMAIN.to_owned(),
            jet_stream: false,
            client: event_client::Config::default(),
            selection_mode: SelectionMode::default(),
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
        manager: Manager::new(
            caches.client().clone(),
            &config.system_namespace,
            "eventing-controller",
            config.election.clone(),
        ),
        woken: Vec::new(),
    };
    let brokers = broker::controller(&shared);
    let triggers = trigger::controller(&shared);
    let ping_sources = caches.cache();
    let pings = sources::ping(&shared, &ping_sources);
    let api_server_sources = caches.cache();
    let api_servers = sources::api_server(&shared, &api_server_sources, &caches.cache());
    let git_hub_sources = caches.cache();
    let git_hubs = sources::git_hub(&shared, &git_hub_sources, config.client.clone());
    let (sink_bindings, namespaces) = (caches.cache(), caches.cache());
    let binders = sources::sink_binding(&shared, &sink_bindings, &namespaces, config.selection_mode);
    let container_sources = caches.cache();
    let containers = sources::container(&shared, &container_sources, &sink_bindings, &caches);
    let ping_types = sources::event_types(&shared, &ping_sources, "eventing-pingsource-eventtypes");
    let api_server_types = sources::event_types(
        &shared,
        &api_server_sources,
        "eventing-apiserversource-eventtypes",
    );
    let git_hub_types = sources::event_types(&shared, &git_hub_sources, "eventing-githubsource-eventtypes");
    let channels = channel::controller(&shared);
    let in_memory_channels = in_memory_channel::controller(&shared);
    let subscriptions = subscription::controller(&shared);
    let sequences = sequence::controller(&shared);
    let parallels = parallel::controller(&shared);
    let event_types = event_type::controller(&shared);
    let policies = event_policy::controller(&shared);
    let job_sinks = caches.cache();
    let sinks = job_sink::controller(&shared, &job_sinks);
    let request_replies = caches.cache();
    let fronts = request_reply::controller(&shared, &request_replies);
    let sugar = sugar::controller(&shared, &namespaces);

    // Everything that reads has subscribed by now; writing begins when the caches are complete.
    tokio::select! {
        () = caches.synced() => {}
        () = &mut stop => return,
    }
    tracing::info!(
        brokers = shared.brokers.len(),
        triggers = shared.triggers.len(),
        "Eventing controllers start"
    );
    tasks.start("broker", brokers, &shared.brokers);
    tasks.start("trigger", triggers, &shared.triggers);
    tasks.start("channel", channels, &shared.channels);
    tasks.start("inmemorychannel", in_memory_channels, &shared.in_memory_channels);
    tasks.start("subscription", subscriptions, &shared.subscriptions);
    tasks.start("sequence", sequences, &shared.sequences);
    tasks.start("parallel", parallels, &shared.parallels);
    tasks.start("eventtype", event_types, &shared.event_types);
    tasks.start("sugar", sugar, &namespaces);
    tasks.start("eventpolicy", policies, &shared.policies);
    tasks.start("pingsource", pings, &ping_sources);
    tasks.start("apiserversource", api_servers, &api_server_sources);
    tasks.start("githubsource", git_hubs, &git_hub_sources);
    tasks.start("sinkbinding", binders, &sink_bindings);
    tasks.start("containersource", containers, &container_sources);
    tasks.start("pingsource-eventtypes", ping_types, &ping_sources);
    tasks.start(
        "apiserversource-eventtypes",
        api_server_types,
        &api_server_sources,
    );
    tasks.start("githubsource-eventtypes", git_hub_types, &git_hub_sources);
    tasks.start("jobsink", sinks, &job_sinks);
    tasks.start("requestreply", fronts, &request_replies);
    let keeping = shared.encryption.clone().keep(shared.clone());
    let Tasks { mut manager, woken } = tasks;
    manager.spawn(keeping);
    manager.watch_config(&store, woken);
    manager.run_until(stop).await;
}

struct Tasks {
    manager: Manager,
    /// What depends on the configuration: all of it.
    woken: Vec<Dependent>,
}

impl Tasks {
    /// Starts a controller, which looks at everything in `cache` again when the configuration changes.
    fn start<R: Reconcile, K: Object>(&mut self, name: &str, controller: Controller<R>, cache: &Cache<K>) {
        self.woken.push(Dependent::new(controller.queue(), cache));
        self.manager.start(name, controller);
    }
}
