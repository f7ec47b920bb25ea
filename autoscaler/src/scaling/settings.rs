//! The settings of one revision: its annotations over the cluster's defaults.
//!
//! Admission has checked the annotations; what is not readable all the same counts as absent.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use crds::annotations as keys;
use crds::autoscaling::{PodAutoscaler, Reachability};
use crds::config::Autoscaler;

use super::decide::{BurstCapacity, Settings};
use crate::metrics::collection::LoadMetric;
use crate::metrics::window::Aggregation;
use crate::registry::Plan;

/// Shortest panic window: one bucket.
const LEAST_PANIC_WINDOW: Duration = Duration::from_secs(1);

/// Everything the reconciler of a PodAutoscaler needs to know of its annotations.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    pub plan: Plan,
    pub panic_window: Duration,
    /// Fewest pods, not counting the initial scale.
    pub min_scale: i32,
    /// Most pods; `None` is unlimited.
    pub max_scale: Option<i32>,
    pub initial_scale: i32,
    /// How long the last pod stays after the load has gone.
    pub retention: Duration,
    /// How long an activation may take before it is given up.
    pub progress_deadline: Duration,
}

impl Scaling {
    /// Reads the annotations of `pa` over `config`.
    pub fn of(pa: &PodAutoscaler, config: &Autoscaler, progress_deadline: Duration) -> Self {
        let none = BTreeMap::new();
        let annotations = Annotations(pa.metadata.annotations.as_ref().unwrap_or(&none));
        let reachable = pa.spec.reachability != Reachability::Unreachable;
        let metric = match annotations.text(&[keys::METRIC]) {
            Some(keys::METRIC_RPS) => LoadMetric::RequestsPerSecond,
            _ => LoadMetric::Concurrency,
        };
        let initial_scale = annotations
            .parse::<i32>(keys::INITIAL_SCALE_KEYS)
            .filter(|scale| *scale > 0 || config.allow_zero_initial_scale)
            .unwrap_or(config.initial_scale);
        let stable_window = annotations
            .duration(&[keys::WINDOW])
            .unwrap_or(config.stable_window);
        let panic_share = annotations
            .parse(keys::PANIC_WINDOW_PERCENTAGE_KEYS)
            .unwrap_or(config.panic_window_percentage);
        let burst_capacity = annotations
            .parse(keys::TARGET_BURST_CAPACITY_KEYS)
            .unwrap_or(config.target_burst_capacity);
        let aggregation = match annotations.text(keys::METRIC_AGGREGATION_ALGORITHM_KEYS) {
            Some("weighted-exponential" | "weightedExponential") => Aggregation::WeightedExponential,
            _ => Aggregation::Linear,
        };
        let settings = Settings {
            total: total(pa, &annotations, metric, config),
            utilization: annotations
                .parse::<f64>(keys::TARGET_UTILIZATION_PERCENTAGE_KEYS)
                .map_or(config.container_concurrency_target_fraction, |percent| {
                    percent / 100.0
                }),
            burst_capacity: if burst_capacity < 0.0 {
                BurstCapacity::Unlimited
            } else if burst_capacity == 0.0 {
                BurstCapacity::None
            } else {
                BurstCapacity::Requests(burst_capacity)
            },
            panic_threshold: annotations
                .parse(keys::PANIC_THRESHOLD_PERCENTAGE_KEYS)
                .unwrap_or(config.panic_threshold_percentage)
                / 100.0,
            max_scale_up_rate: config.max_scale_up_rate,
            max_scale_down_rate: config.max_scale_down_rate,
            activation_scale: annotations.parse(&[keys::ACTIVATION_SCALE]).unwrap_or(1),
            stable_window,
            scale_down_delay: annotations
                .duration(keys::SCALE_DOWN_DELAY_KEYS)
                .unwrap_or(config.scale_down_delay),
            initial_scale,
            reachable,
        };
        let scraped = settings.burst_capacity != BurstCapacity::Unlimited;
        let retention = annotations
            .duration(keys::SCALE_TO_ZERO_POD_RETENTION_PERIOD_KEYS)
            .unwrap_or(config.scale_to_zero_pod_retention_period);
        let max_scale = annotations
            .parse(keys::MAX_SCALE_KEYS)
            .unwrap_or(config.max_scale);
        Self {
            plan: Plan {
                settings,
                metric,
                aggregation,
                scraped,
            },
            panic_window: panic_window(stable_window, panic_share),
            min_scale: annotations
                .parse(keys::MIN_SCALE_KEYS)
                .unwrap_or(config.min_scale),
            max_scale: (max_scale > 0).then_some(max_scale),
            initial_scale,
            retention: if reachable { retention } else { Duration::ZERO },
            progress_deadline: annotations
                .duration(&[keys::PROGRESS_DEADLINE])
                .unwrap_or(progress_deadline),
        }
    }
}

