//! The flags of the autoscaler, as annotations of the template.

use serde_json::Value;

use super::metadata::annotate_template;
use crate::error::CliError;
use crate::flags::metadata::TemplateMetadataArgs;
use crate::flags::scale::ScaleArgs;

const PREFIX: &str = "autoscaling.knative.dev/";
/// Bounds of `--scale-window` in seconds; the server has the same.
const WINDOW: std::ops::RangeInclusive<i64> = 6..=3600;

/// Applies the scale flags; the same key as an annotation in `other` is a contradiction.
pub fn apply(service: &mut Value, flags: &ScaleArgs, other: &TemplateMetadataArgs) -> Result<(), CliError> {
    let set = annotations(flags)?;
    for (key, value) in set {
        let key = format!("{PREFIX}{key}");
        let twin = format!("{key}=");
        if let Some(other) = other
            .annotation
            .iter()
            .chain(&other.annotation_revision)
            .find(|given| given.starts_with(&twin))
        {
            return Err(CliError::usage(format!(
                "only one of the scale flag for {key} and --annotation {other} can be given"
            )));
        }
        annotate_template(service, &key, &value);
    }
    check_bounds(service)
}

/// Messages about flags that have got another name.
pub fn deprecations(flags: &ScaleArgs) -> Vec<String> {
    [
        (
            "autoscale-window",
            "scale-window",
            flags.autoscale_window.is_some(),
        ),
        (
            "concurrency-target",
            "scale-target",
            flags.concurrency_target.is_some(),
        ),
        (
            "concurrency-utilization",
            "scale-utilization",
            flags.concurrency_utilization.is_some(),
        ),
    ]
    .into_iter()
    .filter(|(_, _, given)| *given)
    .map(|(old, new, _)| format!("Flag --{old} has been deprecated, use --{new} instead."))
    .collect()
}

/// The annotations that the flags mean.
fn annotations(flags: &ScaleArgs) -> Result<Vec<(&'static str, String)>, CliError> {
    let (mut min, mut max) = (flags.scale_min, flags.scale_max);
    if let Some(scale) = &flags.scale {
        for (flag, given) in [("scale-min", min), ("scale-max", max)] {
            if given.is_some() {
                return Err(CliError::usage(format!(
                    "only --scale or --{flag} can be specified"
                )));
            }
        }
        (min, max) = range(scale)?;
    }
    let mut set: Vec<(&str, String)> = Vec::new();
    for (flag, key, value, least) in [
        ("scale-min", "min-scale", min, 0),
        ("scale-max", "max-scale", max, 0),
        ("scale-init", "initial-scale", flags.scale_init, 0),
        ("scale-activation", "activation-scale", flags.scale_activation, 2),
    ] {
        let Some(value) = value else { continue };
        if value < least || value > i64::from(i32::MAX) {
            return Err(CliError::usage(format!(
                "--{flag} {value} is out of range: expected {least} <= {value} <= {}",
                i32::MAX
            )));
        }
        set.push((key, value.to_string()));
    }
    if let Some(target) = flags.scale_target.or(flags.concurrency_target) {
        if !target.is_finite() || target < 0.01 {
            return Err(CliError::usage(format!(
                "--scale-target {target}: should be at least 0.01"
            )));
        }
        set.push(("target", target.to_string()));
    }
    if let Some(metric) = &flags.scale_metric {
        set.push(("metric", metric.clone()));
    }
    if let Some(percent) = flags.scale_utilization.or(flags.concurrency_utilization) {
        if !(1..=100).contains(&percent) {
            return Err(CliError::usage(format!(
                "--scale-utilization {percent} is out of range: expected 1 <= {percent} <= 100"
            )));
        }
        set.push(("target-utilization-percentage", percent.to_string()));
    }
    if let Some(window) = flags.scale_window.as_ref().or(flags.autoscale_window.as_ref()) {
        let seconds = formats::duration::parse(window)
            .ok()
            .filter(|duration| duration.subsec_nanos() == 0)
            .map(|duration| duration.as_secs());
        if !seconds.is_some_and(|seconds| WINDOW.contains(&seconds)) {
            return Err(CliError::usage(format!(
                "--scale-window {window}: expected whole seconds from 6s to 1h, such as 60s or 5m"
            )));
        }
        set.push(("window", window.clone()));
    }
    Ok(set)
}

