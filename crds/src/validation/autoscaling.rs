//! The annotations that steer the autoscaler.

use std::time::Duration;

use serde_json::Value;

use super::metadata::annotation;
use super::{FieldError, FieldErrors};
use crate::annotations as key;
use crate::config::{Autoscaler, SCALE_WINDOW_MAX, SCALE_WINDOW_MIN, TARGET_MIN};

/// Checks the autoscaling annotations of `meta`; the paths begin below `annotations`.
pub(super) fn annotations(meta: &Value, config: &Autoscaler) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.also(class(meta));
    errors.also(scales(meta, config));
    errors.also(initial_scale(meta, config));
    errors.also(numbers(meta));
    errors.also(durations(meta));
    errors.also(metric(meta));
    errors.also(algorithm(meta));
    errors
}

fn class(meta: &Value) -> Option<FieldError> {
    let (key, class) = annotation(meta, &[key::CLASS])?;
    let ours = class.ends_with(".autoscaling.knative.dev");
    (ours && class != key::CLASS_KPA && class != key::CLASS_HPA).then(|| FieldError::invalid(class, key))
}

fn class_of(meta: &Value) -> &str {
    annotation(meta, &[key::CLASS]).map_or(key::CLASS_KPA, |(_, class)| class)
}

fn scales(meta: &Value, config: &Autoscaler) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let mut read = |keys: &[&'static str]| match annotation(meta, keys).map(|(key, value)| scale(key, value))
    {
        Some(Ok(scale)) => Some(scale),
        Some(Err(error)) => {
            errors.also(error);
            None
        }
        None => None,
    };
    let (min, max) = (read(key::MIN_SCALE_KEYS), read(key::MAX_SCALE_KEYS));
    let activation = read(&[key::ACTIVATION_SCALE]);
    let lowest = min.unwrap_or(0);
    if let Some(max) = max {
        if max != 0 && max < lowest {
            errors.also(FieldError {
                message: format!("max-scale={max} is less than min-scale={lowest}"),
                paths: vec![key::MAX_SCALE.to_owned(), key::MIN_SCALE.to_owned()],
                ..FieldError::default()
            });
        }
        errors.also(within_limit(meta, max, i64::from(config.max_scale_limit)));
    }
    if let Some(scale) = activation {
        errors.also(activation_scale(scale, lowest, max.unwrap_or(0)));
    }
    errors
}

fn scale(key: &str, value: &str) -> Result<i64, FieldError> {
    let highest = i64::from(i32::MAX);
    // Too many digits are a number that is too large, not something that is no number.
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(FieldError::invalid(value, key));
    }
    match value.parse::<i64>() {
        Ok(scale) if (0..=highest).contains(&scale) => Ok(scale),
        _ => Err(FieldError::out_of_bounds(value, 0, highest, key)),
    }
}

fn within_limit(meta: &Value, max: i64, limit: i64) -> Option<FieldError> {
    let key = annotation(meta, key::MAX_SCALE_KEYS).map_or(key::MAX_SCALE, |(key, _)| key);
    match (limit, max) {
        (0, _) => None,
        (_, 0) => Some(FieldError::new(
            format!("max-scale=0 (unlimited), must be less than {limit}"),
            key,
        )),
        _ => (max > limit).then(|| FieldError::out_of_bounds(max, 1, limit, key)),
    }
}

fn activation_scale(scale: i64, min: i64, max: i64) -> FieldErrors {
    let key = key::ACTIVATION_SCALE;
    let mut errors = FieldErrors::default();
    if scale < 2 {
        errors.also(FieldError::out_of_bounds(scale, 2, i32::MAX, key));
    }
    if scale < min {
        errors.also(FieldError::new(
            format!("activation-scale={scale} is less than min-scale={min}"),
            key,
        ));
    }
    if max > 0 && scale > max {
        errors.also(FieldError::new(
            format!("activation-scale={scale} is greater than max-scale={max}"),
            key,
        ));
    }
    errors
}

fn initial_scale(meta: &Value, config: &Autoscaler) -> Option<FieldError> {
    let (key, value) = annotation(meta, key::INITIAL_SCALE_KEYS)?;
    match value.parse::<i32>() {
        Ok(0) if !config.allow_zero_initial_scale => Some(FieldError::invalid(
            value,
            &format!("{key}=0 not allowed by cluster"),
        )),
        Ok(scale) if scale >= 0 => None,
        _ => Some(FieldError::invalid(value, key)),
    }
}

