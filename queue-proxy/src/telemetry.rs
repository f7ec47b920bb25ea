//! The sidecar's metrics: durations and sizes by status, and the depth of the queue.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Instant;

use http::{HeaderMap, Method, Response, StatusCode};
use parking_lot::Mutex;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntGauge, Opts, Registry};
use proxy::Body;
use proxy::headers::{DEFAULT_ROUTE, TAG};
use proxy::metrics::{SECONDS, exposition, method_label, status_label};
use proxy::request_log::RevisionInfo;

/// Route tags kept apart; they come by header, so their number is bounded.
const MAX_TAGS: usize = 32;
const SIZES: [f64; 8] = [
    128.0,
    512.0,
    1024.0,
    8192.0,
    65_536.0,
    524_288.0,
    4_194_304.0,
    33_554_432.0,
];

pub(crate) struct Telemetry {
    registry: Registry,
    invocations: HistogramVec,
    durations: HistogramVec,
    response_sizes: HistogramVec,
    /// Requests waiting for a slot.
    pub(crate) queue_depth: IntGauge,
    tags: Mutex<Vec<Box<str>>>,
    /// Resolved once per combination: looking labels up costs more than observing.
    series: Mutex<HashMap<Key, Series>>,
    common: OnceLock<Series>,
}

#[derive(PartialEq, Eq, Hash, Clone)]
struct Key {
    method: &'static str,
    status: u16,
    tag: Tag,
}

#[derive(PartialEq, Eq, Hash, Clone, Copy)]
enum Tag {
    Disabled,
    Default,
    Undefined,
    Other,
    Known(usize),
}

#[derive(Clone)]
struct Series {
    invocation: Histogram,
    duration: Histogram,
    response_size: Histogram,
}

impl Telemetry {
    /// # Errors
    /// Two metrics of the same name.
    pub(crate) fn new(revision: &RevisionInfo) -> prometheus::Result<Self> {
        let constant = [
            ("kn_service_name", &revision.service),
            ("kn_configuration_name", &revision.configuration),
            ("kn_revision_name", &revision.name),
            ("k8s_namespace_name", &revision.namespace),
        ];
        let labels: HashMap<String, String> = constant
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        let histogram = |name: &str, help: &str, buckets: &[f64], variable: &[&str]| {
            HistogramVec::new(
                HistogramOpts::new(name, help)
                    .buckets(buckets.to_vec())
                    .const_labels(labels.clone()),
                variable,
            )
        };
        let http = ["http_request_method", "http_response_status_code", "kn_route_tag"];
        let telemetry = Self {
            registry: Registry::new(),
            invocations: histogram(
                "kn_serving_invocation_duration_seconds",
                "Time that the application took, its queue included",
                &SECONDS,
                &["http_response_status_code"],
            )?,
            durations: histogram(
                "http_server_request_duration_seconds",
                "Time to the end of the response",
                &SECONDS,
                &http,
            )?,
            response_sizes: histogram(
                "http_server_response_body_size_bytes",
                "Size of responses",
                &SIZES,
                &http,
            )?,
            queue_depth: IntGauge::with_opts(
                Opts::new("kn_serving_queue_depth", "Requests waiting for the application")
                    .const_labels(labels.clone()),
            )?,
            tags: Mutex::default(),
            series: Mutex::default(),
            common: OnceLock::new(),
        };
        telemetry
            .registry
            .register(Box::new(telemetry.invocations.clone()))?;
        telemetry
            .registry
            .register(Box::new(telemetry.durations.clone()))?;
        telemetry
            .registry
            .register(Box::new(telemetry.response_sizes.clone()))?;
        telemetry
            .registry
            .register(Box::new(telemetry.queue_depth.clone()))?;
        Ok(telemetry)
    }

    pub(crate) fn exposition(&self) -> Response<Body> {
        exposition(&self.registry)
    }

    /// Notes a finished request.
    pub(crate) fn record(&self, request: &RequestFacts, status: StatusCode, started: Instant, bytes: u64) {
        let series = self.series(request, status);
        let seconds = started.elapsed().as_secs_f64();
        series.invocation.observe(seconds);
        series.duration.observe(seconds);
        #[expect(clippy::cast_precision_loss, reason = "sizes past 2^53 bytes do not occur")]
        series.response_size.observe(bytes as f64);
    }

    /// What must be remembered of a request until its end.
    pub(crate) fn facts(&self, method: &Method, headers: &HeaderMap) -> RequestFacts {
        RequestFacts {
            method: method_label(method),
            tag: self.tag(headers),
        }
    }

    fn tag(&self, headers: &HeaderMap) -> Tag {
        let tag = headers.get(TAG).filter(|tag| !tag.is_empty());
        match (
            headers.get(DEFAULT_ROUTE).is_some_and(|value| value == "true"),
            tag,
        ) {
            (true, None) => Tag::Default,
            (true, Some(_)) => Tag::Undefined,
            (false, None) => Tag::Disabled,
            (false, Some(tag)) => self.known(&String::from_utf8_lossy(tag.as_bytes())),
        }
    }

    fn known(&self, tag: &str) -> Tag {
        let mut tags = self.tags.lock();
        match tags.iter().position(|known| **known == *tag) {
            Some(index) => Tag::Known(index),
            None if tags.len() < MAX_TAGS => {
                tags.push(tag.into());
                Tag::Known(tags.len() - 1)
            }
            None => Tag::Other,
        }
    }

    fn series(&self, request: &RequestFacts, status: StatusCode) -> Series {
        let key = Key {
            method: request.method,
            status: status.as_u16(),
            tag: request.tag,
        };
        let common = key.method == "GET" && key.status == 200 && key.tag == Tag::Disabled;
        if common {
            return self.common.get_or_init(|| self.resolve(&key, status)).clone();
        }
        self.series
            .lock()
            .entry(key.clone())
            .or_insert_with(|| self.resolve(&key, status))
            .clone()
    }

    fn resolve(&self, key: &Key, status: StatusCode) -> Series {
        let tag = match key.tag {
            Tag::Disabled => "kn:disabled".to_owned(),
            Tag::Default => "kn:default".to_owned(),
            Tag::Undefined => "kn:undefined".to_owned(),
            Tag::Other => "kn:other".to_owned(),
            Tag::Known(index) => self
                .tags
                .lock()
                .get(index)
                .map(|tag| tag.to_string())
                .unwrap_or_default(),
        };
        let status = status_label(status);
        let labels = [key.method, &status, &tag];
        Series {
            invocation: self.invocations.with_label_values(&[&status]),
            duration: self.durations.with_label_values(&labels),
            response_size: self.response_sizes.with_label_values(&labels),
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct RequestFacts {
    method: &'static str,
    tag: Tag,
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn metrics_have_upstreams_names_and_bounded_tags() {
        let telemetry = Telemetry::new(&RevisionInfo {
            name: "r".into(),
            ..RevisionInfo::default()
        })
        .unwrap();
        for i in 0..100 {
            let mut headers = HeaderMap::new();
            headers.insert(TAG, HeaderValue::from_str(&format!("t{i}")).unwrap());
            let facts = telemetry.facts(&Method::GET, &headers);
            telemetry.record(&facts, StatusCode::OK, Instant::now(), 3);
        }
        let text = telemetry
            .exposition()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(
            text.contains("kn_serving_invocation_duration_seconds_bucket"),
            "{text}"
        );
        assert!(text.contains(r#"kn_revision_name="r""#));
        assert_eq!(
            text.matches("http_server_request_duration_seconds_count").count(),
            MAX_TAGS + 1
        );
    }
}
