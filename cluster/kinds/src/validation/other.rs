//! Kinds with few rules: autoscalers, budgets, leases, quotas, classes.

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::names;
use super::path::Path;
use super::resources;
use super::rule::{Errors, count_or_percent, immutable, required, required_name};
use crate::json::{at, integer, items, text};

/// Highest priority that users may define; higher ones are the system's.
const MAX_USER_PRIORITY: i64 = 1_000_000_000;

pub(super) fn autoscaler(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec");
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    let target = spec.get("scaleTargetRef").unwrap_or(&Value::Null);
    required(errors, target, &path.child("scaleTargetRef"), "kind");
    required(errors, target, &path.child("scaleTargetRef"), "name");
    let minimum = integer(spec, &["minReplicas"]);
    if let Some(minimum) = minimum
        && minimum < 1
    {
        let problem = "must be greater than or equal to 1";
        errors.push(FieldError::invalid(
            path.child("minReplicas"),
            &json!(minimum),
            problem,
        ));
    }
    let maximum = integer(spec, &["maxReplicas"]).unwrap_or_default();
    if maximum < 1 {
        errors.push(FieldError::invalid(
            path.child("maxReplicas"),
            &json!(maximum),
            "must be greater than 0",
        ));
    }
    if minimum.is_some_and(|minimum| maximum < minimum) {
        let problem = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid(
            path.child("maxReplicas"),
            &json!(maximum),
            problem,
        ));
    }
}

pub(super) fn disruption_budget(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec");
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    if spec.get("minAvailable").is_some() && spec.get("maxUnavailable").is_some() {
        let problem = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid(&path, spec, problem));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        count_or_percent(errors, spec, &path, field);
    }
}

pub(super) fn lease(errors: &mut Errors, object: &Value) {
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    if let Some(seconds) = integer(spec, &["leaseDurationSeconds"])
        && seconds <= 0
    {
        let path = "spec.leaseDurationSeconds";
        errors.push(FieldError::invalid(
            path,
            &json!(seconds),
            "must be greater than 0",
        ));
    }
    if let Some(transitions) = integer(spec, &["leaseTransitions"])
        && transitions < 0
    {
        let problem = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(
            "spec.leaseTransitions",
            &json!(transitions),
            problem,
        ));
    }
}

pub(super) fn resource_quota(errors: &mut Errors, object: &Value) {
    resources::quantities(errors, object, &["spec", "hard"], &Path::new("spec.hard"), false);
}

pub(super) fn limit_range(errors: &mut Errors, object: &Value) {
    for (index, item) in items(object, &["spec", "limits"]).iter().enumerate() {
        let path = Path::new("spec.limits").index(index);
        required(errors, item, &path, "type");
        for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            resources::quantities(errors, item, &[field], &path.child(field), false);
        }
    }
}

pub(super) fn priority_class(errors: &mut Errors, object: &Value) {
    let value = integer(object, &["value"]).unwrap_or_default();
    let system = text(object, &["metadata", "name"]).starts_with("system-");
    if value > MAX_USER_PRIORITY && !system {
        let problem = format!("maximum allowed value of a user defined priority is {MAX_USER_PRIORITY}");
        errors.push(FieldError::forbidden("value", &problem));
    }
}

pub(super) fn update_priority_class(errors: &mut Errors, new: &Value, old: &Value) {
    if integer(new, &["value"]) != integer(old, &["value"]) {
        errors.push(FieldError::forbidden("value", "may not be changed in an update."));
    }
    immutable(errors, new, old, &["preemptionPolicy"]);
}

pub(super) fn runtime_class(errors: &mut Errors, object: &Value) {
    required_name(errors, object, &Path::new(""), "handler", names::label);
}

pub(super) fn update_runtime_class(errors: &mut Errors, new: &Value, old: &Value) {
    immutable(errors, new, old, &["handler"]);
}

/// Events must be in the namespace of what they are about, or in `default` if that has none.
pub(super) fn event(errors: &mut Errors, object: &Value) {
    let namespace = text(object, &["metadata", "namespace"]);
    let about = text(object, &["involvedObject", "namespace"]);
    let fits = if about.is_empty() {
        matches!(namespace, "" | "default")
    } else {
        about == namespace
    };
    if !fits {
        let problem = if about.is_empty() {
            "not match event.namespace"
        } else {
            "does not match event.namespace"
        };
        errors.push(FieldError::invalid(
            "involvedObject.namespace",
            &json!(about),
            problem,
        ));
    }
}

/// Revisions are history: their data never changes.
pub(super) fn update_revision(errors: &mut Errors, new: &Value, old: &Value) {
    immutable(errors, new, old, &["data"]);
}
