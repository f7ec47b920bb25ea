//! Workloads that keep pods running (`pkg/apis/apps/validation`).

use cluster_machinery::FieldError;
use cluster_machinery::selector::LabelSelector;
use serde_json::{Value, json};

use super::metadata::{label_selector, labels};
use super::path::Path;
use super::pod;
use super::rule::{Errors, count_or_percent, immutable, not_negative, one_of};
use crate::json::{at, integer, is_empty, items, text};

/// Checks what all workloads of `apps` share. `kind` is the word for the workload in errors.
fn common<'a>(errors: &mut Errors, object: &'a Value, kind: &str) -> (&'a Value, Path) {
    let path = Path::new("spec");
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    for field in [
        "replicas",
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ] {
        not_negative(errors, spec, &path, field);
    }
    selector(errors, spec, &path, kind);
    let template = at(spec, &["template"]).unwrap_or(&Value::Null);
    let template_path = path.child("template");
    pod::template(errors, template, &template_path);
    always_restarting(errors, template, &template_path.child("spec"));
    (spec, path)
}

fn selector(errors: &mut Errors, spec: &Value, path: &Path, kind: &str) {
    let path_of = path.child("selector");
    let Some(selector) = spec.get("selector") else {
        errors.push(FieldError::required(path_of, ""));
        return;
    };
    label_selector(errors, selector, &path_of);
    if is_empty(selector.get("matchLabels")) && is_empty(selector.get("matchExpressions")) {
        errors.push(FieldError::invalid(
            path_of,
            selector,
            &format!("empty selector is invalid for {kind}"),
        ));
        return;
    }
    match LabelSelector::from_json(selector) {
        Ok(matcher) => {
            let nothing = json!({});
            let labels = at(spec, &["template", "metadata", "labels"]).unwrap_or(&nothing);
            if !matcher.matches(labels) {
                errors.push(FieldError::invalid(
                    path.child("template").child("metadata").child("labels"),
                    labels,
                    "`selector` does not match template `labels`",
                ));
            }
        }
        Err(_) => errors.push(FieldError::invalid(path_of, selector, "invalid label selector")),
    }
}

/// Pods of these workloads are replaced for ever, so they cannot end by themselves.
fn always_restarting(errors: &mut Errors, template: &Value, path: &Path) {
    let policy = text(template, &["spec", "restartPolicy"]);
    if matches!(policy, "OnFailure" | "Never") {
        errors.push(FieldError::not_supported(
            path.child("restartPolicy"),
            &json!(policy),
            &["Always"],
        ));
    }
    if at(template, &["spec", "activeDeadlineSeconds"]).is_some() {
        let problem = "activeDeadlineSeconds in ReplicaSet is not Supported";
        errors.push(FieldError::forbidden(
            path.child("activeDeadlineSeconds"),
            problem,
        ));
    }
}

pub(super) fn deployment(errors: &mut Errors, object: &Value) {
    let (spec, path) = common(errors, object, "deployment");
    if let Some(strategy) = spec.get("strategy") {
        let path = path.child("strategy");
        one_of(errors, strategy, &path, "type", &["Recreate", "RollingUpdate"]);
        match (text(strategy, &["type"]), strategy.get("rollingUpdate")) {
            ("Recreate", Some(_)) => errors.push(FieldError::forbidden(
                path.child("rollingUpdate"),
                "may not be specified when strategy `type` is 'Recreate'",
            )),
            (_, Some(rolling)) => rolling_update(errors, rolling, &path.child("rollingUpdate")),
            _ => {}
        }
    }
    let ready = integer(spec, &["minReadySeconds"]).unwrap_or_default();
    if let Some(deadline) = integer(spec, &["progressDeadlineSeconds"])
        && deadline <= ready
    {
        let path = path.child("progressDeadlineSeconds");
        errors.push(FieldError::invalid(
            path,
            &json!(deadline),
            "must be greater than minReadySeconds",
        ));
    }
}

fn rolling_update(errors: &mut Errors, rolling: &Value, path: &Path) {
    for field in ["maxUnavailable", "maxSurge"] {
        count_or_percent(errors, rolling, path, field);
    }
    let zero = |field: &str| matches!(rolling.get(field), Some(value) if *value == 0 || *value == "0%");
    if zero("maxUnavailable") && zero("maxSurge") {
        let value = rolling.get("maxUnavailable").unwrap_or(&Value::Null);
        let problem = "may not be 0 when `maxSurge` is 0";
        errors.push(FieldError::invalid(path.child("maxUnavailable"), value, problem));
    }
    at_most_all(errors, rolling, path);
}

fn at_most_all(errors: &mut Errors, rolling: &Value, path: &Path) {
    let percent = rolling
        .get("maxUnavailable")
        .and_then(Value::as_str)
        .and_then(|text| text.strip_suffix('%'));
    if let Some(percent) = percent
        && percent.parse::<u32>().is_ok_and(|percent| percent > 100)
    {
        let value = json!(format!("{percent}%"));
        errors.push(FieldError::invalid(
            path.child("maxUnavailable"),
            &value,
            "must not be greater than 100%",
        ));
    }
}

pub(super) fn replica_set(errors: &mut Errors, object: &Value) {
    // Upstream says "deployment" here too.
    common(errors, object, "deployment");
}

