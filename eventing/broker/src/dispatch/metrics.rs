//! What delivery counts. The series of a consumer end with it, so there are never more than there are consumers.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::metrics::{Durations, Series};
use crate::model::{Consumer, ConsumerKind, Topic};

const LABELS: [&str; 4] = ["namespace", "topic", "kind", "consumer"];

/// Bounds in seconds, from a local subscriber to one that retries for minutes.
const SECONDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0,
];

/// The families.
#[derive(Debug, Clone)]
pub struct DispatchMetrics {
    delivered: IntCounterVec,
    filtered: IntCounterVec,
    retried: IntCounterVec,
    dead_lettered: IntCounterVec,
    kept: IntCounterVec,
    dropped: IntCounterVec,
    replies: IntCounterVec,
    in_flight: IntGaugeVec,
    waiting: IntGaugeVec,
    lag: IntGaugeVec,
    seconds: HistogramVec,
    durations: Durations,
}

/// The series of one consumer.
#[derive(Debug)]
pub(crate) struct Meter {
    families: DispatchMetrics,
    labels: [String; 4],
    pub delivered: IntCounter,
    /// Events that the filter held back.
    pub filtered: IntCounter,
    /// Attempts that failed and are followed by another one.
    pub retried: IntCounter,
    /// Events that the dead letter sink took.
    pub dead_lettered: IntCounter,
    /// Events that nobody took and that were stored as dead letters.
    pub kept: IntCounter,
    pub dropped_expired: IntCounter,
    pub dropped_unreadable: IntCounter,
    pub dropped_reply_ttl: IntCounter,
    pub replies: IntCounter,
    /// Attempts under way.
    pub in_flight: IntGauge,
    /// Events that wait for a retry or for their turn.
    pub waiting: IntGauge,
    /// Records that are not settled.
    pub lag: IntGauge,
    /// From the acceptance of an event to its delivery.
    pub seconds: Histogram,
    /// Of attempts.
    pub attempts: Series,
}

impl DispatchMetrics {
    /// Registers the families, under names that begin with `event_delivery_`.
    ///
    /// # Errors
    /// When the registry has them already.
    pub(crate) fn new(registry: &Registry, durations: Durations) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone())).map(|()| family)
        };
        let gauge = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), &LABELS)?;
            registry.register(Box::new(family.clone())).map(|()| family)
        };
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "event_delivery_seconds",
                "From the acceptance of an event to its delivery.",
            )
            .buckets(SECONDS.to_vec()),
            &LABELS,
        )?;
        registry.register(Box::new(seconds.clone()))?;
        let [namespace, topic, kind, consumer] = LABELS;
        Ok(Self {
            delivered: counter(
                "event_delivery_delivered_total",
                "Events that were delivered.",
                &LABELS,
            )?,
            filtered: counter(
                "event_delivery_filtered_total",
                "Events that a filter held back.",
                &LABELS,
            )?,
            retried: counter(
                "event_delivery_retries_total",
                "Attempts that failed and are followed by another one.",
                &LABELS,
            )?,
            dead_lettered: counter(
                "event_delivery_dead_lettered_total",
                "Events that a dead letter sink took.",
                &LABELS,
            )?,
            kept: counter(
                "event_delivery_kept_total",
                "Events that nobody took and that were stored as dead letters.",
                &LABELS,
            )?,
            dropped: counter(
                "event_delivery_dropped_total",
                "Events and replies that were given up: expired before their delivery, unreadable, or a reply \
                 without rounds left.",
                &[namespace, topic, kind, consumer, "reason"],
            )?,
            replies: counter(
                "event_delivery_replies_total",
                "Replies that were sent on.",
                &LABELS,
            )?,
            in_flight: gauge("event_delivery_in_flight", "Attempts under way.")?,
            waiting: gauge(
                "event_delivery_waiting",
                "Events that wait for another attempt, or for their turn.",
            )?,
            lag: gauge("event_delivery_lag", "Stored events that are not settled.")?,
            seconds,
            durations,
        })
    }

    pub(crate) fn meter(&self, topic: &Topic, consumer: &Consumer) -> Meter {
        let kind = match consumer.kind {
            ConsumerKind::Trigger => "trigger",
            ConsumerKind::Subscription => "subscription",
        };
        let labels = [&topic.namespace, &topic.name, kind, &consumer.object].map(str::to_owned);
        let [a, b, c, d] = labels.each_ref().map(String::as_str);
        let l = [a, b, c, d];
        let dropped = |reason| self.dropped.with_label_values(&[a, b, c, d, reason]);
        Meter {
            delivered: self.delivered.with_label_values(&l),
            filtered: self.filtered.with_label_values(&l),
            retried: self.retried.with_label_values(&l),
            dead_lettered: self.dead_lettered.with_label_values(&l),
            kept: self.kept.with_label_values(&l),
            dropped_expired: dropped("expired"),
            dropped_unreadable: dropped("unreadable"),
            dropped_reply_ttl: dropped("reply-ttl"),
            replies: self.replies.with_label_values(&l),
            in_flight: self.in_flight.with_label_values(&l),
            waiting: self.waiting.with_label_values(&l),
            lag: self.lag.with_label_values(&l),
            seconds: self.seconds.with_label_values(&l),
            attempts: self.durations.series(
                topic,
                format!("{kind}:{}.{}", consumer.object, consumer.namespace),
            ),
            families: self.clone(),
            labels,
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let [a, b, c, d] = self.labels.each_ref().map(String::as_str);
        let f = &self.families;
        for family in [
            &f.delivered,
            &f.filtered,
            &f.retried,
            &f.dead_lettered,
            &f.kept,
            &f.replies,
        ] {
            let _ = family.remove_label_values(&[a, b, c, d]);
        }
        for reason in ["expired", "unreadable", "reply-ttl"] {
            let _ = f.dropped.remove_label_values(&[a, b, c, d, reason]);
        }
        for family in [&f.in_flight, &f.waiting, &f.lag] {
            let _ = family.remove_label_values(&[a, b, c, d]);
        }
        let _ = f.seconds.remove_label_values(&[a, b, c, d]);
    }
}
