//! Follows runs, and has what becomes of them told while there is somebody to tell.

use std::sync::Arc;
use std::time::Duration;

use crds::config::tekton::Features;
use crds::tekton::{CustomRun, PipelineRun, TaskRun};
use event_client::Client;
use k8s_openapi::jiff::Timestamp;
use parking_lot::RwLock;
use reconciler::{Cache, Caches, Change, Clock, ConfigStore, Leadership, Object, Recorder};
use tokio_util::sync::CancellationToken;

use super::delivery::{Sender, sink};
use super::ledger::{Ledger, Marks};
use super::message::since;
use super::outbox::{News, Outbox};
use super::record::Record;
use super::run::{Kind, Run};
use super::word::{Before, Word, words};

/// Between two looks at how far all was told. It is stored one such time later: a watch may lag behind own writes, and
/// what it had not shown yet must not count as told.
const PERIOD: Duration = Duration::from_secs(5);
/// Time for what waits in the end. The rest is told by who comes next.
const GRACE: Duration = Duration::from_secs(2);
/// What nobody was told for so long is no news any more.
const STALE: Duration = Duration::from_secs(60 * 60);

/// Tells the sink of the configuration what becomes of runs.
pub(crate) struct Follower {
    followed: Arc<Followed>,
    task_runs: Cache<TaskRun>,
    pipeline_runs: Cache<PipelineRun>,
    custom_runs: Cache<CustomRun>,
    events: Recorder,
    outgoing: event_client::Config,
    record: Record,
    clock: Clock,
}

/// What the handlers of the caches see.
struct Followed {
    config: ConfigStore,
    ledger: Ledger,
    /// There while this process is to tell, and there is a sink.
    outbox: RwLock<Option<Outbox>>,
}

impl Followed {
    fn changed<K: Run + 'static>(&self, change: &Change<K>) {
        let Some(run) = &change.new else { return };
        let (kind, version) = (run.kind(), run.version());
        let outbox = self.outbox.read();
        if let Some(outbox) = outbox.as_ref().filter(|_| self.is_wanted(kind)) {
            let same = |old: &&Arc<K>| old.metadata().uid == run.metadata().uid;
            let before = change
                .old
                .as_ref()
                .filter(same)
                .map_or(Before::Absent, |old| Before::Present(old.succeeded()));
            let words = words(kind, before, run.succeeded());
            if !words.is_empty() {
                outbox.offer(News {
                    run: run.clone(),
                    words,
                    ticket: self.ledger.hold(kind, version),
                });
            }
        }
        self.ledger.see(kind, version);
    }

    fn is_wanted(&self, kind: Kind) -> bool {
        kind != Kind::CustomRun || self.config.get::<Features>().send_cloudevents_for_runs
    }

    /// From now on nothing is told; returns the versions up to which all was taken in.
    fn close(&self) -> Marks {
        let mut outbox = self.outbox.write();
        *outbox = None;
        self.ledger.newest()
    }
}

fn follow<K: Object + Run>(cache: &Cache<K>, followed: &Arc<Followed>) {
    let followed = Arc::downgrade(followed);
    cache.on_change(move |change| {
        if let Some(followed) = followed.upgrade() {
            followed.changed(change);
        }
    });
}

impl Follower {
    /// Follows the runs of these caches from now on, but tells nothing yet.
    pub(crate) fn new(
        caches: &Caches,
        config: ConfigStore,
        events: Recorder,
        outgoing: event_client::Config,
        clock: Clock,
        namespace: &str,
    ) -> Self {
        let followed = Arc::new(Followed {
            config,
            ledger: Ledger::default(),
            outbox: RwLock::default(),
        });
        let follower = Self {
            task_runs: caches.cache(),
            pipeline_runs: caches.cache(),
            custom_runs: caches.cache(),
            events,
            outgoing,
            record: Record::new(caches.client().clone(), namespace),
            clock,
            followed: followed.clone(),
        };
        follow(&follower.task_runs, &followed);
        follow(&follower.pipeline_runs, &followed);
        follow(&follower.custom_runs, &followed);
        follower
    }

