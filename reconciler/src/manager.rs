//! Runs the controllers of a process, each under a lease of its own where the process has replicas.

use informer::{Cache, Key, Object};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::leases::{Candidate, Election};
use crate::{ConfigStore, Controller, Leadership, Queue, Reconcile};

/// A queue, and the keys that are looked at again when the configuration changes.
pub struct Dependent {
    queue: Queue,
    keys: Box<dyn Fn() -> Vec<Key> + Send + Sync>,
}

impl Dependent {
    /// All that is in `cache` then.
    pub fn new<K: Object>(queue: Queue, cache: &Cache<K>) -> Self {
        let cache = cache.clone();
        Self {
            queue,
            keys: Box::new(move || cache.keys()),
        }
    }

    fn wake(&self) {
        for key in (self.keys)() {
            self.queue.add(key);
        }
    }
}

/// The controllers of one component. Dropped, all of it ends, and its leases run out; see [`Manager::run_until`].
pub struct Manager {
    client: kube::Client,
    namespace: String,
    component: &'static str,
    candidate: Option<Candidate>,
    running: JoinSet<()>,
    elections: JoinSet<()>,
    /// Tells the elections to end.
    stopping: watch::Sender<bool>,
}

impl Manager {
    /// Leases are in `namespace`, and their names begin with `component`. Without a candidate there is only one process,
    /// and no lease.
    pub fn new(
        client: kube::Client,
        namespace: &str,
        component: &'static str,
        candidate: Option<Candidate>,
    ) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            component,
            candidate,
            running: JoinSet::new(),
            elections: JoinSet::new(),
            stopping: watch::Sender::new(false),
        }
    }

    /// Takes part in the election for `<component>.<name>.00-of-01`, as Knative names its leases.
    pub fn leadership(&mut self, name: &str) -> Leadership {
        let Some(candidate) = &self.candidate else {
            return Leadership::always();
        };
        let lease = format!("{}.{name}.00-of-01", self.component);
        let Candidate { identity, timing } = candidate;
        let election = Election::new(
            self.client.clone(),
            &self.namespace,
            &lease,
            identity,
            timing.clone(),
        );
        let leadership = election.leadership();
        let mut stopping = self.stopping.subscribe();
        self.elections.spawn(election.run(async move {
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }));
        leadership
    }

    /// Runs a controller while this process leads in what `name` says.
    pub fn start<R: Reconcile>(&mut self, name: &str, controller: Controller<R>) {
        let leadership = self.leadership(name);
        self.spawn(controller.run(leadership));
    }

    /// Runs something beside the controllers, and ends it with them.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(task);
    }

    /// Wakes the dependents whenever the configuration changes.
    pub fn watch_config(&mut self, store: &ConfigStore, dependents: Vec<Dependent>) {
        let mut changes = store.changes();
        self.spawn(async move {
            while changes.changed().await.is_ok() {
                dependents.iter().for_each(Dependent::wake);
            }
        });
    }

    /// Works until `stop` ends, or until nothing is left that works.
    pub async fn work_until(&mut self, stop: impl Future<Output = ()>) {
        let working = async {
            while let Some(ended) = self.running.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(component = self.component, %error, "A controller ended");
                }
            }
        };
        tokio::select! {
            () = working => {}
            () = stop => {}
        }
    }

    /// Ends the work, and then gives the leases back, so that a successor need not wait for their end.
    pub async fn shut_down(mut self) {
        self.running.shutdown().await;
        self.stopping.send_replace(true);
        while self.elections.join_next().await.is_some() {}
    }

    /// Both.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) {
        self.work_until(stop).await;
        self.shut_down().await;
    }
}
