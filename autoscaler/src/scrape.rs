//! Asks the pods of a revision how busy they are, once a second.

mod sample;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crds::ports::AUTOSCALING_METRICS;
use crds::stat::{CONTENT_TYPE, Stat};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::header::{ACCEPT, CONTENT_TYPE as CONTENT_TYPE_HEADER};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prost::Message;
use reconciler::Key;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use crate::pods::{Pods, ScrapePod};
use crate::registry::{Registry, ScrapeFailure};

/// Pause between two rounds.
const PERIOD: Duration = Duration::from_secs(1);
/// A pod that has not answered by then does not count in this round.
const TIMEOUT: Duration = Duration::from_secs(3);
/// A stat is some sixty bytes; an answer beyond this is not one.
const MAX_ANSWER: usize = 4 << 10;
/// Pods asked at the same time, over all revisions.
const CONCURRENCY: usize = 32;

/// Why one pod's answer does not count.
#[derive(Debug, Error)]
enum ScrapeError {
    #[error("no answer within {TIMEOUT:?}")]
    Timeout,
    #[error("cannot connect")]
    Connect(#[from] hyper_util::client::legacy::Error),
    #[error("answered {0}")]
    Status(http::StatusCode),
    #[error("answered with another content type than {CONTENT_TYPE}")]
    ContentType,
    #[error("cannot read the answer")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot decode the answer")]
    Decode(#[from] prost::DecodeError),
}

/// Asks pods. Connections are kept between rounds.
#[derive(Clone)]
pub struct Scraper {
    client: Client<HttpConnector, Empty<Bytes>>,
    slots: Arc<Semaphore>,
}

impl Scraper {
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(1)
            .build(connector);
        Self {
            client,
            slots: Arc::new(Semaphore::new(CONCURRENCY)),
        }
    }

    async fn ask(&self, pod: &ScrapePod) -> Result<Stat, ScrapeError> {
        let _slot = self.slots.acquire().await;
        tokio::time::timeout(TIMEOUT, self.exchange(pod))
            .await
            .map_err(|_| ScrapeError::Timeout)?
    }

    async fn exchange(&self, pod: &ScrapePod) -> Result<Stat, ScrapeError> {
        let mut request = http::Request::new(Empty::new());
        // The address comes from the pod's own status, so a stat can only speak for the pod that sent it.
        *request.uri_mut() = http::Uri::builder()
            .scheme("http")
            .authority(format!("{}:{AUTOSCALING_METRICS}", pod.ip))
            .path_and_query("/metrics")
            .build()
            .map_err(|error| ScrapeError::Body(error.into()))?;
        request
            .headers_mut()
            .insert(ACCEPT, http::HeaderValue::from_static(CONTENT_TYPE));
        let response = self.client.request(request).await?;
        if response.status() != http::StatusCode::OK {
            return Err(ScrapeError::Status(response.status()));
        }
        if response
            .headers()
            .get(CONTENT_TYPE_HEADER)
            .is_none_or(|value| value != CONTENT_TYPE)
        {
            return Err(ScrapeError::ContentType);
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(ScrapeError::Body)?;
        Ok(Stat::decode(body.to_bytes())?)
    }

    /// One report for all of `pods`, made of a sample of them.
    async fn scrape(&self, pods: &[ScrapePod], stable_window: Duration) -> Result<Stat, ScrapeFailure> {
        if pods.is_empty() {
            return Err(ScrapeFailure::NoEndpoints);
        }
        let wanted = sample::size(pods.len());
        let order = sample::order(pods, stable_window, &mut rand::rng());
        let mut candidates = order.into_iter();
        let mut asked: FuturesUnordered<_> = candidates
            .by_ref()
            .take(wanted)
            .map(|pod| self.ask(pod))
            .collect();
        let (mut answers, mut last_error) = (Vec::with_capacity(wanted), None);
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(stat) => answers.push(stat),
                Err(error) => {
                    last_error = Some(error);
                    // The next pod stands in for the one that failed.
                    asked.extend(candidates.next().map(|pod| self.ask(pod)));
                }
            }
        }
        if answers.len() < wanted {
            let reason = last_error.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
            return Err(ScrapeFailure::DidNotReceiveStat(format!(
                "{} of {wanted} pods answered; the last failure: {reason}",
                answers.len()
            )));
        }
        Ok(sample::combine(&answers, pods.len()))
    }
}

/// Scrapes every registered revision each second, until dropped. `changed` hears of revisions whose result changed,
/// `took` of how long each round with pods in it was.
pub async fn run(
    scraper: Scraper,
    registry: Arc<Registry>,
    pods: Pods,
    changed: impl Fn(Key) + Send + Sync,
    took: impl Fn(&Key, Duration) + Send + Sync,
) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut rounds: FuturesUnordered<_> = registry
            .scraped()
            .into_iter()
            .map(|(key, stable)| {
                let (scraper, ready) = (&scraper, pods.to_scrape(&key));
                let took = &took;
                async move {
                    let start = Instant::now();
                    let result = scraper.scrape(&ready, Duration::from_secs(stable)).await;
                    if !ready.is_empty() {
                        took(&key, start.elapsed());
                    }
                    (result, key)
                }
            })
            .collect();
        while let Some((result, key)) = rounds.next().await {
            let failure = match result {
                Ok(stat) => {
                    registry.record(&key, crate::clock::unix_second(), &stat);
                    None
                }
                Err(failure) => Some(failure),
            };
            if registry.scrape_result(&key, failure) {
                changed(key);
            }
        }
    }
}
