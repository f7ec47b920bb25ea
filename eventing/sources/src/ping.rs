//! The sender of PingSources: one task that knows what ticks next, and a task for each tick under way.
//!
//! What was sent last is kept in the API. Who takes over, after a restart or from another replica, sends what was
//! missed meanwhile once: the first tick that is due, under its own time. The id of a tick follows from the source and
//! that time, so a tick that is sent twice is recognised by whoever looks at ids.

mod agenda;
mod message;
mod metrics;
mod plan;
mod record;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crds::sources::PingSource;
use informer::{Cache, Caches, Key};
use jiff::Timestamp;
use reconciler::{Clock, Leadership, Queue, Recorder};
use tokio::task::JoinSet;

use crate::post::{Poster, policy};
use crate::run::Config;
use agenda::{Agenda, Tick};
use metrics::{Outcome, TICKS};
use plan::Plan;
use record::Record;

/// Ticks of one source that are under way at the same time; with its sink down, further ones are dropped.
const MAX_UNDER_WAY: usize = 8;

/// Longest sleep: the clock of the machine may be set while this sleeps.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// What was sent last is stored at most this often.
const STORE_EVERY: Duration = Duration::from_secs(2);

/// Everything that sending takes.
pub(crate) struct Sender {
    sources: Cache<PingSource>,
    changed: Queue,
    record: Record,
    poster: Poster,
    recorder: Recorder,
    clock: Clock,
}

/// What became of a tick.
struct Done {
    tick: Tick,
    failure: Option<String>,
}

impl Sender {
    /// Subscribes to the sources; nothing is sent yet.
    pub fn new(caches: &Caches, config: &Config, poster: Poster, recorder: Recorder) -> Self {
        let sources: Cache<PingSource> = caches.cache();
        let changed = reconciler::queue("ping-sender");
        let queue = changed.clone();
        sources.on_change(move |change| {
            if let Some(source) = change.latest() {
                queue.add(Key::of(source.as_ref()));
            }
        });
        Self {
            sources,
            changed,
            record: Record::new(caches.client().clone(), &config.system_namespace),
            poster,
            recorder,
            clock: config.clock.clone(),
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
        self.record.load().await;
        let sources = self.sources.list();
        let uids: HashSet<&str> = sources
            .iter()
            .filter_map(|source| source.metadata.uid.as_deref())
            .collect();
        self.record.retain(&uids);
        let mut agenda = Agenda::default();
        let mut under_way = JoinSet::new();
        let mut counts: HashMap<Key, usize> = HashMap::new();
        for key in self.sources.keys() {
            self.changed.add(key);
        }
        let mut store = tokio::time::interval(STORE_EVERY);
        store.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let sleep = agenda
                .next()
                .map_or(MAX_SLEEP, |next| until((self.clock)(), next));
            tokio::select! {
                key = self.changed.next() => {
                    self.update(&mut agenda, &key);
                    self.changed.done(&key);
                }
                () = tokio::time::sleep(sleep) => {
                    for tick in agenda.due((self.clock)()) {
                        self.send(&mut under_way, &mut counts, tick);
                    }
                }
                Some(done) = under_way.join_next() => match done {
                    Ok(done) => self.finish(&mut counts, done),
                    Err(error) => tracing::error!(%error, "Sending a tick ended"),
                },
                _ = store.tick() => self.record.store().await,
            }
        }
    }

    /// Takes in what a source says now.
    fn update(&mut self, agenda: &mut Agenda, key: &Key) {
        let source = self.sources.get(key);
        match source.as_deref().and_then(Plan::of) {
            Some(plan) => {
                let now = (self.clock)();
                let last = self.record.last(&plan.uid, plan.generation);
                if last.is_none() {
                    self.record.set(&plan.uid, plan.generation, now);
                }
                if let Err(plan) = agenda.put(plan, last, now) {
                    tracing::warn!(namespace = %key.namespace, name = %key.name, "A schedule has no more ticks");
                    self.record.remove(&plan.uid);
                }
            }
            // Without a sink it does not tick, and what it misses so is not made up.
            None => {
                if let Some(plan) = agenda.remove(key) {
                    self.record.remove(&plan.uid);
                }
            }
        }
    }

    fn send(&self, under_way: &mut JoinSet<Done>, counts: &mut HashMap<Key, usize>, tick: Tick) {
        let count = counts.entry(tick.plan.key.clone()).or_default();
        if *count >= MAX_UNDER_WAY {
            TICKS.of(Outcome::Dropped).inc();
            let message = format!(
                "the tick of {} was dropped: {count} before it are not delivered yet",
                tick.time
            );
            self.tell(&tick.plan.key, "TickDropped", message);
            return;
        }
        *count += 1;
        if tick.late {
            TICKS.of(Outcome::Late).inc();
        }
        let poster = self.poster.clone();
        under_way.spawn(async move {
            let event = message::event(&tick.plan, tick.time);
            let plan = &tick.plan;
            let result = poster.post(&plan.sink, &event, &policy()).await;
            let failure = result.err().map(|failure| {
                let data = String::from_utf8_lossy(&failure.data).into_owned();
                format!("{} answered {}: {data}", plan.sink.url, failure.code)
            });
            Done { tick, failure }
        });
    }

    fn finish(&mut self, counts: &mut HashMap<Key, usize>, done: Done) {
        let Done { tick, failure } = done;
        if let Some(count) = counts.get_mut(&tick.plan.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&tick.plan.key);
            }
        }
        self.record.set(&tick.plan.uid, tick.plan.generation, tick.time);
        match failure {
            None => TICKS.of(Outcome::Sent).inc(),
            Some(failure) => {
                TICKS.of(Outcome::Failed).inc();
                let message = format!("the tick of {} was not delivered: {failure}", tick.time);
                self.tell(&tick.plan.key, "TickNotDelivered", message);
            }
        }
    }

    /// Puts a warning on the source.
    fn tell(&self, key: &Key, reason: &'static str, message: String) {
        tracing::warn!(namespace = %key.namespace, name = %key.name, reason, message, "A tick is lost");
        if let Some(source) = self.sources.get(key) {
            self.recorder.warning(source.as_ref(), reason, message);
        }
    }
}

fn until(now: Timestamp, next: Timestamp) -> Duration {
    let wait = next.duration_since(now);
    Duration::try_from(wait).unwrap_or_default().min(MAX_SLEEP)
}

#[cfg(test)]
mod tests;