fn numbers(meta: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (keys, lowest, highest) in [
        (key::PANIC_WINDOW_PERCENTAGE_KEYS, 1.0, 100.0),
        (key::PANIC_THRESHOLD_PERCENTAGE_KEYS, 110.0, 1000.0),
        (key::TARGET_UTILIZATION_PERCENTAGE_KEYS, 1.0, 100.0),
    ] {
        if let Some((key, value)) = annotation(meta, keys) {
            match value.parse::<f64>() {
                Ok(number) if (lowest..=highest).contains(&number) => {}
                Ok(_) => errors.also(FieldError::out_of_bounds(value, lowest, highest, key)),
                Err(_) => errors.also(FieldError::invalid(value, key)),
            }
        }
    }
    if let Some((key, value)) = annotation(meta, &[key::TARGET]) {
        match value.parse::<f64>() {
            Ok(target) if target >= TARGET_MIN => {}
            Ok(_) => errors.also(FieldError::new(
                format!("target {value} should be at least {TARGET_MIN}"),
                key,
            )),
            Err(_) => errors.also(FieldError::invalid(value, key)),
        }
    }
    if let Some((key, value)) = annotation(meta, key::TARGET_BURST_CAPACITY_KEYS) {
        let valid = value
            .parse::<f64>()
            .is_ok_and(|burst| burst >= 0.0 || burst == -1.0);
        if !valid {
            errors.also(FieldError::invalid(value, key));
        }
    }
    errors
}

fn durations(meta: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (keys, lowest, whole_seconds) in [
        (&[key::WINDOW][..], SCALE_WINDOW_MIN, true),
        (key::SCALE_DOWN_DELAY_KEYS, Duration::ZERO, true),
        (
            key::SCALE_TO_ZERO_POD_RETENTION_PERIOD_KEYS,
            Duration::ZERO,
            false,
        ),
    ] {
        if let Some((key, value)) = annotation(meta, keys) {
            errors.also(duration(key, value, lowest, whole_seconds));
        }
    }
    errors
}

fn duration(key: &str, value: &str, lowest: Duration, whole_seconds: bool) -> Option<FieldError> {
    let Ok(signed) = formats::duration::parse(value) else {
        return Some(FieldError::invalid(value, key));
    };
    let shown = |bound: Duration| crate::config::show(bound);
    match Duration::try_from(signed) {
        Ok(duration) if (lowest..=SCALE_WINDOW_MAX).contains(&duration) => (whole_seconds
            && duration.subsec_nanos() != 0)
            .then(|| FieldError::new("must be specified with at most second precision", key)),
        _ => Some(FieldError::out_of_bounds(
            value,
            shown(lowest),
            shown(SCALE_WINDOW_MAX),
            key,
        )),
    }
}

fn metric(meta: &Value) -> Option<FieldError> {
    // An empty metric is one that is given and wrong, so it must not be taken for an absent one.
    let metric = meta
        .get("annotations")
        .and_then(|annotations| annotations.get(key::METRIC))
        .and_then(Value::as_str)?;
    let known = match class_of(meta) {
        key::CLASS_KPA => matches!(metric, key::METRIC_CONCURRENCY | key::METRIC_RPS),
        key::CLASS_HPA => !metric.is_empty(),
        _ => true,
    };
    (!known).then(|| FieldError::invalid(metric, key::METRIC))
}

