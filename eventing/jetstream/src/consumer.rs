//! A subscription: messages pulled ahead, handed out in batches, acknowledged one by one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Subject;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::{self, MessagesErrorKind};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use event_store::{Acks, Batch, Consumer, Position, Record, StoreError};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::convert::{CLOSED, failed, timestamp};
use crate::outbox::{Outbox, Word};

/// Most records of a batch.
const BATCH: usize = 256;
/// Time without a word from the server after which it is asked whether the consumer still exists.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a request for messages stands.
const EXPIRES: Duration = Duration::from_secs(30);
/// Wait before the next try when the server cannot be asked.
const RETRY: Duration = Duration::from_millis(250);

/// One subscription to a durable consumer.
pub struct Subscription {
    consumer: PullConsumer,
    prefetch_bytes: usize,
    messages: Option<pull::Stream>,
    given: Arc<Given>,
    closed: watch::Receiver<bool>,
}

/// What was given out.
struct Given {
    outbox: Arc<Outbox>,
    /// By position, where to report.
    open: Mutex<BTreeMap<Position, Subject>>,
    /// Records that the consumer had not been given when the last one was.
    pending: AtomicU64,
}

impl Subscription {
    /// Begins to pull.
    pub async fn begin(
        consumer: PullConsumer,
        prefetch_bytes: usize,
        outbox: Arc<Outbox>,
        closed: watch::Receiver<bool>,
    ) -> Result<Self, StoreError> {
        let info = consumer.cached_info();
        let pending = info.num_pending + info.num_ack_pending as u64;
        let mut subscription = Self {
            prefetch_bytes,
            messages: None,
            given: Arc::new(Given {
                outbox,
                open: Mutex::default(),
                pending: AtomicU64::new(pending),
            }),
            consumer,
            closed,
        };
        subscription.pull().await?;
        Ok(subscription)
    }

    async fn pull(&mut self) -> Result<(), StoreError> {
        let stream = self.consumer.stream();
        let stream = stream
            .max_bytes_per_batch(self.prefetch_bytes)
            .max_messages_per_batch(4 * BATCH);
        let messages = stream.heartbeat(HEARTBEAT).expires(EXPIRES).messages().await;
        self.messages = Some(messages.map_err(|error| failed("cannot pull events", error))?);
        Ok(())
    }

    async fn next_batch(&mut self) -> Result<Batch, StoreError> {
        loop {
            let first = self.first().await?;
            let mut records: Vec<Record> = first
                .and_then(|message| self.given.take(message))
                .into_iter()
                .collect();
            while records.len() < BATCH
                && let Some(messages) = &mut self.messages
                && let Some(Some(Ok(message))) = messages.next().now_or_never()
            {
                records.extend(self.given.take(message));
            }
            if !records.is_empty() {
                // What comes again comes among the others.
                records.sort_by_key(|record| record.position);
                return Ok(Batch::new(records.into()));
            }
        }
    }

    /// The next message; `None` if there may be one at the next try.
    async fn first(&mut self) -> Result<Option<Message>, StoreError> {
        let Some(messages) = &mut self.messages else {
            self.mend().await?;
            return Ok(None);
        };
        if *self.closed.borrow_and_update() {
            return Err(CLOSED);
        }
        let message = tokio::select! {
            _ = self.closed.changed() => return Err(CLOSED),
            message = messages.next() => message,
        };
        match message {
            Some(Ok(message)) => Ok(Some(message)),
            Some(Err(error)) if error.kind() == MessagesErrorKind::ConsumerDeleted => Err(
                StoreError::Closed("the consumer is forgotten, or its topic removed"),
            ),
            end => {
                if let Some(Err(error)) = end {
                    debug!(%error, "Pulling events is interrupted");
                }
                self.messages = None;
                Ok(None)
            }
        }
    }

    /// Pulls again, unless the consumer is gone.
    async fn mend(&mut self) -> Result<(), StoreError> {
        use ConsumerInfoErrorKind::{NotFound, StreamNotFound};
        if *self.closed.borrow() {
            return Err(CLOSED);
        }
        match self.consumer.info().await.map(drop) {
            Ok(()) => self.pull().await,
            Err(error) if matches!(error.kind(), NotFound | StreamNotFound) => Err(StoreError::Closed(
                "the consumer is forgotten, or its topic removed",
            )),
            Err(error) => {
                warn!(%error, "The server of events does not answer");
                tokio::select! {
                    _ = self.closed.changed() => Err(CLOSED),
                    () = tokio::time::sleep(RETRY) => Ok(()),
                }
            }
        }
    }
}

impl Given {
    /// Takes notice of a message that is going to be handed out.
    fn take(&self, message: Message) -> Option<Record> {
        let (position, time) = match message.info() {
            Ok(info) => {
                self.pending.store(info.pending, Ordering::Relaxed);
                (info.stream_sequence, timestamp(info.published))
            }
            Err(error) => {
                warn!(%error, "A message without its place is left alone");
                return None;
            }
        };
        self.open.lock().insert(position, message.reply.clone()?);
        Some(Record {
            position,
            time,
            payload: message.payload.clone(),
        })
    }
}

impl Acks for Given {
    fn done(&self, position: Position) {
        let reply = self.open.lock().remove(&position);
        if let Some(reply) = reply {
            self.outbox.send(reply, Word::Done);
        }
    }

    fn working(&self, position: Position) {
        let reply = self.open.lock().get(&position).cloned();
        if let Some(reply) = reply {
            self.outbox.send(reply, Word::Working);
        }
    }

    fn lag(&self) -> u64 {
        self.pending.load(Ordering::Relaxed) + self.open.lock().len() as u64
    }
}

impl Consumer for Subscription {
    fn next(&mut self) -> BoxFuture<'_, Result<Batch, StoreError>> {
        self.next_batch().boxed()
    }

    fn acks(&self) -> Arc<dyn Acks> {
        self.given.clone()
    }

    fn done(&self, position: Position) {
        self.given.done(position);
    }

    fn lag(&self) -> u64 {
        self.given.lag()
    }
}

impl Drop for Subscription {
    /// Gives back what is not done, so that nobody waits for it until the server's patience ends.
    fn drop(&mut self) {
        if let Some(messages) = &mut self.messages
            && tokio::runtime::Handle::try_current().is_ok()
        {
            while let Some(Some(Ok(message))) = messages.next().now_or_never() {
                drop(self.given.take(message));
            }
        }
        for reply in std::mem::take(&mut *self.given.open.lock()).into_values() {
            self.given.outbox.send(reply, Word::Back);
        }
    }
}
