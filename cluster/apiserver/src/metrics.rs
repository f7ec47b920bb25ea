//! What the server counts, in the text format of Prometheus.

use prometheus::{
    Encoder, HistogramOpts, HistogramTimer, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry as Metrics, TextEncoder,
};

use crate::request::ResourcePath;
use crate::store::Usage;

/// Counters and gauges of one server.
pub(crate) struct ServerMetrics {
    registry: Metrics,
    requests: IntCounterVec,
    store: IntGaugeVec,
    in_flight: IntGauge,
    pub(crate) webhooks: WebhookMetrics,
}

/// What webhooks come to, and how long they take. Clones share the numbers.
#[derive(Clone)]
pub(crate) struct WebhookMetrics {
    outcomes: IntCounterVec,
    seconds: HistogramVec,
    conversions: HistogramVec,
}

impl WebhookMetrics {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            outcomes: IntCounterVec::new(
                Opts::new(
                    "apiserver_admission_webhook_request_total",
                    "Reviews by type of webhook and outcome: allowed, rejected, failed, failed_open.",
                ),
                &["type", "outcome"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "apiserver_admission_webhook_admission_duration_seconds",
                    "Time that one review takes, by type of webhook.",
                ),
                &["type"],
            )?,
            conversions: HistogramVec::new(
                HistogramOpts::new(
                    "apiserver_crd_webhook_conversion_duration_seconds",
                    "Time that one review of objects to convert takes, by definition, versions and success.",
                ),
                &["crd_name", "from_version", "to_version", "succeeded"],
            )?,
        })
    }

    fn kind(mutating: bool) -> &'static str {
        if mutating { "admit" } else { "validating" }
    }

    /// Measures a review until the guard is dropped.
    pub(crate) fn start(&self, mutating: bool) -> HistogramTimer {
        self.seconds
            .with_label_values(&[Self::kind(mutating)])
            .start_timer()
    }

    /// Measures a conversion from the first of these versions to the second.
    pub(crate) fn converted(
        &self,
        definition: &str,
        [from, to]: [&str; 2],
        succeeded: bool,
        time: std::time::Duration,
    ) {
        let succeeded = if succeeded { "true" } else { "false" };
        self.conversions
            .with_label_values(&[definition, from, to, succeeded])
            .observe(time.as_secs_f64());
    }

    pub(crate) fn count(&self, mutating: bool, outcome: &'static str) {
        self.outcomes
            .with_label_values(&[Self::kind(mutating), outcome])
            .inc();
    }
}

impl ServerMetrics {
    /// Registers everything.
    ///
    /// # Errors
    /// Never in practice: the names are constants.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Metrics::new();
        let requests = IntCounterVec::new(
            Opts::new(
                "apiserver_request_total",
                "Requests by verb, group, resource, subresource and status code.",
            ),
            &["verb", "group", "resource", "subresource", "code"],
        )?;
        let store = IntGaugeVec::new(
            Opts::new("apiserver_store", "Fill levels of the store."),
            &["part"],
        )?;
        let in_flight = IntGauge::new("apiserver_current_inflight_requests", "Requests in progress.")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(store.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        let webhooks = WebhookMetrics::new()?;
        registry.register(Box::new(webhooks.outcomes.clone()))?;
        registry.register(Box::new(webhooks.seconds.clone()))?;
        registry.register(Box::new(webhooks.conversions.clone()))?;
        Ok(Self {
            registry,
            requests,
            store,
            in_flight,
            webhooks,
        })
    }

    /// Counts one answered request. `path` is that of a resource which exists: what a client makes up is no label.
    pub(crate) fn answered(
        &self,
        method: &http::Method,
        path: Option<&ResourcePath>,
        code: http::StatusCode,
    ) {
        let verb = match *method {
            http::Method::GET => "GET",
            http::Method::POST => "POST",
            http::Method::PUT => "PUT",
            http::Method::PATCH => "PATCH",
            http::Method::DELETE => "DELETE",
            _ => "other",
        };
        let (group, resource) = path.map_or(("", ""), |path| (path.group.as_str(), path.resource.as_str()));
        let subresource = path
            .filter(|_| code != http::StatusCode::NOT_FOUND)
            .and_then(|path| path.subresource.as_deref())
            .unwrap_or_default();
        self.requests
            .with_label_values(&[verb, group, resource, subresource, code.as_str()])
            .inc();
    }

    /// Counts a request as in progress until the guard is dropped.
    pub(crate) fn start(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Writes everything as text.
    pub(crate) fn render(&self, usage: Usage) -> Vec<u8> {
        let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        for (part, value) in [
            ("objects", number(usage.objects)),
            ("history_events", number(usage.history_events)),
            ("history_bytes", number(usage.history_bytes)),
            ("watchers", number(usage.watchers)),
            (
                "expired_watchers",
                i64::try_from(usage.expired_watchers).unwrap_or(i64::MAX),
            ),
            ("waiting_writes", number(usage.waiting_writes)),
        ] {
            self.store.with_label_values(&[part]).set(value);
        }
        let mut text = Vec::new();
        let mut families = self.registry.gather();
        // Whoever runs in this process too: with the platform in it, its components.
        families.extend(prometheus::gather());
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::warn!(%error, "Metrics could not be written");
        }
        text
    }
}

/// One request in progress.
pub(crate) struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