fn algorithm(meta: &Value) -> Option<FieldError> {
    let (key, algorithm) = annotation(meta, key::METRIC_AGGREGATION_ALGORITHM_KEYS)?;
    let known = matches!(
        algorithm,
        "linear" | "weighted-exponential" | "weightedExponential"
    );
    (class_of(meta) == key::CLASS_KPA && !known).then(|| FieldError::invalid(algorithm, key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(pairs: &[(&str, &str)], config: &Autoscaler) -> String {
        let annotations: serde_json::Map<String, Value> = pairs
            .iter()
            .map(|(key, value)| (format!("autoscaling.knative.dev/{key}"), json!(value)))
            .collect();
        super::annotations(&json!({"annotations": annotations}), config).to_string()
    }

    #[test]
    fn what_is_allowed_passes() {
        for pairs in [
            &[("class", "kpa.autoscaling.knative.dev"), ("metric", "rps")][..],
            &[
                ("class", "hpa.autoscaling.knative.dev"),
                ("metric", "queue-length"),
            ],
            &[("class", "keda.example.com"), ("metric", "anything")],
            &[("min-scale", "1"), ("max-scale", "0")],
            &[("minScale", "1"), ("maxScale", "2147483647")],
            &[
                ("target", "0.01"),
                ("target-utilization-percentage", "100"),
                ("target-burst-capacity", "-1"),
            ],
            &[
                ("window", "6s"),
                ("scale-down-delay", "1h"),
                ("scale-to-zero-pod-retention-period", "1500ms"),
            ],
            &[("activation-scale", "2"), ("max-scale", "2")],
            &[("metric-aggregation-algorithm", "weightedExponential")],
            &[
                ("panic-window-percentage", "1"),
                ("panic-threshold-percentage", "1000"),
            ],
            &[("initial-scale", "3")],
        ] {
            assert_eq!(check(pairs, &Autoscaler::default()), "", "{pairs:?}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_told() {
        let a = "autoscaling.knative.dev";
        for (pairs, text) in [
            (
                &[("class", "x.autoscaling.knative.dev")][..],
                format!("invalid value: x.autoscaling.knative.dev: {a}/class"),
            ),
            (&[("metric", "cpu")], format!("invalid value: cpu: {a}/metric")),
            (
                &[("class", "hpa.autoscaling.knative.dev"), ("metric", "")],
                format!("invalid value: : {a}/metric"),
            ),
            (
                &[("target", "0")],
                format!("target 0 should be at least 0.01: {a}/target"),
            ),
            (
                &[("target-utilization-percentage", "101")],
                format!("expected 1 <= 101 <= 100: {a}/target-utilization-percentage"),
            ),
            (
                &[("target-burst-capacity", "-2")],
                format!("invalid value: -2: {a}/target-burst-capacity"),
            ),
            (
                &[("min-scale", "-1")],
                format!("expected 0 <= -1 <= 2147483647: {a}/min-scale"),
            ),
            (
                &[("min-scale", "99999999999999999999")],
                format!("expected 0 <= 99999999999999999999 <= 2147483647: {a}/min-scale"),
            ),
            (
                &[("max-scale", "1.5")],
                format!("invalid value: 1.5: {a}/max-scale"),
            ),
            (
                &[("min-scale", "2"), ("max-scale", "1")],
                format!("max-scale=1 is less than min-scale=2: {a}/max-scale, {a}/min-scale"),
            ),
            (
                &[("initial-scale", "0")],
                format!("invalid value: 0: {a}/initial-scale=0 not allowed by cluster"),
            ),
            (
                &[("initial-scale", "-1")],
                format!("invalid value: -1: {a}/initial-scale"),
            ),
            (
                &[("activation-scale", "1")],
                format!("expected 2 <= 1 <= 2147483647: {a}/activation-scale"),
            ),
            (
                &[("window", "5s")],
                format!("expected 6s <= 5s <= 1h0m0s: {a}/window"),
            ),
            (
                &[("window", "6500ms")],
                format!("must be specified with at most second precision: {a}/window"),
            ),
            (&[("window", "soon")], format!("invalid value: soon: {a}/window")),
            (
                &[("scale-down-delay", "-1s")],
                format!("expected 0s <= -1s <= 1h0m0s: {a}/scale-down-delay"),
            ),
            (
                &[("scale-to-zero-pod-retention-period", "2h")],
                format!("expected 0s <= 2h <= 1h0m0s: {a}/scale-to-zero-pod-retention-period"),
            ),
            (
                &[("metric-aggregation-algorithm", "median")],
                format!("invalid value: median: {a}/metric-aggregation-algorithm"),
            ),
            (
                &[("panic-window-percentage", "0.5"), ("target", "x")],
                format!(
                    "expected 1 <= 0.5 <= 100: {a}/panic-window-percentage\ninvalid value: x: {a}/target"
                ),
            ),
        ] {
            assert_eq!(check(pairs, &Autoscaler::default()), text);
        }
    }

    #[test]
    fn an_install_may_limit_max_scale_and_allow_zero_initially() {
        let config = Autoscaler {
            max_scale_limit: 5,
            max_scale: 1,
            allow_zero_initial_scale: true,
            ..Autoscaler::default()
        };
        let key = "autoscaling.knative.dev/max-scale";
        assert_eq!(check(&[("initial-scale", "0"), ("max-scale", "5")], &config), "");
        assert_eq!(
            check(&[("max-scale", "6")], &config),
            format!("expected 1 <= 6 <= 5: {key}")
        );
        assert_eq!(
            check(&[("max-scale", "0")], &config),
            format!("max-scale=0 (unlimited), must be less than 5: {key}")
        );
    }
}
