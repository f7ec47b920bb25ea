//! What waits to be sent, in bounded room.
//!
//! Changes come into one inbox and are written as events one after the other, off the task of the watch. Then each goes
//! into one of a few lanes, by its run: the events about a run are sent in their order, and a lane that waits holds up
//! no other. Where there is no room, in the inbox, in a lane or for the bytes of all, an event is dropped, counted and
//! told of at its run: a sink that is away must not take the memory of who runs the tasks.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use event::Event;
use k8s_openapi::api::core::v1::ObjectReference;
use reconciler::Recorder;
use reconciler::events::Kind::Warning;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::delivery::Sender;
use super::ledger::Ticket;
use super::message;
use super::metrics::{self, Outcome, WAITING};
use super::run::Run;
use super::word::Word;

/// Changes that wait to be written as events.
const CHANGES: usize = 1024;
/// Events that are sent at the same time.
const LANES: usize = 8;
/// Events that wait in a lane.
const LANE: usize = 256;
/// Bytes of data of all events that wait. The largest object that the API takes is a fraction of it.
const BYTES: usize = 8 << 20;

/// The reason of Kubernetes events about what was not sent (as upstream).
pub(super) const NOT_SENT: &str = "CloudEventFailed";

/// What there is to tell about a state of a run.
pub(super) struct News {
    pub run: Arc<dyn Run>,
    pub words: Vec<Word>,
    pub ticket: Ticket,
}

/// An event that waits. It is settled when it is dropped.
pub(super) struct Letter {
    pub event: Event,
    /// The run.
    pub about: ObjectReference,
    /// Of all letters about one change.
    _held: Arc<(Ticket, OwnedSemaphorePermit)>,
}

impl Drop for Letter {
    fn drop(&mut self) {
        WAITING.dec();
    }
}

/// Where news go. What is in it is sent to its end when all clones are dropped.
#[derive(Clone)]
pub(super) struct Outbox {
    inbox: mpsc::Sender<News>,
    events: Recorder,
}

impl Outbox {
    /// Starts the senders, which end when the outbox is gone and all is settled, or are ended by dropping them.
    pub(super) fn open(sender: Sender, events: Recorder) -> (Self, JoinSet<()>) {
        let sender = Arc::new(sender);
        let mut senders = JoinSet::new();
        let mut lanes = Vec::with_capacity(LANES);
        for _ in 0..LANES {
            let (lane, mut letters) = mpsc::channel::<Letter>(LANE);
            let sender = sender.clone();
            senders.spawn(async move {
                while let Some(letter) = letters.recv().await {
                    sender.deliver(&letter).await;
                }
            });
            lanes.push(lane);
        }
        let (inbox, news) = mpsc::channel(CHANGES);
        senders.spawn(write(news, lanes, events.clone()));
        (Self { inbox, events }, senders)
    }

    /// Takes news in, if there is room.
    pub(super) fn offer(&self, news: News) {
        if let Err(error) = self.inbox.try_send(news) {
            let news = error.into_inner();
            drop_all(&self.events, &news.run.reference(), news.words.len());
        }
    }

    /// Waits for room.
    pub(super) async fn put(&self, news: News) {
        // The writer ends only when this is gone.
        let _ = self.inbox.send(news).await;
    }
}

/// Writes news as events.
async fn write(mut inbox: mpsc::Receiver<News>, lanes: Vec<mpsc::Sender<Letter>>, events: Recorder) {
    let room = Arc::new(Semaphore::new(BYTES));
    while let Some(News { run, words, ticket }) = inbox.recv().await {
        let run = run.as_ref();
        let about = run.reference();
        let data = match message::data(run) {
            Ok(data) => data,
            Err(error) => {
                tracing::warn!(%error, name = about.name, namespace = about.namespace, "A run cannot be told of");
                metrics::count(Outcome::Failed);
                continue;
            }
        };
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let Ok(permit) = room.clone().try_acquire_many_owned(bytes) else {
            drop_all(&events, &about, words.len());
            continue;
        };
        let held = Arc::new((ticket, permit));
        let Some(lane) = lanes.get(lane_of(&about, lanes.len())) else {
            return;
        };
        for word in words {
            WAITING.inc();
            let letter = Letter {
                event: message::event(run, word, &data),
                about: about.clone(),
                _held: held.clone(),
            };
            if lane.try_send(letter).is_err() {
                drop_all(&events, &about, 1);
            }
        }
    }
}

fn lane_of(about: &ObjectReference, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    about.uid.hash(&mut hasher);
    usize::try_from(hasher.finish() % (lanes.max(1) as u64)).unwrap_or(0)
}

fn drop_all(events: &Recorder, about: &ObjectReference, count: usize) {
    for _ in 0..count {
        metrics::count(Outcome::Dropped);
    }
    let message = "too many events wait for the sink: it is slow, or cannot be reached";
    events.note(about.clone(), Warning, NOT_SENT, message);
}
