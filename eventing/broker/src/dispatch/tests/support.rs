//! A topic with consumers, and subscribers that answer as told.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::Event;
use event_filter::Filter;
use event_store::{ConsumerName, Start, Store};
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use reconciler::Recorder;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::super::{DeadLetter, DispatchMetrics, Dispatcher, Limits};
use crate::client::{Allowed, Client, Config};
use crate::delivery::{Backoff, BackoffPolicy, Policy};
use crate::metrics::Durations;
use crate::model::{Backend, Consumer, ConsumerKind, Model, Reply, Target, Topic, TopicKind};
use crate::{record, stamp};

/// No wait of a test is longer; it is only reached when something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

pub type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A request that a subscriber got.
#[derive(Debug, Clone)]
pub struct Seen {
    pub event: Event,
    pub headers: HeaderMap,
    pub at: Instant,
}

impl Seen {
    pub fn id(&self) -> String {
        self.event.id.to_string()
    }

    pub fn text(&self, attribute: &str) -> Option<String> {
        self.event.get(attribute).map(|value| value.text().into_owned())
    }
}

/// An HTTP server that notes the events it gets.
pub struct Subscriber {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscriber {
    /// Answers with the status that `status` says for the request of this number, from 0.
    pub async fn answering(status: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        Self::with(move |number, _| {
            let status = status(number);
            async move { plain(status, "") }
        })
        .await
    }

    pub async fn with<F>(answer: impl Fn(usize, Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in?a=b", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (answer, noted) = (Arc::new(answer), seen.clone());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, noted) = (answer.clone(), noted.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, noted) = (answer.clone(), noted.clone());
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        assert_eq!(
                            (head.method.as_str(), head.uri.to_string().as_str()),
                            ("POST", "/in?a=b")
                        );
                        let seen = Seen {
                            event: event::http::read(&head.headers, body).unwrap(),
                            headers: head.headers,
                            at: Instant::now(),
                        };
                        let number = {
                            let mut noted = noted.lock();
                            noted.push(seen.clone());
                            noted.len() - 1
                        };
                        Ok::<_, Infallible>(answer(number, seen).await)
                    }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self {
            url,
            seen,
            task: task.abort_handle(),
        }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().len()
    }

