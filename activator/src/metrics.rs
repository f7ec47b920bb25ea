//! The activator's metrics.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};
use proxy::metrics::SECONDS;

use crate::phases::Phases;
use crate::revision::RevisionKey;

/// Registered once per process.
#[derive(Debug)]
pub(crate) struct Metrics {
    concurrency: IntGaugeVec,
    queued: IntGaugeVec,
    active: IntGaugeVec,
    reachable: IntGauge,
    errors: IntCounter,
    held: Histogram,
    probed: Histogram,
    first_byte: Histogram,
}

impl Metrics {
    /// # Errors
    /// Metrics of the same names are registered already.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let per_revision = |name: &str, help: &str| {
            IntGaugeVec::new(Opts::new(name, help), &["k8s_namespace_name", "kn_revision_name"])
        };
        let seconds = |name: &str, help: &str| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))
        };
        let metrics = Self {
            concurrency: per_revision(
                "kn_revision_request_concurrency",
                "Requests that the activator has, waiting ones included",
            )?,
            queued: per_revision("kn_revision_request_queued", "Requests that wait for a pod")?,
            active: per_revision("kn_revision_request_active", "Requests that a pod works on")?,
            reachable: IntGauge::new(
                "kn_activator_stats_conn_reachable",
                "Whether the autoscaler can be reached",
            )?,
            errors: IntCounter::new(
                "kn_activator_stats_conn_errors_total",
                "Connections to the autoscaler that failed",
            )?,
            held: seconds(
                "spindrift_wake_held_seconds",
                "Time that requests waited for capacity",
            )?,
            probed: seconds(
                "spindrift_wake_probe_seconds",
                "Time from a request's arrival to the first successful probe",
            )?,
            first_byte: seconds(
                "spindrift_wake_first_byte_seconds",
                "Time to the first byte of requests that waited",
            )?,
        };
        registry.register(Box::new(metrics.concurrency.clone()))?;
        registry.register(Box::new(metrics.queued.clone()))?;
        registry.register(Box::new(metrics.active.clone()))?;
        registry.register(Box::new(metrics.reachable.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.held.clone()))?;
        registry.register(Box::new(metrics.probed.clone()))?;
        registry.register(Box::new(metrics.first_byte.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn autoscaler_reachable(&self, reachable: bool) {
        self.reachable.set(i64::from(reachable));
    }

    pub(crate) fn autoscaler_error(&self) {
        self.errors.inc();
    }

    /// Notes where the time of a request went, if it had to wait.
    pub(crate) fn wake(&self, phases: &Phases) {
        if !phases.held {
            return;
        }
        for (histogram, duration) in [
            (&self.held, phases.assigned),
            (&self.probed, phases.probed),
            (&self.first_byte, phases.first_byte),
        ] {
            if let Some(duration) = duration {
                histogram.observe(duration.as_secs_f64());
            }
        }
    }

    /// Shows a revision's load.
    pub(crate) fn load(&self, revision: &RevisionKey, concurrency: usize, queued: usize, active: usize) {
        let labels = [revision.namespace.as_str(), revision.name.as_str()];
        for (gauge, value) in [
            (&self.concurrency, concurrency),
            (&self.queued, queued),
            (&self.active, active),
        ] {
            gauge
                .with_label_values(&labels)
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// Forgets a revision: series of deleted objects would pile up.
    pub(crate) fn forget(&self, revision: &RevisionKey) {
        let labels = [revision.namespace.as_str(), revision.name.as_str()];
        for gauge in [&self.concurrency, &self.queued, &self.active] {
            // Absent when the revision never had a request.
            let _ = gauge.remove_label_values(&labels);
        }
    }
}
