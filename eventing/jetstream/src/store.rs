//! The store: streams and durable consumers.

use std::collections::HashMap;
use std::sync::Arc;

use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, FromConsumer, PullConsumer, pull};
use async_nats::jetstream::context::{ConsumerInfoErrorKind, CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, ConsumerErrorKind, DirectGetErrorKind, DiscardPolicy, StorageType, Stream,
};
use async_nats::jetstream::{self, Context, ErrorCode};
use bytes::Bytes;
use event_store::{
    Consumer, ConsumerName, ConsumerStatus, OverSize, Position, Record, Start, Store, StoreError, Topic,
    TopicStatus,
};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::consumer::Subscription;
use crate::convert::{CLOSED, datetime, failed, is_full, timestamp};
use crate::options::Options;
use crate::outbox::Outbox;
use crate::{names, publish};

/// Single reads that are under way at the same time.
const READS: usize = 64;
/// Bytes of a message besides its payload: headers, and the server's own.
const HEADERS: usize = 4096;

/// Events on a NATS server, or a cluster of them.
pub struct JetStream {
    client: Client,
    context: Context,
    options: Options,
    topics: Mutex<HashMap<Topic, Arc<Known>>>,
    outbox: Arc<Outbox>,
    sender: Mutex<Option<JoinHandle<()>>>,
    closed: watch::Sender<bool>,
}

/// A topic whose stream was found or made.
struct Known {
    subject: String,
    order: tokio::sync::Mutex<()>,
}

impl JetStream {
    /// Connects to the servers. Later losses of the connection are mended by themselves; until they are, everything
    /// answers [`StoreError::Io`].
    pub async fn connect(options: Options) -> Result<Self, StoreError> {
        let servers: Vec<&str> = options.servers.split(',').map(str::trim).collect();
        let client = async_nats::ConnectOptions::new()
            .name(&options.prefix)
            .connect(servers.as_slice())
            .await;
        let client = client.map_err(|error| failed("cannot connect to NATS", error))?;
        let outbox = Arc::new(Outbox::default());
        Ok(Self {
            context: jetstream::new(client.clone()),
            sender: Mutex::new(Some(tokio::spawn(outbox.clone().run(client.clone())))),
            client,
            options,
            topics: Mutex::default(),
            outbox,
            closed: watch::Sender::new(false),
        })
    }

    fn check(&self) -> Result<(), StoreError> {
        if *self.closed.borrow() {
            Err(CLOSED)
        } else {
            Ok(())
        }
    }

    /// The topic, whose stream is made if this process has not seen it yet.
    async fn topic(&self, topic: &Topic) -> Result<Arc<Known>, StoreError> {
        if let Some(known) = self.topics.lock().get(topic) {
            return Ok(known.clone());
        }
        let subject = names::subject(&self.options.prefix, topic);
        let config = self.stream_config(topic, &subject);
        let made = self.context.create_or_update_stream(config).await;
        made.map_err(|error| match error.kind() {
            CreateStreamErrorKind::JetStream(answer) if is_full(answer.error_code()) => {
                StoreError::Full(answer.to_string())
            }
            _ => failed(format!("cannot make the stream of {topic}"), error),
        })?;
        let known = || {
            Arc::new(Known {
                subject,
                order: tokio::sync::Mutex::default(),
            })
        };
        Ok(self
            .topics
            .lock()
            .entry(topic.clone())
            .or_insert_with(known)
            .clone())
    }

    fn stream_config(&self, topic: &Topic, subject: &str) -> Config {
        let options = &self.options;
        Config {
            name: names::stream(&self.options.prefix, topic),
            subjects: vec![subject.to_owned()],
            storage: StorageType::File,
            num_replicas: options.replicas,
            max_age: options.max_age,
            max_bytes: options
                .max_bytes
                .and_then(|most| i64::try_from(most).ok())
                .unwrap_or(-1),
            max_messages: -1,
            max_messages_per_subject: -1,
            max_consumers: -1,
            discard: match options.over_size {
                OverSize::DropOldest => DiscardPolicy::Old,
                OverSize::Refuse => DiscardPolicy::New,
            },
            allow_direct: true,
            allow_atomic_publish: self.takes_several(),
            ..Config::default()
        }
    }

    /// Whether the server stores several messages as one.
    fn takes_several(&self) -> bool {
        self.client.is_server_compatible(2, 12, 0)
    }

