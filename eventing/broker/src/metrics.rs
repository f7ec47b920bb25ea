//! What ingress counts. Labels are bounded: topics by the objects there are, types of events by [`Types`].

mod duration;
mod types;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets};

use crate::model::{Model, Topic, TopicKind};
pub(crate) use duration::{Durations, Series};

const TOPIC: [&str; 3] = ["namespace", "topic", "kind"];

/// Bounds of the wait for the store, in seconds: a sync of a fast disk to one that hangs.
const SECONDS: [f64; 13] = [
    0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 2.0, 10.0,
];

/// The families.
pub(crate) struct IngressMetrics {
    received: IntCounterVec,
    stored: IntCounterVec,
    refused: IntCounterVec,
    bytes: Histogram,
    append: Histogram,
    in_flight: IntGauge,
    pub(crate) connections: IntGauge,
    pub(crate) tokens: IntGauge,
    pub(crate) senders: IntGauge,
    /// Connections closed on their clients, by reason.
    pub(crate) closed: IntCounterVec,
    durations: Durations,
    topics: RwLock<HashMap<event_store::Topic, Arc<TopicMeter>>>,
}

/// The series of one topic; they end with it.
pub(crate) struct TopicMeter {
    labels: [String; 3],
    received: IntCounterVec,
    stored: IntCounterVec,
    bytes: Histogram,
    durations: Series,
    types: RwLock<Vec<&'static str>>,
}

/// A request that is being worked on.
pub(crate) struct InFlight<'a>(&'a IntGauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl IngressMetrics {
    /// Registers the families, under names that begin with `event_ingress_`.
    ///
    /// # Errors
    /// When the registry has them already.
    pub(crate) fn new(registry: &Registry, durations: Durations) -> prometheus::Result<Self> {
        let [namespace, topic, kind] = TOPIC;
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge = |name: &str, help: &str| registered(registry, IntGauge::new(name, help));
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            registered(
                registry,
                Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)),
            )
        };
        Ok(Self {
            received: counter(
                "event_ingress_received_total",
                "Requests with valid events, by content mode.",
                &[namespace, topic, kind, "mode"],
            )?,
            stored: counter(
                "event_ingress_stored_total",
                "Events that were stored, and so accepted. Types beyond the first hundred are `other`.",
                &[namespace, topic, kind, "type"],
            )?,
            refused: counter(
                "event_ingress_refused_total",
                "Requests whose events were not taken, by reason.",
                &["reason"],
            )?,
            bytes: histogram(
                "event_ingress_body_bytes",
                "Sizes of bodies with valid events.",
                // 256 B to 4 MiB.
                exponential_buckets(256.0, 4.0, 8)?,
            )?,
            append: histogram(
                "event_ingress_append_seconds",
                "Time until the store had an event, or refused it.",
                SECONDS.to_vec(),
            )?,
            in_flight: gauge(
                "event_ingress_requests_in_flight",
                "Requests that are being read or stored.",
            )?,
            connections: gauge(
                "event_ingress_connections",
                "Connections of producers that are open.",
            )?,
            tokens: gauge(
                "event_identity_tokens",
                "Tokens to send events with that are kept, of at most 4096.",
            )?,
            senders: gauge(
                "event_identity_verified_tokens",
                "Tokens of senders whose owner is known, or that are known to be no good, of at most 4096.",
            )?,
            closed: counter(
                "event_ingress_connections_closed_total",
                "Connections closed because of what their clients did.",
                &["reason"],
            )?,
            durations,
            topics: RwLock::default(),
        })
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn appended(&self, took: Duration) {
        self.append.observe(took.as_secs_f64());
    }

    pub(crate) fn in_flight(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    pub(crate) fn topic(&self, topic: &Topic) -> Arc<TopicMeter> {
        if let Some(meter) = self.topics.read().get(&topic.key) {
            return meter.clone();
        }
        let kind = match topic.kind {
            TopicKind::Broker => "broker",
            TopicKind::Channel => "channel",
        };
        let meter = Arc::new(TopicMeter {
            labels: [topic.namespace.clone(), topic.name.clone(), kind.to_owned()],
            received: self.received.clone(),
            stored: self.stored.clone(),
            bytes: self.bytes.clone(),
            durations: self
                .durations
                .series(topic, format!("{kind}:{}.{}", topic.name, topic.namespace)),
            types: RwLock::default(),
        });
        self.topics
            .write()
            .entry(topic.key.clone())
            .or_insert(meter)
            .clone()
    }

    /// Ends the series of topics that are gone.
    pub(crate) fn retain(&self, model: &Model) {
        self.topics.write().retain(|key, _| model.topic(key).is_some());
    }
}

const MODES: [&str; 3] = ["binary", "structured", "batch"];

impl TopicMeter {
    /// A request with valid events came.
    pub(crate) fn received(&self, mode: &'static str, bytes: usize) {
        let [a, b, c] = self.labels();
        self.received.with_label_values(&[a, b, c, mode]).inc();
        self.bytes.observe(bytes as f64);
    }

    /// An event is stored, which took so long.
    pub(crate) fn stored(&self, event_type: &str, took: Duration) {
        self.durations.observe(event_type, Some(202), took);
        let event_type = self.durations.type_label(event_type);
        let [a, b, c] = self.labels();
        self.stored.with_label_values(&[a, b, c, event_type]).inc();
        if !self.types.read().contains(&event_type) {
            let mut types = self.types.write();
            if !types.contains(&event_type) {
                types.push(event_type);
            }
        }
    }

    fn labels(&self) -> [&str; 3] {
        self.labels.each_ref().map(String::as_str)
    }
}

impl Drop for TopicMeter {
    fn drop(&mut self) {
        let [a, b, c] = self.labels();
        for mode in MODES {
            let _ = self.received.remove_label_values(&[a, b, c, mode]);
        }
        for event_type in self.types.read().iter() {
            let _ = self.stored.remove_label_values(&[a, b, c, event_type]);
        }
    }
}

pub(crate) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let family = family?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Backend;

    fn topic(name: &str) -> Topic {
        Topic {
            key: event_store::Topic::new(name).unwrap(),
            kind: TopicKind::Broker,
            namespace: "ns".into(),
            name: name.into(),
            backend: Backend::Embedded,
            consumers: Vec::new(),
            access: None,
        }
    }

    #[test]
    fn series_end_with_their_topic() {
        let registry = Registry::new();
        let metrics = IngressMetrics::new(&registry, Durations::new(&registry).unwrap()).unwrap();
        for name in ["a", "b"] {
            let meter = metrics.topic(&topic(name));
            meter.received("binary", 1024);
            meter.stored("dev.example", Duration::from_millis(1));
        }
        let series = || -> usize {
            let families = registry.gather();
            let named = families.iter().filter(|family| {
                ["event_ingress_received_total", "event_ingress_stored_total"].contains(&family.name())
            });
            named.map(|family| family.get_metric().len()).sum()
        };
        assert_eq!(series(), 4);
        metrics.retain(&Model::new([topic("b")]));
        assert_eq!(series(), 2);
    }
}