    pub async fn has(&self, count: usize) -> Vec<Seen> {
        until(|| self.count() >= count).await;
        self.seen()
    }
}

pub fn plain(status: u16, body: &'static str) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())).boxed());
    *response.status_mut() = status.try_into().unwrap();
    response
}

/// An answer that is an event.
pub fn reply(status: u16, event: &Event) -> Answer {
    let (headers, body) = event::http::write(event, event.mode);
    let mut response = Response::new(Full::new(body).boxed());
    *response.status_mut() = status.try_into().unwrap();
    *response.headers_mut() = headers;
    response
}

pub async fn until(reached: impl Fn() -> bool) {
    until_async(|| std::future::ready(reached())).await;
}

pub async fn until_async<F: Future<Output = bool>>(reached: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !reached().await {
        assert!(
            Instant::now() < deadline,
            "the state that was waited for did not come"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A topic in a log, and a dispatcher for it.
pub struct Home {
    pub dispatcher: Dispatcher,
    pub store: Arc<dyn Store>,
    pub topic: event_store::Topic,
    kind: TopicKind,
    /// The consumers there should be.
    wanted: Mutex<Vec<ConsumerName>>,
    registry: prometheus::Registry,
    _folder: TempDir,
}

impl Home {
    pub fn broker() -> Self {
        Self::new(TopicKind::Broker, config())
    }

    pub fn channel() -> Self {
        Self::new(TopicKind::Channel, config())
    }

    pub fn new(kind: TopicKind, config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = event_store::Log::open(folder.path(), event_store::Options::default()).unwrap();
        let store: Arc<dyn Store> = Arc::new(log);
        let registry = prometheus::Registry::new();
        let metrics = DispatchMetrics::new(&registry, Durations::new(&registry).unwrap()).unwrap();
        let limits = Limits {
            drain: Duration::from_millis(200),
            ..Limits::default()
        };
        let stores = HashMap::from([(Backend::Embedded, store.clone())]);
        Self {
            dispatcher: Dispatcher::new(stores, Client::new(config), metrics, limits, Recorder::silent()),
            store,
            topic: event_store::Topic::new("topic-uid").unwrap(),
            kind,
            wanted: Mutex::default(),
            registry,
            _folder: folder,
        }
    }

    pub fn set(&self, consumers: &[Consumer]) {
        *self.wanted.lock() = consumers.iter().map(|consumer| consumer.name.clone()).collect();
        self.dispatcher.set(&Model::new([Topic {
            key: self.topic.clone(),
            kind: self.kind,
            namespace: "ns".to_owned(),
            name: "default".to_owned(),
            backend: Backend::Embedded,
            consumers: consumers.iter().cloned().map(Arc::new).collect(),
            access: None,
        }]));
    }

    /// Stores an event as ingress does.
    pub async fn post(&self, event: Event) {
        self.post_with(event, &HeaderMap::new()).await;
    }

    pub async fn post_with(&self, mut event: Event, headers: &HeaderMap) {
        match self.kind {
            TopicKind::Broker => stamp::enter_broker(&mut event, jiff::Timestamp::now()).unwrap(),
            TopicKind::Channel => stamp::enter_channel(&mut event, jiff::Timestamp::now()),
        }
        self.store
            .append(&self.topic, vec![record::encode(headers, &event)])
            .await
            .unwrap();
    }

    pub async fn lag(&self) -> u64 {
        let status = self.store.status(&self.topic).await.unwrap();
        status.consumers.iter().map(|consumer| consumer.lag).sum()
    }

    /// Waits until every stored event is settled for every consumer, those that only begin among them.
    pub async fn settled(&self) {
        until_async(|| async {
            let consumers = self.store.status(&self.topic).await.unwrap().consumers;
            let has = |name: &ConsumerName| consumers.iter().any(|consumer| consumer.name == *name);
            self.wanted.lock().iter().all(has) && consumers.iter().all(|consumer| consumer.lag == 0)
        })
        .await;
    }

    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        let topic = DeadLetter::topic(&self.topic).unwrap();
        let records = self.store.read(&topic, 0, 1000).await.unwrap();
        records
            .into_iter()
            .map(|record| DeadLetter::decode(record.payload).unwrap())
            .collect()
    }

    /// The sum of a metric over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        metrics
            .iter()
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

/// Subscribers of tests are on this machine.
pub fn config() -> Config {
    Config {
        allowed: Allowed::ALL,
        ..Config::default()
    }
}

pub fn event(id: &str) -> Event {
    let mut event = Event::new(id, "/test", "dev.example");
    event.set_extension("datacontenttype", "application/json");
    event.data = Some(Bytes::from_static(b"{\"a\": 1}"));
    event
}

/// A consumer that gets everything, from the beginning, without retries.
pub fn consumer(name: &str, kind: TopicKind, subscriber: Option<&str>) -> Consumer {
    Consumer {
        name: ConsumerName::new(name).unwrap(),
        kind: match kind {
            TopicKind::Broker => ConsumerKind::Trigger,
            TopicKind::Channel => ConsumerKind::Subscription,
        },
        namespace: "ns".to_owned(),
        object: name.to_owned(),
        uid: format!("{name}-uid"),
        subscriber: subscriber.map(target),
        reply: match kind {
            TopicKind::Broker => Reply::Topic,
            TopicKind::Channel => Reply::Dropped,
        },
        dead_letter_sink: None,
        policy: Policy::default(),
        account: None,
        order_by: None,
        filter: Arc::new(Filter::everything()),
        start: Start::Earliest,
    }
}

pub fn trigger(name: &str, subscriber: &Subscriber) -> Consumer {
    consumer(name, TopicKind::Broker, Some(&subscriber.url))
}

pub fn target(url: &str) -> Target {
    Target {
        url: url.to_owned(),
        ca_certs: None,
        audience: None,
    }
}

/// So many retries, with waits that begin with so many milliseconds and double.
pub fn retries(retries: u32, millis: u64) -> Policy {
    Policy {
        retries,
        backoff: Some(Backoff {
            policy: BackoffPolicy::Exponential,
            delay: Duration::from_millis(millis),
        }),
        ..Policy::default()
    }
}
