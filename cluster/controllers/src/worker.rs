//! Runs the workers of one controller: takes keys from its queue and calls its reconcile function.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use cluster_events::{Recorder, Reporter};
use informer::{Caches, Pace, Queue, attempt};
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Workers per controller: enough to overlap waits for the disk, few enough not to crowd two cores.
const WORKERS: usize = 4;
/// A reconcile that takes longer is given up and tried again. Emptying a namespace takes the longest.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// After a failure.
const RETRY: Pace = Pace {
    first: Duration::from_millis(5),
    max: Duration::from_secs(60),
};
/// From this many failures in a row on, an error is no longer a race that settles by itself.
const FAILURES_TOLD: u32 = 8;

/// What a reconcile asks for when it succeeded.
pub enum Next {
    /// Nothing to do until something changes.
    Wait,
    /// Look again after this time, change or not.
    After(Duration),
}

/// What controllers are put together from. Their workers begin when every cache is complete, for decisions that create
/// or delete must not be made on half a list.
pub struct Setup {
    pub client: Client,
    pub caches: Caches,
    tasks: JoinSet<()>,
    started: watch::Sender<bool>,
}

impl Setup {
    pub fn new(client: Client) -> Self {
        Self {
            // Nothing here applies, so nobody reads managed fields.
            caches: Caches::keeping(informer::Fields::None, client.clone()),
            client,
            tasks: JoinSet::new(),
            started: watch::Sender::new(false),
        }
    }

    /// Runs `task` until the controllers are dropped.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Events of the component that upstream calls `component`.
    pub fn recorder(&mut self, component: &'static str) -> Recorder {
        let reporter = Reporter {
            component,
            host: None,
        };
        let (recorder, work) = Recorder::new(self.client.clone(), reporter);
        self.tasks.spawn(work);
        recorder
    }

    /// Spawns the workers of the controller called `name`; `everything` is what they look at first. A failed or
    /// panicking reconcile is retried with back-off.
    pub fn controller<K, C, F, Fut, E>(
        &mut self,
        name: &'static str,
        queue: &Queue<K>,
        everything: impl FnOnce() -> Vec<K> + Send + 'static,
        context: &Arc<C>,
        reconcile: F,
    ) where
        K: Clone + Eq + Hash + Ord + Debug + Send + Sync + 'static,
        C: Send + Sync + 'static,
        F: Fn(Arc<C>, K) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Next, E>> + Send,
        E: Display + Send,
    {
        for _ in 0..WORKERS {
            let (queue, context, reconcile) = (queue.clone(), context.clone(), reconcile.clone());
            let mut started = self.started.subscribe();
            self.tasks.spawn(async move {
                if started.wait_for(|started| *started).await.is_ok() {
                    work(name, queue, context, reconcile).await;
                }
            });
        }
        let (queue, mut started) = (queue.clone(), self.started.subscribe());
        self.tasks.spawn(async move {
            if started.wait_for(|started| *started).await.is_ok() {
                everything().into_iter().for_each(|key| queue.add(key));
            }
        });
    }

    /// Lets the workers begin as soon as the caches are complete. Returns the tasks; dropping them stops everything.
    pub fn start(mut self) -> JoinSet<()> {
        let (caches, started) = (self.caches, self.started);
        self.tasks.spawn(async move {
            caches.synced().await;
            started.send_replace(true);
            // The watches live as long as the tasks.
            std::future::pending::<()>().await;
            drop(caches);
        });
        self.tasks
    }
}

async fn work<K, C, F, Fut, E>(name: &'static str, queue: Queue<K>, context: Arc<C>, reconcile: F)
where
    K: Clone + Eq + Hash + Ord + Debug + Send + Sync + 'static,
    F: Fn(Arc<C>, K) -> Fut,
    Fut: Future<Output = Result<Next, E>> + Send,
    E: Display + Send,
{
    loop {
        let key = queue.next().await;
        let result = match attempt(TIME_LIMIT, reconcile(context.clone(), key.clone())).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(broken) => Err(broken.to_string()),
        };
        match result {
            Ok(next) => {
                queue.forget(&key);
                if let Next::After(delay) = next {
                    queue.add_after(key.clone(), delay);
                }
            }
            Err(error) => {
                let failures = queue.retry(key.clone(), RETRY);
                if failures >= FAILURES_TOLD {
                    tracing::warn!(controller = name, ?key, %error, failures, "Reconcile keeps failing");
                } else {
                    tracing::debug!(controller = name, ?key, %error, "Reconcile failed and will be retried");
                }
            }
        }
        queue.done(&key);
    }
}

/// Whether `error` only says that the object is gone.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether `error` says that somebody else was faster: with a newer version, or by creating it first.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
