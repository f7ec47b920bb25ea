//! One thread that writes down places and takes away what is too old.

use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::engine::Engine;
use super::journal::{Fact, Journal, Places};
use super::state::ConsumerState;
use super::sweep;
use super::topic::TopicLog;
use crate::StoreError;

/// Places that nobody waits for are written together after this time.
const GATHER: Duration = Duration::from_millis(200);
/// Time between looks at what is too old.
const SWEEP: Duration = Duration::from_secs(30);
/// Least time between such looks: a full disk asks for one with every append.
const SWEEP_AGAIN: Duration = Duration::from_millis(200);
/// Time until the next try when places could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// What is to be written down.
#[derive(Default)]
pub struct Dirty {
    mail: Mutex<Mail>,
    changed: Condvar,
}

#[derive(Default)]
struct Mail {
    facts: Vec<Fact>,
    consumers: Vec<Arc<ConsumerState>>,
    topics: Vec<Arc<TopicLog>>,
    waiting: Vec<oneshot::Sender<Result<(), StoreError>>>,
    sweep: bool,
    stop: bool,
    /// Nobody will read this any more.
    ended: bool,
}

impl Dirty {
    /// The place of a consumer changed.
    pub fn consumer(&self, consumer: Arc<ConsumerState>) {
        self.post(|mail| mail.consumers.push(consumer));
    }

    /// More of a topic was acknowledged.
    pub fn topic(&self, topic: Arc<TopicLog>) {
        self.post(|mail| mail.topics.push(topic));
    }

    /// Something to remember that nobody waits for.
    pub fn fact(&self, fact: Fact) {
        self.post(|mail| mail.facts.push(fact));
    }

    /// Resolves when this, and all that was dirty before, is durable.
    pub async fn write(&self, fact: Fact) -> Result<(), StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.post(|mail| {
            mail.facts.push(fact);
            mail.waiting.push(sender);
        });
        receiver
            .await
            .unwrap_or(Err(StoreError::Closed("the store is closed")))
    }

    /// The disk is full: what was delivered to everyone may go now.
    pub fn reclaim(&self) {
        self.post(|mail| mail.sweep = true);
    }

    /// Writes what is dirty, and ends.
    pub fn stop(&self) {
        self.post(|mail| mail.stop = true);
    }

    fn post(&self, put: impl FnOnce(&mut Mail)) {
        let mut mail = self.mail.lock();
        if mail.ended {
            return;
        }
        put(&mut mail);
        self.changed.notify_one();
    }

    /// Lets go of everyone who waits, or will.
    fn end(&self) {
        *self.mail.lock() = Mail {
            ended: true,
            ..Mail::default()
        };
    }

    /// Waits for something urgent until the deadline, then takes what there is.
    fn collect(&self, sweep_at: Instant, write_after: Instant) -> Mail {
        let mut mail = self.mail.lock();
        loop {
            let quiet = mail.facts.is_empty() && mail.consumers.is_empty() && mail.topics.is_empty();
            let deadline = if quiet {
                sweep_at
            } else {
                sweep_at.min(write_after.max(Instant::now()))
            };
            if mail.stop || mail.sweep || !mail.waiting.is_empty() {
                break;
            }
            if self.changed.wait_until(&mut mail, deadline).timed_out() {
                break;
            }
        }
        Mail {
            stop: mail.stop,
            ..take(&mut *mail)
        }
    }
}

/// The body of the keeper's thread.
pub fn keep(engine: &Engine, mut journal: Journal, mut places: Places) {
    let mut swept = Instant::now();
    let mut write_after = Instant::now();
    let mut failing = false;
    loop {
        let mail = engine.dirt.collect(swept + SWEEP, write_after);
        let stop = mail.stop;
        let sweeping = swept.elapsed() >= if mail.sweep { SWEEP_AGAIN } else { SWEEP };
        match write(mail, &mut journal, &mut places) {
            Ok(()) => {
                write_after = Instant::now() + GATHER;
                if take(&mut failing) {
                    info!("Places of consumers are written again");
                }
            }
            Err(error) => {
                write_after = Instant::now() + RETRY;
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "Places of consumers cannot be written; what they read would come again");
                }
                // Everything is in `places`; this makes the next round write it all.
                engine.dirt.fact(Fact::Nothing);
            }
        }
        if stop {
            return engine.dirt.end();
        }
        if sweeping {
            sweep::sweep(engine);
            swept = Instant::now();
        }
    }
}

fn write(mail: Mail, journal: &mut Journal, places: &mut Places) -> Result<(), StoreError> {
    // What was said comes before what is read now: a topic's removal before the places of the next one of its name.
    let mut facts = mail.facts;
    for consumer in mail.consumers {
        consumer.dirty.store(false, Ordering::Release);
        let topic = consumer.topic.upgrade().filter(|topic| !topic.is_closed());
        if let Some(topic) = topic.filter(|_| !consumer.is_closed()) {
            facts.push(Fact::Consumer(
                topic.name.to_string(),
                consumer.name.to_string(),
                consumer.place(),
            ));
        }
    }
    for topic in mail.topics {
        topic.dirty.store(false, Ordering::Release);
        if !topic.is_closed() {
            facts.push(Fact::Acknowledged(topic.name.to_string(), topic.next()));
        }
    }
    if facts.is_empty() {
        mail.waiting
            .into_iter()
            .for_each(|waiting| drop(waiting.send(Ok(()))));
        return Ok(());
    }
    facts.iter().for_each(|fact| places.apply(fact.clone()));
    let written = journal
        .write(&facts, places)
        .map_err(|error| StoreError::io("cannot write the places of consumers", error));
    for waiting in mail.waiting {
        let _ = waiting.send(written.clone());
    }
    written
}
