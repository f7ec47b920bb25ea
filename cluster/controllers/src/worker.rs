//! Runs the workers of one controller: takes keys from its queue and calls its reconcile function.

use std::fmt::Display;
use std::future::Future;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;

use crate::queue::Queue;

/// Workers per controller: enough to overlap waits for the disk, few enough not to crowd two cores.
const WORKERS: usize = 4;

/// What a reconcile asks for when it succeeded.
pub enum Next {
    /// Nothing to do until something changes.
    Wait,
    /// Look again after this time, change or not.
    After(Duration),
}

/// Spawns the workers of the controller called `name`. A failed or panicking reconcile is retried with back-off.
pub fn spawn<K, C, F, Fut, E>(
    tasks: &mut JoinSet<()>,
    name: &'static str,
    queue: &Arc<Queue<K>>,
    context: &Arc<C>,
    reconcile: F,
) where
    K: Clone + Eq + Hash + Ord + std::fmt::Debug + Send + Sync + 'static,
    C: Send + Sync + 'static,
    F: Fn(Arc<C>, K) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Next, E>> + Send,
    E: Display + Send,
{
    for _ in 0..WORKERS {
        let (queue, context, reconcile) = (queue.clone(), context.clone(), reconcile.clone());
        tasks.spawn(async move {
            loop {
                let key = queue.next().await;
                match AssertUnwindSafe(reconcile(context.clone(), key.clone())).catch_unwind().await {
                    Ok(Ok(next)) => {
                        queue.forget(&key);
                        if let Next::After(delay) = next {
                            queue.add_after(key.clone(), delay);
                        }
                    }
                    Ok(Err(error)) => {
                        tracing::debug!(controller = name, ?key, %error, "Reconcile failed and will be retried");
                        queue.retry(key.clone());
                    }
                    Err(_) => {
                        tracing::error!(controller = name, ?key, "Reconcile panicked and will be retried");
                        queue.retry(key.clone());
                    }
                }
                queue.done(&key);
            }
        });
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