/// Minimum over maximum is refused before anything is sent; also when one of them was there before.
fn check_bounds(service: &Value) -> Result<(), CliError> {
    let bound = |key: &str| {
        service["spec"]["template"]["metadata"]["annotations"][format!("{PREFIX}{key}").as_str()]
            .as_str()
            .and_then(|text| text.parse::<i64>().ok())
    };
    match (bound("min-scale"), bound("max-scale")) {
        (Some(min), Some(max)) if max != 0 && min > max => Err(CliError::usage(format!(
            "the fewest instances ({min}) would be more than the most ({max})"
        ))
        .with_hint("change both: --scale MIN..MAX")),
        _ => Ok(()),
    }
}

/// `5`, `1..5`, `1..` and `..5`.
fn range(text: &str) -> Result<(Option<i64>, Option<i64>), CliError> {
    let wrong = || {
        CliError::usage(format!(
            "--scale \"{text}\": expected the form x..y or x, with whole numbers"
        ))
    };
    let number = |text: &str| -> Result<Option<i64>, CliError> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| wrong())
    };
    match text.split_once("..") {
        None => {
            let both = number(text)?.ok_or_else(wrong)?;
            Ok((Some(both), Some(both)))
        }
        Some((min, max)) => match (number(min)?, number(max)?) {
            (None, None) => Err(wrong()),
            bounds => Ok(bounds),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ranges() {
        let table = [
            ("5", (Some(5), Some(5))),
            ("1..5", (Some(1), Some(5))),
            ("1..", (Some(1), None)),
            ("..5", (None, Some(5))),
        ];
        for (text, expected) in table {
            assert_eq!(range(text).unwrap(), expected, "{text}");
        }
        for wrong in ["", "..", "1..2..9", "a", "1..b", "1.5"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_become_annotations_or_are_refused() {
        let mut service = json!({});
        let flags = ScaleArgs {
            scale: Some("1..".into()),
            scale_target: Some(50.0),
            scale_window: Some("1m".into()),
            ..ScaleArgs::default()
        };
        apply(&mut service, &flags, &TemplateMetadataArgs::default()).unwrap();
        assert_eq!(
            service["spec"]["template"]["metadata"]["annotations"],
            json!({ "autoscaling.knative.dev/min-scale": "1", "autoscaling.knative.dev/target": "50",
                    "autoscaling.knative.dev/window": "1m" })
        );
        let refused = |change: fn(&mut ScaleArgs)| {
            let mut flags = ScaleArgs::default();
            change(&mut flags);
            apply(&mut service.clone(), &flags, &TemplateMetadataArgs::default())
                .unwrap_err()
                .message
        };
        assert!(refused(|flags| flags.scale_activation = Some(1)).contains("out of range"));
        assert!(refused(|flags| flags.scale = Some("-1".into())).contains("out of range"));
        assert!(refused(|flags| flags.scale_target = Some(0.001)).contains("should be at least 0.01"));
        assert!(refused(|flags| flags.scale_window = Some("2s".into())).contains("6s"));
        assert!(refused(|flags| flags.scale_utilization = Some(101)).contains("100"));
        assert!(
            refused(|flags| (flags.scale, flags.scale_max) = (Some("5".into()), Some(2)))
                .contains("only --scale or --scale-max")
        );
        assert!(
            refused(|flags| (flags.scale_min, flags.scale_max) = (Some(3), Some(2)))
                .contains("more than the most")
        );
    }

    #[test]
    fn old_names_still_work_and_say_so() {
        let flags = ScaleArgs {
            concurrency_target: Some(10.0),
            autoscale_window: Some("60s".into()),
            ..ScaleArgs::default()
        };
        let expected = [("target", "10".to_owned()), ("window", "60s".to_owned())];
        assert_eq!(annotations(&flags).unwrap(), expected);
        assert_eq!(deprecations(&flags).len(), 2);
        assert!(deprecations(&ScaleArgs::default()).is_empty());
    }

    #[test]
    fn an_annotation_of_the_same_key_contradicts() {
        let flags = ScaleArgs {
            scale_init: Some(2),
            ..ScaleArgs::default()
        };
        let other = TemplateMetadataArgs {
            annotation: vec!["autoscaling.knative.dev/initial-scale=1".into()],
            ..TemplateMetadataArgs::default()
        };
        assert!(
            apply(&mut json!({}), &flags, &other)
                .unwrap_err()
                .message
                .contains("only one of")
        );
    }
}