    /// The stream of a topic; `None` if there is none.
    async fn stream(&self, topic: &Topic) -> Result<Option<Stream>, StoreError> {
        match self
            .context
            .get_stream(names::stream(&self.options.prefix, topic))
            .await
        {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(answer) if publish::no_stream(&answer) => Ok(None),
                _ => Err(failed(format!("cannot look at the stream of {topic}"), error)),
            },
        }
    }

    async fn append_all(&self, topic: Topic, payloads: Vec<Bytes>) -> Result<Position, StoreError> {
        self.check()?;
        self.check_size(&payloads)?;
        for _ in 0..2 {
            let known = self.topic(&topic).await?;
            let (context, subject) = (&self.context, known.subject.as_str());
            let appended = match payloads.as_slice() {
                [] => return Ok(self.topic_status(topic).await?.next - 1),
                [payload] => publish::one(context, subject, payload.clone()).await,
                _ if self.takes_several() => {
                    publish::together(context, subject, payloads.clone(), &known.order).await
                }
                _ => publish::in_a_row(context, subject, payloads.clone()).await,
            };
            match appended? {
                Ok(position) => return Ok(position),
                // Another process removed it.
                Err(publish::NoStream) => drop(self.topics.lock().remove(&topic)),
            }
        }
        Err(StoreError::Closed("the topic is removed"))
    }

    /// The server closes the connection of one who sends too much.
    fn check_size(&self, payloads: &[Bytes]) -> Result<(), StoreError> {
        let limit = self.client.max_payload().saturating_sub(HEADERS);
        let largest = payloads.iter().map(Bytes::len).max().unwrap_or(0);
        if largest > limit || payloads.len() > publish::MOST_RECORDS {
            return Err(StoreError::TooLarge {
                bytes: largest,
                records: payloads.len(),
                limit,
                most: publish::MOST_RECORDS,
            });
        }
        Ok(())
    }

    async fn begin(
        &self,
        topic: Topic,
        name: ConsumerName,
        start: Start,
    ) -> Result<Box<dyn Consumer>, StoreError> {
        self.check()?;
        self.topic(&topic).await?;
        let cannot = || format!("cannot subscribe {name} to {topic}");
        let stream = match self.stream(&topic).await? {
            Some(stream) => stream,
            None => {
                self.topics.lock().remove(&topic);
                self.topic(&topic).await?;
                let stream = self.stream(&topic).await?;
                stream.ok_or(StoreError::Closed("the topic is removed"))?
            }
        };
        let durable = names::consumer(&name);
        let consumer: PullConsumer = match stream.consumer_info(&durable).await {
            Ok(info) => {
                let present = pull::Config::try_from_consumer_config(info.config);
                let present = present.map_err(|error| failed(cannot(), std::io::Error::other(error)))?;
                match self.changed(&present) {
                    Some(wanted) => stream
                        .update_consumer(wanted)
                        .await
                        .map_err(|error| failed(cannot(), error))?,
                    None => stream
                        .get_consumer(&durable)
                        .await
                        .map_err(|error| failed(cannot(), std::io::Error::other(error)))?,
                }
            }
            Err(error) if is_no_consumer(&error.kind()) => {
                let config = self.consumer_config(durable, start)?;
                stream
                    .create_consumer(config)
                    .await
                    .map_err(|error| failed(cannot(), error))?
            }
            Err(error) => return Err(failed(cannot(), error)),
        };
        let bytes = self
            .options
            .prefetch_bytes
            .max(self.client.max_payload() + HEADERS);
        let (outbox, closed) = (self.outbox.clone(), self.closed.subscribe());
        let subscription = Subscription::begin(consumer, bytes, outbox, closed).await?;
        Ok(Box::new(subscription))
    }

    fn consumer_config(&self, durable: String, start: Start) -> Result<pull::Config, StoreError> {
        Ok(pull::Config {
            durable_name: Some(durable),
            deliver_policy: match start {
                Start::Earliest => DeliverPolicy::All,
                Start::Latest => DeliverPolicy::New,
                Start::At(time) => DeliverPolicy::ByStartTime {
                    start_time: datetime(time)?,
                },
            },
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.options.ack_wait,
            max_deliver: -1,
            max_ack_pending: self.options.in_flight,
            // Nobody came for that long: it is forgotten, as are the records.
            inactive_threshold: self.options.max_age,
            ..pull::Config::default()
        })
    }

    /// How a consumer has to change that was made with other options: above all, it must not be forgotten before its
    /// records are. Where it is stays as it is.
    fn changed(&self, present: &pull::Config) -> Option<pull::Config> {
        let options = &self.options;
        let wanted = (options.max_age, options.ack_wait, options.in_flight);
        let found = (
            present.inactive_threshold,
            present.ack_wait,
            present.max_ack_pending,
        );
        (found != wanted).then(|| pull::Config {
            inactive_threshold: options.max_age,
            ack_wait: options.ack_wait,
            max_ack_pending: options.in_flight,
            ..present.clone()
        })
    }

    async fn forget_consumer(&self, topic: Topic, name: ConsumerName) -> Result<(), StoreError> {
        self.check()?;
        let Some(stream) = self.stream(&topic).await? else {
            return Ok(());
        };
        match stream.delete_consumer(&names::consumer(&name)).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                ConsumerErrorKind::JetStream(answer)
                    if answer.error_code() == ErrorCode::CONSUMER_NOT_FOUND =>
                {
                    Ok(())
                }
                _ => Err(failed(format!("cannot forget {name} of {topic}"), error)),
            },
        }
    }

    async fn remove_topic(&self, topic: Topic) -> Result<(), StoreError> {
        self.check()?;
        if self.stream(&topic).await?.is_some() {
            let deleted = self
                .context
                .delete_stream(names::stream(&self.options.prefix, &topic))
                .await;
            deleted.map_err(|error| failed(format!("cannot remove {topic}"), error))?;
        }
        self.topics.lock().remove(&topic);
        Ok(())
    }

    async fn topic_status(&self, topic: Topic) -> Result<TopicStatus, StoreError> {
        self.check()?;
        let Some(stream) = self.stream(&topic).await? else {
            return Ok(TopicStatus {
                first: 1,
                next: 1,
                ..TopicStatus::default()
            });
        };
        let state = &stream.cached_info().state;
        let next = state.last_sequence + 1;
        let consumers = stream.consumers().try_filter_map(|info| async move {
            Ok(names::consumer_name(&info.name).map(|name| ConsumerStatus {
                name,
                position: (info.ack_floor.stream_sequence + 1).max(1),
                lag: info.num_pending + info.num_ack_pending as u64,
                lost: 0,
            }))
        });
        let mut consumers: Vec<ConsumerStatus> = consumers
            .try_collect()
            .await
            .map_err(|error| failed(format!("cannot list the consumers of {topic}"), error))?;
        consumers.sort_by(|one, other| one.name.cmp(&other.name));
        let kept = state.messages > 0;
        Ok(TopicStatus {
            first: if kept { state.first_sequence } else { next },
            next,
            bytes: state.bytes,
            oldest: kept.then(|| timestamp(state.first_timestamp)),
            damaged: 0,
            consumers,
        })
    }

    async fn read_records(
        &self,
        topic: Topic,
        from: Position,
        most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.check()?;
        let Some(stream) = self.stream(&topic).await? else {
            return Ok(Vec::new());
        };
        let state = &stream.cached_info().state;
        let range = from.max(state.first_sequence).max(1)..state.last_sequence + 1;
        let stream = &stream;
        let reads = futures::stream::iter(range).map(|sequence| async move {
            match stream.direct_get(sequence).await {
                Ok(message) => Ok(Some(Record {
                    position: message.sequence,
                    time: timestamp(message.time),
                    payload: message.payload,
                })),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
                Err(error) => Err(failed("cannot read events", error)),
            }
        });
        let found = reads
            .buffered(READS)
            .try_filter_map(|record| async move { Ok(record) });
        found.take(most).try_collect().await
    }

    async fn end(&self) {
        self.closed.send_replace(true);
        self.outbox.end();
        let sender = self.sender.lock().take();
        if let Some(sender) = sender {
            let _ = sender.await;
        }
    }
}

