//! Durations under the name that Knative gives them: `kn.eventing.dispatch.duration`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

use super::types::{OTHER, Types};
use crate::model::{Topic, TopicKind};

/// Pairs of a type and a status that one topic or consumer tells apart; later ones are `other`.
const MOST: usize = 64;

const LABELS: [&str; 7] = [
    "kn_broker_name",
    "kn_broker_namespace",
    "kn_channel_name",
    "kn_channel_namespace",
    "messaging_destination_name",
    "cloudevents_type",
    "http_response_status_code",
];

/// As in the OpenTelemetry conventions for HTTP.
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The family, and the types of events that are told apart in all of metrics.
#[derive(Debug, Clone)]
pub(crate) struct Durations {
    family: HistogramVec,
    types: Arc<Types>,
}

/// The series of one topic or consumer; they end with it.
#[derive(Debug)]
pub(crate) struct Series {
    durations: Durations,
    labels: [String; 5],
    known: Mutex<HashMap<(&'static str, Option<u16>), Histogram>>,
}

impl Durations {
    /// Registers the family.
    ///
    /// # Errors
    /// When the registry has it already.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let options = HistogramOpts::new(
            "kn_eventing_dispatch_duration_seconds",
            "Time to store an event (messaging_destination_name begins with broker: or channel:), or of an attempt to \
             deliver one (trigger: or subscription:); without a status if nothing was answered.",
        )
        .const_label("messaging_system", "knative")
        .const_label("messaging_operation_name", "send")
        .buckets(SECONDS.to_vec());
        let family = HistogramVec::new(options, &LABELS)?;
        registry.register(Box::new(family.clone()))?;
        Ok(Self {
            family,
            types: Arc::default(),
        })
    }

    /// Series of `destination` (`<kind>:<name>.<namespace>`) at a topic.
    pub(crate) fn series(&self, topic: &Topic, destination: String) -> Series {
        let (name, namespace, none) = (topic.name.clone(), topic.namespace.clone(), String::new);
        let labels = match topic.kind {
            TopicKind::Broker => [name, namespace, none(), none(), destination],
            TopicKind::Channel => [none(), none(), name, namespace, destination],
        };
        Series {
            durations: self.clone(),
            labels,
            known: Mutex::default(),
        }
    }
}

impl Series {
    /// Something with an event of this type took so long, and was answered with this status.
    pub(crate) fn observe(&self, event_type: &str, status: Option<u16>, took: Duration) {
        let key = (self.durations.types.label(event_type), status);
        let mut known = self.known.lock();
        let key = match known.len() < MOST || known.contains_key(&key) {
            true => key,
            false => (OTHER, None),
        };
        let histogram = known.entry(key).or_insert_with(|| {
            let status = text(key.1);
            self.durations
                .family
                .with_label_values(&self.values(key.0, &status))
        });
        histogram.observe(took.as_secs_f64());
    }

    /// The label of a type of events.
    pub(super) fn type_label(&self, event_type: &str) -> &'static str {
        self.durations.types.label(event_type)
    }

    fn values<'a>(&'a self, event_type: &'a str, status: &'a str) -> [&'a str; 7] {
        let [a, b, c, d, e] = self.labels.each_ref().map(String::as_str);
        [a, b, c, d, e, event_type, status]
    }
}

fn text(status: Option<u16>) -> String {
    status.map(|status| status.to_string()).unwrap_or_default()
}

impl Drop for Series {
    fn drop(&mut self) {
        for (event_type, status) in self.known.lock().keys() {
            let status = text(*status);
            let values = self.values(event_type, &status);
            let _ = self.durations.family.remove_label_values(&values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Backend;

    #[test]
    fn series_are_bounded_and_end_with_their_owner() {
        let registry = Registry::new();
        let durations = Durations::new(&registry).unwrap();
        let topic = Topic {
            key: event_store::Topic::new("uid").unwrap(),
            kind: TopicKind::Channel,
            namespace: "ns".into(),
            name: "c".into(),
            backend: Backend::Embedded,
            consumers: Vec::new(),
            access: None,
        };
        let series = durations.series(&topic, "subscription:s.ns".to_owned());
        let count = || {
            registry
                .gather()
                .first()
                .map_or(0, |family| family.get_metric().len())
        };
        for status in 100..599 {
            series.observe("dev.example", Some(status), Duration::from_millis(3));
        }
        assert_eq!(count(), MOST + 1);
        let gathered = registry.gather();
        let labels: Vec<_> = gathered[0].get_metric()[0]
            .get_label()
            .iter()
            .map(|pair| (pair.name(), pair.value()))
            .collect();
        for expected in [
            ("kn_channel_name", "c"),
            ("kn_broker_name", ""),
            ("messaging_destination_name", "subscription:s.ns"),
            ("messaging_system", "knative"),
        ] {
            assert!(labels.contains(&expected), "{labels:?}");
        }
        drop(series);
        assert_eq!(count(), 0);
    }
}
