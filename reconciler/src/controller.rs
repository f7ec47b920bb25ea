//! Runs a reconciler: keys from watches into a queue, a few workers, back-off, time limit, panic isolation.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use informer::object::controller_of;
use informer::{Broken, Cache, Key, Object, Pace, attempt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{Instrument, debug, error, info_span, warn};

use crate::Queue;
use crate::error::{Class, Error, chain};
use crate::leases::Leadership;
use crate::metrics::{queue, reconciled};

/// Reconciles that run at the same time in one controller.
pub const CONCURRENCY: usize = 8;
/// A reconcile that takes longer is given up and tried again.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);
/// After a fault.
const RETRY: Pace = Pace {
    first: Duration::from_millis(10),
    max: Duration::from_secs(60),
};
/// After somebody else wrote first; the cache usually catches up within milliseconds.
const CONFLICT: Pace = Pace {
    first: Duration::from_millis(2),
    max: Duration::from_secs(1),
};

/// Brings the objects that belong to one key to the wanted state.
///
/// Called with keys whose object may be gone. Has to be level-triggered: a second call in a row writes nothing.
pub trait Reconcile: Send + Sync + 'static {
    fn reconcile(&self, key: &Key) -> impl Future<Output = Result<Next, Error>> + Send;
}

/// When to look at a key again although no watch fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    #[default]
    OnChange,
    After(Duration),
}

impl Next {
    /// The earlier of both.
    #[must_use]
    pub fn sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::After(a), Self::After(b)) => Self::After(a.min(b)),
            (Self::After(after), Self::OnChange) | (Self::OnChange, Self::After(after)) => Self::After(after),
            (Self::OnChange, Self::OnChange) => Self::OnChange,
        }
    }
}

impl From<()> for Next {
    fn from((): ()) -> Self {
        Self::OnChange
    }
}

/// One controller before it runs: say what wakes it, then [`Controller::run`].
pub struct Controller<R> {
    name: &'static str,
    reconciler: Arc<R>,
    queue: Queue,
    concurrency: usize,
    time_limit: Duration,
    /// Lists every key, for the moment when leadership is gained.
    everything: Vec<Box<dyn Fn() -> Vec<Key> + Send + Sync>>,
}

impl<R: Reconcile> Controller<R> {
    /// `name` is lower case and short: metrics, leases and logs carry it.
    pub fn new(name: &'static str, reconciler: R) -> Self {
        Self::with_queue(name, queue(name), reconciler)
    }

    /// For reconcilers that need their own queue, to wake a key when background work ends.
    pub fn with_queue(name: &'static str, queue: Queue, reconciler: R) -> Self {
        Self {
            name,
            reconciler: Arc::new(reconciler),
            queue,
            concurrency: CONCURRENCY,
            time_limit: TIME_LIMIT,
            everything: Vec::new(),
        }
    }

    #[must_use]
    pub fn concurrency(mut self, workers: usize) -> Self {
        self.concurrency = workers.max(1);
        self
    }

    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// The queue, to wake keys from elsewhere.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Reconciles every object of `cache` when it changes.
    #[must_use]
    pub fn watches<K: Object>(mut self, cache: &Cache<K>) -> Self {
        let (all, queue) = (cache.clone(), self.queue.clone());
        self.everything.push(Box::new(move || all.keys()));
        cache.on_change(move |change| {
            if let Some(object) = change.latest() {
                queue.add(Key::of(object.as_ref()));
            }
        });
        self
    }

    /// Reconciles the controlling `Owner` of every object of `cache` that changes.
    #[must_use]
    pub fn owns<Owner: Object, Child: Object>(self, cache: &Cache<Child>) -> Self {
        self.wakes(cache, |child: &Child| {
            controller_of(child.meta())
                .filter(|owner| {
                    owner.kind == Owner::kind(&()) && owner.api_version == Owner::api_version(&())
                })
                .map(|owner| {
                    Key::new(
                        child.meta().namespace.clone().unwrap_or_default(),
                        owner.name.clone(),
                    )
                })
                .into_iter()
                .collect()
        })
    }

    /// Reconciles the keys that `keys` names for an object of `cache` that changes, before and after the change.
    #[must_use]
    pub fn wakes<K: Object>(
        self,
        cache: &Cache<K>,
        keys: impl Fn(&K) -> Vec<Key> + Send + Sync + 'static,
    ) -> Self {
        let queue = self.queue.clone();
        cache.on_change(move |change| {
            for key in change.states().flat_map(|object| keys(object)) {
                queue.add(key);
            }
        });
        self
    }

    /// Works until the future is dropped, while `leadership` lasts. Every key is looked at when it is gained, so
    /// call this after the caches are synced.
    pub async fn run(self, mut leadership: Leadership) {
        let shared = Arc::new(Shared {
            name: self.name,
            reconciler: self.reconciler,
            queue: self.queue,
            time_limit: self.time_limit,
        });
        loop {
            leadership.gained().await;
            debug!(controller = self.name, "Reconciling");
            for key in self.everything.iter().flat_map(|keys| keys()) {
                shared.queue.add(key);
            }
            let (stop, stopped) = watch::channel(false);
            let mut workers = JoinSet::new();
            for _ in 0..self.concurrency {
                workers.spawn(shared.clone().work(stopped.clone()));
            }
            leadership.lost().await;
            // A worker finishes its key: half a reconcile is worse than one that ends a little late.
            let _ = stop.send(true);
            while workers.join_next().await.is_some() {}
        }
    }
}

struct Shared<R> {
    name: &'static str,
    reconciler: Arc<R>,
    queue: Queue,
    time_limit: Duration,
}

impl<R: Reconcile> Shared<R> {
    async fn work(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        loop {
            let key = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return,
                key = self.queue.next() => key,
            };
            let span =
                info_span!("reconcile", controller = self.name, namespace = %key.namespace, name = %key.name);
            self.reconcile(&key).instrument(span).await;
            self.queue.done(&key);
        }
    }

    async fn reconcile(&self, key: &Key) {
        let result = match attempt(self.time_limit, self.reconciler.reconcile(key)).await {
            Ok(result) => result,
            Err(Broken::TimedOut(limit)) => Err(Error::TimedOut(limit)),
            Err(Broken::Panicked(message)) => Err(Error::Panicked(message)),
        };
        match result {
            Ok(next) => {
                reconciled(self.name, "success");
                self.queue.forget(key);
                if let Next::After(pause) = next {
                    self.queue.add_after(key.clone(), pause);
                }
            }
            Err(error) => {
                reconciled(self.name, error.class().as_str());
                self.after_error(key, &error);
            }
        }
    }

    fn after_error(&self, key: &Key, error: &Error) {
        let pace = match error.class() {
            Class::Wait | Class::Terminal => {
                debug!(error = %chain(error), "Reconcile waits");
                self.queue.forget(key);
                return;
            }
            Class::Conflict => CONFLICT,
            Class::Retry => RETRY,
        };
        let failures = self.queue.retry(key.clone(), pace);
        match error {
            Error::Panicked(_) => error!(%error, "Reconcile panicked"),
            _ if error.class() == Class::Conflict => debug!(error = %chain(error), "Reconcile conflicted"),
            _ => warn!(error = %chain(error), failures, "Reconcile failed"),
        }
    }
}

#[cfg(test)]
mod tests;
