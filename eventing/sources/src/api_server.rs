//! The sender of ApiServerSources: for each source its watches, and one task that posts what they show, in order.
//!
//! A watch that breaks is resumed where it was; if the API server has forgotten that place, everything is listed anew
//! and compared with what was known, so that no change goes unnoticed but those that were undone meanwhile. When the
//! sink does not keep up the watches wait: what they hold is bounded.

mod message;
mod plan;
mod seen;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;

use crds::sources::ApiServerSource;
use informer::{Cache, Caches, Key};
use reconciler::{Leadership, Queue, Recorder};
use tokio::sync::{mpsc, watch as signal};
use tokio::task::{AbortHandle, JoinSet};

use crate::post::{Poster, policy};
use plan::{Plan, Scope};
use seen::Change;

/// Changes of one source that wait to be posted; beyond it, its watches wait.
const MAX_WAITING: usize = 256;

/// Everything that sending takes.
pub(crate) struct Sender {
    sources: Cache<ApiServerSource>,
    changed: Queue,
    context: Context,
}

#[derive(Clone)]
struct Context {
    client: kube::Client,
    poster: Poster,
    recorder: Recorder,
    sources: Cache<ApiServerSource>,
}

/// A source that is served.
struct Running {
    plan: signal::Sender<Arc<Plan>>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sender {
    /// Subscribes to the sources; nothing is watched yet.
    pub fn new(caches: &Caches, poster: Poster, recorder: Recorder) -> Self {
        let sources: Cache<ApiServerSource> = caches.cache();
        let changed = reconciler::queue("api-server-sender");
        let queue = changed.clone();
        sources.on_change(move |change| {
            if let Some(source) = change.latest() {
                queue.add(Key::of(source.as_ref()));
            }
        });
        Self {
            changed,
            context: Context {
                client: caches.client().clone(),
                poster,
                recorder,
                sources: sources.clone(),
            },
            sources,
        }
    }

    /// Sends whenever this process leads.
    pub async fn run(self, mut leadership: Leadership) {
        loop {
            leadership.gained().await;
            let mut lost = leadership.clone();
            tokio::select! {
                () = lost.lost() => {}
                () = self.lead() => {}
            }
        }
    }

    async fn lead(&self) {
        let mut running: HashMap<Key, Running> = HashMap::new();
        // Aborts all when this is dropped.
        let mut tasks = JoinSet::new();
        for key in self.sources.keys() {
            self.changed.add(key);
        }
        loop {
            tokio::select! {
                key = self.changed.next() => {
                    self.update(&mut running, &mut tasks, &key);
                    self.changed.done(&key);
                }
                Some(ended) = tasks.join_next() => {
                    if let Err(error) = ended && !error.is_cancelled() {
                        tracing::error!(%error, "Serving an ApiServerSource ended");
                    }
                }
            }
        }
    }

    fn update(&self, running: &mut HashMap<Key, Running>, tasks: &mut JoinSet<()>, key: &Key) {
        let source = self.sources.get(key);
        let Some(plan) = source.as_deref().and_then(Plan::of) else {
            // Changes must not go unseen while a new spec is being looked at: until then the last one holds.
            let awaited = source.as_deref().is_some_and(|source| {
                let uid = source.metadata.uid.as_deref();
                let served = running.get(key).map(|known| known.plan.borrow().uid.clone());
                plan::is_unobserved(source) && served.is_some() && served.as_deref() == uid
            });
            if !awaited {
                running.remove(key);
            }
            return;
        };
        let plan = Arc::new(plan);
        if let Some(known) = running.get(key)
            && known.plan.borrow().uid == plan.uid
            && !known.task.is_finished()
        {
            known.plan.send_if_modified(|old| {
                let modified = *old != plan;
                *old = plan;
                modified
            });
            return;
        }
        let (sender, receiver) = signal::channel(plan);
        let task = tasks.spawn(serve(self.context.clone(), receiver));
        running.insert(key.clone(), Running { plan: sender, task });
    }
}

/// Watches what the source asks for, and posts what changes.
async fn serve(context: Context, mut plans: signal::Receiver<Arc<Plan>>) {
    let (sender, mut changes) = mpsc::channel(MAX_WAITING);
    let mut watches = JoinSet::new();
    let mut scopes: HashMap<Scope, AbortHandle> = HashMap::new();
    loop {
        let plan = plans.borrow_and_update().clone();
        // What is asked for as before goes on as it is.
        let wanted = plan.scopes();
        scopes.retain(|scope, watch| {
            let keep = wanted.contains(scope);
            if !keep {
                watch.abort();
            }
            keep
        });
        for scope in wanted {
            scopes.entry(scope).or_insert_with_key(|scope| {
                let task = watch::follow(context.client.clone(), scope.clone(), sender.clone());
                watches.spawn(task)
            });
        }
        loop {
            tokio::select! {
                biased;
                changed = plans.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                Some(change) = changes.recv() => post(&context, &plan, change).await,
            }
        }
    }
}

async fn post(context: &Context, plan: &Plan, change: Change) {
    if !plan.wants(&change) {
        return;
    }
    let event = message::event(plan, &change);
    if !plan.filter.matches(&event) {
        return;
    }
    let posted = context.poster.post(&plan.sink, &event, &policy()).await;
    let Err(failure) = posted else {
        return;
    };
    let data = String::from_utf8_lossy(&failure.data);
    let subject = event.get("subject").map(|subject| subject.text().into_owned());
    let message = format!(
        "the event {} of {} was not delivered: {} answered {}: {data}",
        event.type_,
        subject.unwrap_or_default(),
        plan.sink.url,
        failure.code
    );
    tracing::warn!(namespace = %plan.key.namespace, name = %plan.key.name, message, "An event is lost");
    if let Some(source) = context.sources.get(&plan.key) {
        context
            .recorder
            .warning(source.as_ref(), "EventNotDelivered", message);
    }
}

#[cfg(test)]
mod tests;