/// Load per pod at full use. A concurrency target cannot exceed the limit that queue-proxy enforces.
fn total(pa: &PodAutoscaler, annotations: &Annotations<'_>, metric: LoadMetric, config: &Autoscaler) -> f64 {
    let target: Option<f64> = annotations.parse(&[keys::TARGET]);
    match metric {
        LoadMetric::RequestsPerSecond => target.unwrap_or(config.rps_target_default),
        LoadMetric::Concurrency => match pa.spec.container_concurrency.filter(|limit| *limit > 0) {
            Some(limit) => target.map_or(limit as f64, |target| target.min(limit as f64)),
            None => target.unwrap_or(config.container_concurrency_target_default),
        },
    }
}

/// A share of the stable window, to the second, at least one.
fn panic_window(stable: Duration, percent: f64) -> Duration {
    let seconds = (stable.as_secs_f64() * percent / 100.0).round();
    Duration::try_from_secs_f64(seconds)
        .unwrap_or(LEAST_PANIC_WINDOW)
        .max(LEAST_PANIC_WINDOW)
}

struct Annotations<'a>(&'a BTreeMap<String, String>);

impl<'a> Annotations<'a> {
    fn text(&self, names: &[&'static str]) -> Option<&'a str> {
        keys::first(self.0, names).map(|(_, value)| value)
    }

    fn parse<T: FromStr>(&self, names: &[&'static str]) -> Option<T> {
        self.text(names)?.parse().ok()
    }

    fn duration(&self, names: &[&'static str]) -> Option<Duration> {
        let parsed = formats::duration::parse(self.text(names)?).ok()?;
        Duration::try_from(parsed).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scaling(limit: i64, annotations: &[(&str, &str)]) -> Scaling {
        let annotations: BTreeMap<String, String> = annotations
            .iter()
            .map(|(k, v)| (format!("autoscaling.knative.dev/{k}"), (*v).to_owned()))
            .collect();
        let pa: PodAutoscaler = serde_json::from_value(json!({
            "apiVersion": "autoscaling.internal.knative.dev/v1alpha1", "kind": "PodAutoscaler",
            "metadata": { "name": "rev", "annotations": annotations },
            "spec": { "containerConcurrency": limit, "protocolType": "http1", "scaleTargetRef": {} },
        }))
        .unwrap();
        Scaling::of(&pa, &Autoscaler::default(), Duration::from_secs(600))
    }

    /// Name, container concurrency, annotations, and the expected target.
    type Case = (&'static str, i64, &'static [(&'static str, &'static str)], f64);

    #[test]
    fn targets() {
        let cases: &[Case] = &[
            ("default", 0, &[], 70.0),
            ("limit", 10, &[], 7.0),
            ("target below the limit", 10, &[("target", "5")], 3.5),
            ("target above the limit", 10, &[("target", "50")], 7.0),
            ("target without limit", 0, &[("target", "200")], 140.0),
            (
                "utilisation",
                10,
                &[("target-utilization-percentage", "100")],
                10.0,
            ),
            (
                "older spelling",
                10,
                &[("targetUtilizationPercentage", "50")],
                5.0,
            ),
            ("requests per second", 10, &[("metric", "rps")], 140.0),
            ("unreadable", 0, &[("target", "many")], 70.0),
        ];
        for (name, limit, annotations, expected) in cases {
            let target = scaling(*limit, annotations).plan.settings.target();
            assert!((target - expected).abs() < 1e-9, "{name}: {target}");
        }
    }

    #[test]
    fn windows_and_bounds() {
        let defaults = scaling(0, &[]);
        assert_eq!(defaults.panic_window, Duration::from_secs(6));
        assert_eq!(
            (defaults.min_scale, defaults.max_scale, defaults.initial_scale),
            (0, None, 1)
        );
        assert!(defaults.plan.scraped);
        let changed = scaling(
            0,
            &[
                ("window", "6s"),
                ("min-scale", "2"),
                ("max-scale", "7"),
                ("initial-scale", "0"),
                ("target-burst-capacity", "-1"),
                ("scale-down-delay", "1m"),
                ("activation-scale", "3"),
            ],
        );
        assert_eq!(changed.panic_window, Duration::from_secs(1));
        assert_eq!((changed.min_scale, changed.max_scale), (2, Some(7)));
        assert_eq!(changed.initial_scale, 1, "the cluster does not allow zero");
        assert!(
            !changed.plan.scraped,
            "with the activator always in the path nobody else needs to report"
        );
        assert_eq!(changed.plan.settings.scale_down_delay, Duration::from_secs(60));
        assert_eq!(changed.plan.settings.activation_scale, 3);
    }
}
