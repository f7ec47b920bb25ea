//! Answers the autoscaler's scrape with the last full second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crds::stat::{CONTENT_TYPE, Stat};
use http::header::{self, HeaderValue};
use http::{Request, Response};
use parking_lot::Mutex;
use prost::Message;
use proxy::{Body, Handler};

use crate::stats::{Report, Stats};
use crate::telemetry::Telemetry;

/// Length of one report (upstream value); the autoscaler scrapes as often.
const PERIOD: Duration = Duration::from_secs(1);

/// The autometric endpoint.
pub(crate) struct Reporter {
    pod_name: String,
    stats: Arc<Stats>,
    telemetry: Arc<Telemetry>,
    started: Instant,
    /// The last full period, and when it ended.
    last: Mutex<(Report, SystemTime)>,
}

impl Reporter {
    pub(crate) fn new(pod_name: String, stats: Arc<Stats>, telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self {
            pod_name,
            stats,
            telemetry,
            started: Instant::now(),
            last: Mutex::new((Report::default(), SystemTime::now())),
        })
    }

    /// Closes a period each second, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            *self.last.lock() = (self.stats.report(Instant::now()), SystemTime::now());
        }
    }

    fn stat(&self) -> Stat {
        let (report, ended) = *self.last.lock();
        let ended = ended.duration_since(UNIX_EPOCH).unwrap_or_default();
        Stat {
            pod_name: self.pod_name.clone(),
            average_concurrent_requests: report.concurrency,
            average_proxied_concurrent_requests: report.proxied_concurrency,
            request_count: report.requests,
            proxied_request_count: report.proxied_requests,
            process_uptime: self.started.elapsed().as_secs_f64(),
            timestamp: i64::try_from(ended.as_millis()).unwrap_or_default(),
        }
    }
}

impl Handler for Reporter {
    async fn handle(self: Arc<Self>, request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        let wants_stat = request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains(CONTENT_TYPE));
        if !wants_stat {
            return self.telemetry.exposition();
        }
        let mut response = Response::new(Body::full(self.stat().encode_to_vec()));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        response
    }
}

/// The sidecar's own metrics in Prometheus' text format.
pub(crate) struct UserMetrics(pub(crate) Arc<Telemetry>);

impl Handler for UserMetrics {
    async fn handle(self: Arc<Self>, _request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        self.0.exposition()
    }
}
