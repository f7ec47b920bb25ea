//! The metrics of the autoscaler, under the names of section "observability" of the serving contract (dots as
//! underscores, units at the end). Gauges are read when they are asked for; between scrapes they cost nothing.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crds::autoscaling::PodAutoscaler;
use crds::labels;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, Opts};
use reconciler::{Cache, Key, SECONDS};

use crate::metrics::collection::LoadMetric;
use crate::pods::Pods;
use crate::registry::{Reading, Registry};

/// The attributes of a revision, as labels.
const LABELS: [&str; 4] = [
    "k8s_namespace_name",
    "kn_service_name",
    "kn_configuration_name",
    "kn_revision_name",
];

static SCRAPES: LazyLock<HistogramVec> = LazyLock::new(|| {
    let options = HistogramOpts::new(
        "kn_autoscaler_scrape_duration_seconds",
        "Duration of one round of asking the pods of a revision.",
    );
    reconciler::registered(HistogramVec::new(options.buckets(SECONDS.to_vec()), &LABELS))
});

/// Makes every revision visible on `/metrics`.
pub fn register(registry: &Arc<Registry>, pods: &Pods, autoscalers: &Cache<PodAutoscaler>) {
    reconciler::registered(Gauges::new(registry, pods, autoscalers));
    LazyLock::force(&SCRAPES);
}

/// Notes how long it took to ask the pods of `key`.
pub fn scraped(autoscalers: &Cache<PodAutoscaler>, key: &Key, took: Duration) {
    if let Some(autoscaler) = autoscalers.get(key) {
        let values = label_values(key, &autoscaler);
        SCRAPES
            .with_label_values(&values.each_ref().map(String::as_str))
            .observe(took.as_secs_f64());
    }
}

/// Forgets a revision that is gone; `autoscaler` is its last known state.
pub fn forget(key: &Key, autoscaler: &PodAutoscaler) {
    let values = label_values(key, autoscaler);
    // An error says that it was never scraped.
    let _ = SCRAPES.remove_label_values(&values.each_ref().map(String::as_str));
}

fn label_values(key: &Key, autoscaler: &PodAutoscaler) -> [String; 4] {
    let label = |name: &str| {
        let labels = autoscaler.metadata.labels.as_ref();
        labels
            .and_then(|labels| labels.get(name))
            .cloned()
            .unwrap_or_default()
    };
    [
        key.namespace.clone(),
        label(labels::SERVICE),
        label(labels::CONFIGURATION),
        key.name.clone(),
    ]
}

/// What there is of every revision.
#[derive(Clone)]
struct Gauges {
    registry: Arc<Registry>,
    pods: Pods,
    autoscalers: Cache<PodAutoscaler>,
    desired: GaugeVec,
    requested: GaugeVec,
    count: GaugeVec,
    not_ready: GaugeVec,
    pending: GaugeVec,
    terminating: GaugeVec,
    excess: GaugeVec,
    panic: GaugeVec,
    concurrency: Loads,
    rps: Loads,
}

/// The gauges of one sort of load; a revision that is scaled by the other sort has none of them.
#[derive(Clone)]
struct Loads {
    stable: GaugeVec,
    panic: GaugeVec,
    target: GaugeVec,
}

impl Loads {
    fn new(name: &str, what: &str) -> prometheus::Result<Self> {
        Ok(Self {
            stable: gauge(
                &format!("{name}_stable"),
                &format!("Average {what} over the stable window."),
            )?,
            panic: gauge(
                &format!("{name}_panic"),
                &format!("Average {what} over the panic window."),
            )?,
            target: gauge(&format!("{name}_target"), &format!("Wanted {what} per pod."))?,
        })
    }

    fn set(&self, labels: &[&str], reading: &Reading) {
        self.target.with_label_values(labels).set(reading.target);
        if let Some(load) = reading.load {
            self.stable.with_label_values(labels).set(load.stable);
            self.panic.with_label_values(labels).set(load.panic);
        }
    }
}

fn gauge(name: &str, help: &str) -> prometheus::Result<GaugeVec> {
    GaugeVec::new(Opts::new(format!("kn_revision_{name}"), help), &LABELS)
}

