//! The workload controllers of the embedded Kubernetes: what kube-controller-manager and kube-scheduler do on a
//! cluster, as far as one machine needs it.
//!
//! Every controller has the same three parts: informers feed a [`queue::Queue`] with keys, a worker takes a key and
//! looks at what *is*, and a pure module next to it decides what should be done. They talk to the API through an
//! ordinary [`kube::Client`] and would run against any API server.

mod backoff;
mod deployment;
mod endpoints;
mod garbage;
mod informer;
mod namespace;
mod pod;
mod queue;
mod replica_set;
mod scheduler;
mod service_account;
mod worker;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use kube::Client;
use tokio::task::JoinSet;

use informer::Informer;

/// What the controllers need to know of the cluster they serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// PEM of the API server's certificate authority, published as ConfigMap `kube-root-ca.crt` in every namespace.
    pub ca_pem: String,
}

/// The running controllers; dropping it stops them.
pub struct Controllers {
    _tasks: JoinSet<()>,
}

/// Starts every controller on `client`. Returns at once; they catch up with what is stored by themselves.
pub fn start(client: Client, config: Config) -> Controllers {
    let mut tasks = JoinSet::new();
    let pods: Arc<Informer<Pod>> = Informer::new();
    let replica_sets: Arc<Informer<ReplicaSet>> = Informer::new();
    let deployments: Arc<Informer<Deployment>> = Informer::new();
    let services: Arc<Informer<Service>> = Informer::new();
    let namespaces: Arc<Informer<Namespace>> = Informer::new();
    let nodes: Arc<Informer<Node>> = Informer::new();

    deployment::spawn(&mut tasks, &client, &deployments, &replica_sets);
    replica_set::spawn(&mut tasks, &client, &replica_sets, &pods);
    endpoints::spawn(&mut tasks, &client, &services, &pods);
    scheduler::spawn(&mut tasks, &client, &pods, &nodes);
    namespace::spawn(&mut tasks, &client, &namespaces);
    service_account::spawn(&mut tasks, &client, &namespaces, config.ca_pem);
    garbage::spawn(&mut tasks, &client);

    // Handlers are all registered now, so nobody misses the first list.
    pods.run(&mut tasks, &client);
    replica_sets.run(&mut tasks, &client);
    deployments.run(&mut tasks, &client);
    services.run(&mut tasks, &client);
    namespaces.run(&mut tasks, &client);
    nodes.run(&mut tasks, &client);
    Controllers { _tasks: tasks }
}
