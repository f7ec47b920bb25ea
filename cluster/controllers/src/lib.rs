//! The workload controllers of the embedded Kubernetes: what kube-controller-manager and kube-scheduler do on a
//! cluster, as far as one machine needs it.
//!
//! Every controller has the same three parts: caches feed an [`informer::Queue`] with keys, a worker takes a key and
//! looks at what *is*, and a pure module next to it decides what should be done. They talk to the API through an
//! ordinary [`kube::Client`] and would run against any API server.

mod batch;
mod deployment;
mod endpoints;
mod garbage;
mod job;
mod namespace;
mod pod;
mod replica_set;
mod scheduler;
mod service_account;
mod stateful_set;
mod template;
mod volume_claim;
mod worker;

use kube::Client;
use tokio::task::JoinSet;

use worker::Setup;

/// What the controllers need to know of the cluster they serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// PEM of the API server's certificate authority, published as ConfigMap `kube-root-ca.crt` in every namespace.
    pub ca_pem: String,
    /// Where the directories of PersistentVolumeClaims are made; `None` makes none.
    pub volumes: Option<std::path::PathBuf>,
}

/// The running controllers; dropping it stops them.
pub struct Controllers {
    tasks: JoinSet<()>,
}

impl Controllers {
    /// Ends every controller at whatever it is doing, and returns when none of them sends anything more.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Starts every controller on `client`. Returns at once; they catch up with what is stored by themselves.
pub fn start(client: Client, config: Config) -> Controllers {
    let mut setup = Setup::new(client);
    deployment::spawn(&mut setup);
    replica_set::spawn(&mut setup);
    job::spawn(&mut setup);
    stateful_set::spawn(&mut setup);
    endpoints::spawn(&mut setup);
    scheduler::spawn(&mut setup);
    namespace::spawn(&mut setup);
    service_account::spawn(&mut setup, config.ca_pem);
    volume_claim::spawn(&mut setup, config.volumes);
    garbage::spawn(&mut setup);
    Controllers { tasks: setup.start() }
}