pub(super) fn daemon_set(errors: &mut Errors, object: &Value) {
    let (spec, path) = common(errors, object, "daemonset");
    if let Some(strategy) = spec.get("updateStrategy") {
        let path = path.child("updateStrategy");
        one_of(errors, strategy, &path, "type", &["RollingUpdate", "OnDelete"]);
        if let Some(rolling) = strategy.get("rollingUpdate") {
            let path = path.child("rollingUpdate");
            for field in ["maxUnavailable", "maxSurge"] {
                count_or_percent(errors, rolling, &path, field);
            }
        }
    }
}

pub(super) fn stateful_set(errors: &mut Errors, object: &Value) {
    let with_claims = with_claims(object);
    let (spec, path) = common(errors, &with_claims, "statefulset");
    match text(spec, &["podManagementPolicy"]) {
        "OrderedReady" | "Parallel" => {}
        "" => errors.push(FieldError::required(path.child("podManagementPolicy"), "")),
        other => errors.push(FieldError::invalid(
            path.child("podManagementPolicy"),
            &json!(other),
            "must be 'OrderedReady' or 'Parallel'",
        )),
    }
    if let Some(ordinals) = spec.get("ordinals") {
        not_negative(errors, ordinals, &path.child("ordinals"), "start");
    }
    if let Some(retention) = spec.get("persistentVolumeClaimRetentionPolicy") {
        let path = path.child("persistentVolumeClaimRetentionPolicy");
        for when in ["whenDeleted", "whenScaled"] {
            one_of(errors, retention, &path, when, &["Retain", "Delete"]);
        }
    }
    if let Some(rolling) = at(spec, &["updateStrategy", "rollingUpdate"]) {
        let path = path.child("updateStrategy").child("rollingUpdate");
        if text(spec, &["updateStrategy", "type"]) == "OnDelete" {
            let problem = "only allowed for updateStrategy 'RollingUpdate'";
            errors.push(FieldError::invalid(&path, rolling, problem));
        }
        not_negative(errors, rolling, &path, "partition");
        count_or_percent(errors, rolling, &path, "maxUnavailable");
        at_most_all(errors, rolling, &path);
        at_least_one(errors, rolling, &path);
    }
    match text(spec, &["updateStrategy", "type"]) {
        "RollingUpdate" | "OnDelete" => {}
        "" => errors.push(FieldError::required(path.child("updateStrategy"), "")),
        _ => errors.push(FieldError::invalid(
            path.child("updateStrategy"),
            spec.get("updateStrategy").unwrap_or(&Value::Null),
            "must be 'RollingUpdate' or 'OnDelete'",
        )),
    }
}

/// The set with a volume in its template for each claim, as its pods will have it: containers mount those.
fn with_claims(set: &Value) -> Value {
    let mut set = set.clone();
    let claims: Vec<Value> = items(&set, &["spec", "volumeClaimTemplates"])
        .iter()
        .map(|claim| text(claim, &["metadata", "name"]))
        .filter(|name| {
            let volumes = items(&set, &["spec", "template", "spec", "volumes"]);
            !name.is_empty() && volumes.iter().all(|volume| text(volume, &["name"]) != *name)
        })
        .map(|name| json!({ "name": name, "persistentVolumeClaim": { "claimName": name } }))
        .collect();
    if let Some(pod) = set
        .pointer_mut("/spec/template/spec")
        .and_then(Value::as_object_mut)
        && let Some(volumes) = pod.entry("volumes").or_insert_with(|| json!([])).as_array_mut()
    {
        volumes.extend(claims);
    }
    set
}

/// An update that may make nothing unavailable would never begin.
fn at_least_one(errors: &mut Errors, rolling: &Value, path: &Path) {
    if let Some(most) = rolling.get("maxUnavailable")
        && (*most == 0 || *most == "0%")
    {
        errors.push(FieldError::invalid(
            path.child("maxUnavailable"),
            most,
            "cannot be 0",
        ));
    }
}

pub(super) fn replication_controller(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec");
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    for field in ["replicas", "minReadySeconds"] {
        not_negative(errors, spec, &path, field);
    }
    labels(errors, spec, &["selector"], &path.child("selector"));
    if is_empty(spec.get("selector")) {
        errors.push(FieldError::required(path.child("selector"), ""));
    }
    let Some(template) = spec.get("template") else {
        errors.push(FieldError::required(path.child("template"), ""));
        return;
    };
    pod::template(errors, template, &path.child("template"));
    always_restarting(errors, template, &path.child("template").child("spec"));
    let wanted = crate::json::entries(spec, &["selector"]);
    let labels = at(template, &["metadata", "labels"]);
    for (key, value) in wanted {
        if labels.and_then(|labels| labels.get(key)) != Some(value) {
            errors.push(FieldError::invalid(
                path.child("template").child("metadata").child("labels"),
                labels.unwrap_or(&Value::Null),
                "`selector` does not match template `labels`",
            ));
            return;
        }
    }
}

pub(super) fn update_selector(errors: &mut Errors, new: &Value, old: &Value) {
    immutable(errors, new, old, &["spec", "selector"]);
}

pub(super) fn update_stateful_set(errors: &mut Errors, new: &Value, old: &Value) {
    let fixed = |object: &Value| {
        let mut spec = at(object, &["spec"]).cloned().unwrap_or_default();
        if let Some(fields) = spec.as_object_mut() {
            for changeable in [
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ] {
                fields.remove(changeable);
            }
        }
        spec
    };
    if fixed(new) != fixed(old) {
        errors.push(FieldError::forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
             'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
}