    /// Tells while this process leads, until `closing`, and then for a moment what waits. The caches have to be complete.
    pub(crate) async fn run(mut self, mut leadership: Leadership, closing: CancellationToken) {
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                () = leadership.gained() => {}
            }
            tokio::select! {
                () = self.lead(&closing) => return,
                () = leadership.lost() => {}
            }
            self.followed.close();
        }
    }

    /// Ends with `closing` alone.
    async fn lead(&mut self, closing: &CancellationToken) {
        let mut changes = self.followed.config.changes();
        while !closing.is_cancelled() {
            if sink(&self.followed.config).is_some() {
                self.tell(closing).await;
                continue;
            }
            // What happens now is not told by who comes next, either.
            self.record.forget().await;
            // Looked at again, as it may have changed meanwhile.
            if sink(&self.followed.config).is_none() {
                tokio::select! {
                    () = closing.cancelled() => {}
                    _ = changes.changed() => {}
                }
            }
        }
    }

    /// Tells until there is no sink, or until `closing`.
    async fn tell(&mut self, closing: &CancellationToken) {
        let mut changes = self.followed.config.changes();
        let told = self.record.load().await;
        let client = Client::new(self.outgoing.clone());
        let sender = Sender::new(client.clone(), self.followed.config.clone(), self.events.clone());
        let (outbox, mut senders) = Outbox::open(sender, self.events.clone());
        let seen = {
            let mut open = self.followed.outbox.write();
            *open = Some(outbox.clone());
            self.followed.ledger.newest()
        };
        let mut marks = match told {
            Some(told) => {
                self.catch_up(&self.task_runs, told, seen, &outbox).await;
                self.catch_up(&self.pipeline_runs, told, seen, &outbox).await;
                self.catch_up(&self.custom_runs, told, seen, &outbox).await;
                told
            }
            None => seen,
        };
        drop(outbox);
        tracing::info!(known = told.is_some(), "The sink is told of runs");
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                () = closing.cancelled() => break,
                _ = changes.changed() => {
                    if sink(&self.followed.config).is_none() {
                        tracing::info!("There is no sink any more that is told of runs");
                        self.followed.close();
                        return;
                    }
                }
                _ = ticks.tick() => {
                    client.expire_idle();
                    self.record.store(marks).await;
                    marks = self.followed.ledger.marks();
                }
            }
        }
        // Controllers may go on meanwhile: what they write from here on is for who comes next.
        let taken_in = self.followed.close();
        let sent = async { while senders.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, sent).await;
        let marks = self.followed.ledger.marks();
        self.record
            .store(std::array::from_fn(|kind| marks[kind].min(taken_in[kind])))
            .await;
    }

    /// Tells what runs have become while nobody was told: those that changed after the marks, and were seen before the
    /// outbox was there.
    async fn catch_up<K: Object + Run>(&self, cache: &Cache<K>, told: Marks, seen: Marks, outbox: &Outbox) {
        let now = (self.clock)();
        // One after the other: those that are over are decoded for this.
        for key in cache.keys() {
            let Some(run) = cache.get(&key) else { continue };
            let (kind, version) = (run.kind(), run.version());
            let missed = told[kind as usize] < version && version <= seen[kind as usize];
            if missed && self.followed.is_wanted(kind) && is_news(run.as_ref(), now) {
                outbox
                    .put(News {
                        words: vec![Word::of(kind, run.succeeded())],
                        ticket: self.followed.ledger.hold(kind, version),
                        run,
                    })
                    .await;
            }
        }
    }
}

/// Has the run become what it is not too long ago?
fn is_news(run: &dyn Run, now: Timestamp) -> bool {
    since(run).is_some_and(|time| {
        let ago = now.duration_since(time.0);
        Duration::try_from(ago).map_or(true, |ago| ago <= STALE)
    })
}