impl Gauges {
    fn new(
        registry: &Arc<Registry>,
        pods: &Pods,
        autoscalers: &Cache<PodAutoscaler>,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            registry: registry.clone(),
            pods: pods.clone(),
            autoscalers: autoscalers.clone(),
            desired: gauge("pods_desired", "Pods that the load asks for.")?,
            requested: gauge(
                "pods_requested",
                "Pods asked of Kubernetes, within the bounds of the revision.",
            )?,
            count: gauge("pods_count", "Pods that are ready.")?,
            not_ready: gauge("pods_not_ready_count", "Pods that run but are not ready.")?,
            pending: gauge("pods_pending_count", "Pods that do not run yet.")?,
            terminating: gauge("pods_terminating_count", "Pods on their way out.")?,
            excess: gauge(
                "capacity_excess",
                "Room for bursts above the target; below zero the activator is in the path.",
            )?,
            panic: gauge("panic_mode", "1 while the revision follows the panic window.")?,
            concurrency: Loads::new("concurrency", "requests at once")?,
            rps: Loads::new("rps", "requests per second")?,
        })
    }

    fn families(&self) -> [&GaugeVec; 14] {
        [
            &self.desired,
            &self.requested,
            &self.count,
            &self.not_ready,
            &self.pending,
            &self.terminating,
            &self.excess,
            &self.panic,
            &self.concurrency.stable,
            &self.concurrency.panic,
            &self.concurrency.target,
            &self.rps.stable,
            &self.rps.panic,
            &self.rps.target,
        ]
    }

    fn set(&self, reading: &Reading) {
        let Some(autoscaler) = self.autoscalers.get(&reading.key) else {
            return;
        };
        let values = label_values(&reading.key, &autoscaler);
        let labels = values.each_ref().map(String::as_str);
        let set = |family: &GaugeVec, value: i32| family.with_label_values(&labels).set(f64::from(value));
        set(&self.desired, reading.desired);
        let requested = autoscaler.status.as_ref().and_then(|status| status.desired_scale);
        set(&self.requested, requested.unwrap_or(reading.desired));
        let counts = self.pods.counts(&reading.key);
        set(&self.count, counts.ready);
        set(&self.not_ready, counts.not_ready);
        set(&self.pending, counts.pending);
        set(&self.terminating, counts.terminating);
        set(&self.excess, reading.excess_burst_capacity);
        set(&self.panic, i32::from(reading.panicking));
        match reading.metric {
            LoadMetric::Concurrency => self.concurrency.set(&labels, reading),
            LoadMetric::RequestsPerSecond => self.rps.set(&labels, reading),
        }
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        self.families().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.families().into_iter().for_each(GaugeVec::reset);
        self.registry
            .readings()
            .iter()
            .for_each(|reading| self.set(reading));
        let families = self.families().into_iter().flat_map(Collector::collect);
        families
            .filter(|family| !family.get_metric().is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use reconciler::Caches;
    use serde_json::json;

    use super::*;
    use crate::registry::tests::{plan, stat};

    fn text(gauges: &Gauges) -> String {
        prometheus::TextEncoder::new()
            .encode_to_string(&gauges.collect())
            .unwrap()
    }

    #[tokio::test]
    async fn a_revision_has_every_gauge_of_the_contract() {
        let (mock, _handle) =
            tower_test::mock::pair::<http::Request<kube::client::Body>, http::Response<kube::client::Body>>();
        let caches = Caches::new(kube::Client::new(mock, "default"));
        let (registry, pods, autoscalers) =
            (Arc::new(Registry::default()), Pods::new(&caches), Cache::empty());
        let autoscaler: PodAutoscaler = serde_json::from_value(json!({
            "metadata": {"namespace": "ns", "name": "app-00001", "uid": "u", "resourceVersion": "1", "labels": {
                "serving.knative.dev/service": "app", "serving.knative.dev/configuration": "app",
            }},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "protocolType": "http1"},
            "status": {"desiredScale": 3},
        }))
        .unwrap();
        autoscalers.record(autoscaler.clone());
        let (key, now) = (Key::new("ns", "app-00001"), Instant::now());
        registry.measure(&key, 60, 6);
        registry.plan(&key, plan(true), 0, now);
        registry.record(&key, 1, &stat(25.0));
        registry.decide(&key, 1, 1, now);
        let gauges = Gauges::new(&registry, &pods, &autoscalers).unwrap();
        let labels = r#"{k8s_namespace_name="ns",kn_configuration_name="app",kn_revision_name="app-00001",kn_service_name="app"}"#;
        let text = text(&gauges);
        for (name, value) in [
            ("pods_desired", "3"),
            ("pods_requested", "3"),
            ("pods_count", "0"),
            ("pods_not_ready_count", "0"),
            ("pods_pending_count", "0"),
            ("pods_terminating_count", "0"),
            ("capacity_excess", "0"),
            ("panic_mode", "1"),
            ("concurrency_stable", "25"),
            ("concurrency_panic", "25"),
            ("concurrency_target", "10"),
        ] {
            let line = format!("kn_revision_{name}{labels} {value}\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(
            !text.contains("kn_revision_rps"),
            "it is not scaled by requests per second"
        );

        scraped(&autoscalers, &key, Duration::from_millis(20));
        let one = SCRAPES.with_label_values(&["ns", "app", "app", "app-00001"]);
        assert_eq!(one.get_sample_count(), 1);
        forget(&key, &autoscaler);
        let anew = SCRAPES.with_label_values(&["ns", "app", "app", "app-00001"]);
        assert_eq!(anew.get_sample_count(), 0);
    }
}
