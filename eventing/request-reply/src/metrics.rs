//! What is counted.

use std::sync::Arc;

use http::StatusCode;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

pub(crate) struct Metrics {
    requests: IntCounterVec,
    replies: IntCounterVec,
    pub waiting: IntGauge,
}

impl Metrics {
    pub fn new(registry: &Registry, most: usize) -> prometheus::Result<Arc<Self>> {
        let by_code = |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &["code"]);
        let metrics = Self {
            requests: by_code(
                "request_reply_requests_total",
                "Requests answered, by status code; 504 had no answer in time.",
            )?,
            replies: by_code(
                "request_reply_replies_total",
                "Answers taken in, by status code; nobody waited for those with 400.",
            )?,
            waiting: IntGauge::new("request_reply_waiting", "Requests that wait for their answer.")?,
        };
        let limit = IntGauge::new(
            "request_reply_waiting_limit",
            "Requests that may wait at once; further ones are answered with 503.",
        )?;
        limit.set(i64::try_from(most).unwrap_or(i64::MAX));
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.replies.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(limit))?;
        Ok(Arc::new(metrics))
    }

    pub fn answered(&self, is_reply: bool, code: StatusCode) {
        let counter = if is_reply { &self.replies } else { &self.requests };
        counter.with_label_values(&[code.as_str()]).inc();
    }
}
