//! The sender of ApiServerSources: for each source its watches, and one task that posts what they show, in order.
//!
//! A watch that breaks is resumed where it was; if the API server has forgotten that place, everything is listed anew
//! and compared with what was known, so that no change goes unnoticed but those that were undone meanwhile. When the
//! sink does not keep up the watches wait: what they hold is bounded.
//!
//! How far each watch has come is kept in the API, so that who takes over goes on there. What was sent after it was
//! stored last is sent again, with the same ids. If that place is forgotten, too, a list still shows what was added and
//! changed since, not what was deleted.

mod access;
mod message;
mod metrics;
mod plan;
mod progress;
mod seen;
mod watch;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crds::sources::ApiServerSource;
use informer::{Cache, Caches, Key};
use reconciler::{Leadership, Queue, Recorder};
use tokio::sync::{mpsc, watch as signal};
use tokio::task::{AbortHandle, JoinSet};

use crate::post::{Poster, policy};
use crate::record::Record;
use access::Refusals;
use plan::{Plan, Scope};
use progress::Progress;
use seen::Change;
use watch::Step;

/// Changes of one source that wait to be posted; beyond it, its watches wait.
const MAX_WAITING: usize = 256;

/// Places are stored at most this often.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// Everything that sending takes.
pub(crate) struct Sender {
    sources: Cache<ApiServerSource>,
    changed: Queue,
    record: Record,
    context: Context,
}

#[derive(Clone)]
struct Context {
    client: kube::Client,
    poster: Poster,
    recorder: Recorder,
    sources: Cache<ApiServerSource>,
    progress: Progress,
    system_namespace: Arc<str>,
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
    pub fn new(caches: &Caches, system_namespace: &str, poster: Poster, recorder: Recorder) -> Self {
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
            record: progress::record(caches.client().clone(), system_namespace),
            context: Context {
                client: caches.client().clone(),
                poster,
                recorder,
                sources: sources.clone(),
                progress: Progress::default(),
                system_namespace: system_namespace.into(),
            },
            sources,
        }
    }

    /// Sends whenever this process leads.
    pub async fn run(mut self, mut leadership: Leadership) {
        loop {
            leadership.gained().await;
            let mut lost = leadership.clone();
            tokio::select! {
                () = lost.lost() => {}
                () = self.lead() => {}
            }
        }
    }

    async fn lead(&mut self) {
        // Without it, changes would go unnoticed.
        while !self.record.load().await {
            tokio::time::sleep(STORE_EVERY).await;
        }
        self.context.progress.load(&self.record);
        self.forget();
        let mut store = tokio::time::interval(STORE_EVERY);
        store.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
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
                _ = store.tick() => {
                    self.context.progress.note(&mut self.record);
                    self.record.store().await;
                }
                Some(ended) = tasks.join_next() => {
                    if let Err(error) = ended && !error.is_cancelled() {
                        tracing::error!(%error, "Serving an ApiServerSource ended");
                    }
                }
            }
        }
    }

    /// Forgets the places of sources that are gone.
    fn forget(&self) {
        let sources = self.sources.list();
        let uids: HashSet<&str> = sources
            .iter()
            .filter_map(|source| source.metadata.uid.as_deref())
            .collect();
        self.context.progress.retain(&uids);
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
            if source.is_none() {
                self.forget();
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
    let (sender, mut steps) = mpsc::channel(MAX_WAITING);
    let mut watches = JoinSet::new();
    let mut scopes: HashMap<Arc<Scope>, AbortHandle> = HashMap::new();
    let mut refusals = Refusals::new(plans.borrow().key.clone());
    loop {
        let plan = plans.borrow_and_update().clone();
        // What is asked for as before goes on as it is.
        let wanted = plan.scopes();
        context.progress.keep(&plan.uid, &wanted);
        refusals.keep(&wanted);
        scopes.retain(|scope, watch| {
            let keep = wanted.contains(scope.as_ref());
            if !keep {
                watch.abort();
            }
            keep
        });
        for scope in wanted {
            scopes.entry(Arc::new(scope)).or_insert_with_key(|scope| {
                let place = context.progress.place(&plan.uid, scope);
                let task = watch::follow(context.client.clone(), scope.clone(), place, sender.clone());
                watches.spawn(task)
            });
        }
        loop {
            let untold = refusals.untold(scopes.len());
            tokio::select! {
                biased;
                changed = plans.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = tokio::time::sleep_until(refusals.next()), if untold.is_some() => {
                    let live = context.sources.get(&plan.key);
                    refusals.tell(&context.client, live.as_deref(), untold.unwrap_or_default()).await;
                }
                Some(mut step) = steps.recv() => {
                    // One that is watched no more may have left some.
                    let watched = scopes.contains_key(&step.scope);
                    if let Some(access) = step.access.take().filter(|_| watched) {
                        refusals.note(step.scope.clone(), access);
                    }
                    pass_on(&context, &plan, step, watched).await;
                }
            }
        }
    }
}

async fn pass_on(context: &Context, plan: &Plan, step: Step, watched: bool) {
    let Step {
        scope,
        change,
        reached,
        access: _,
    } = step;
    if let Some(change) = change {
        if progress::is_own(&change, &context.system_namespace) {
            return;
        }
        post(context, plan, change).await;
    }
    if let Some(place) = reached.filter(|_| watched) {
        context.progress.reached(&plan.uid, &scope, place);
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