fn is_no_consumer(kind: &ConsumerInfoErrorKind) -> bool {
    match kind {
        ConsumerInfoErrorKind::NotFound => true,
        ConsumerInfoErrorKind::JetStream(answer) => answer.error_code() == ErrorCode::CONSUMER_NOT_FOUND,
        _ => false,
    }
}

impl Store for JetStream {
    fn append(&self, topic: &Topic, payloads: Vec<Bytes>) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.append_all(topic.clone(), payloads).boxed()
    }

    fn subscribe(
        &self,
        topic: &Topic,
        consumer: &ConsumerName,
        start: Start,
    ) -> BoxFuture<'_, Result<Box<dyn Consumer>, StoreError>> {
        self.begin(topic.clone(), consumer.clone(), start).boxed()
    }

    fn forget(&self, topic: &Topic, consumer: &ConsumerName) -> BoxFuture<'_, Result<(), StoreError>> {
        self.forget_consumer(topic.clone(), consumer.clone()).boxed()
    }

    fn remove(&self, topic: &Topic) -> BoxFuture<'_, Result<(), StoreError>> {
        self.remove_topic(topic.clone()).boxed()
    }

    fn status(&self, topic: &Topic) -> BoxFuture<'_, Result<TopicStatus, StoreError>> {
        self.topic_status(topic.clone()).boxed()
    }

    fn read(
        &self,
        topic: &Topic,
        from: Position,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        self.read_records(topic.clone(), from, most).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.end().boxed()
    }
}

impl Drop for JetStream {
    fn drop(&mut self) {
        self.closed.send_replace(true);
        self.outbox.end();
    }
}
