//! Jobs and cron jobs (`pkg/apis/batch/validation`).

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::path::Path;
use super::pod;
use super::rule::{Errors, immutable, not_negative, one_of};
use crate::json::{at, flag, integer, is_empty, text};

/// Names of jobs end in a timestamp of 11 characters, and pods need their name as a label.
const MAX_CRON_JOB_NAME: usize = 52;

pub(super) fn job(errors: &mut Errors, object: &Value) {
    job_spec(
        errors,
        at(object, &["spec"]).unwrap_or(&Value::Null),
        &Path::new("spec"),
    );
}

fn job_spec(errors: &mut Errors, spec: &Value, path: &Path) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        not_negative(errors, spec, path, field);
    }
    one_of(errors, spec, path, "completionMode", &["Indexed", "NonIndexed"]);
    let indexed = text(spec, &["completionMode"]) == "Indexed";
    if indexed && integer(spec, &["completions"]).is_none() {
        errors.push(FieldError::required(
            path.child("completions"),
            "when completion mode is Indexed",
        ));
    }
    if !indexed && spec.get("backoffLimitPerIndex").is_some() {
        let problem = "requires indexed completion mode";
        let value = spec.get("backoffLimitPerIndex").unwrap_or(&Value::Null);
        errors.push(FieldError::invalid(
            path.child("backoffLimitPerIndex"),
            value,
            problem,
        ));
    }
    let template = at(spec, &["template"]).unwrap_or(&Value::Null);
    let template_path = path.child("template");
    pod::template(errors, template, &template_path);
    let restart_path = template_path.child("spec").child("restartPolicy");
    if text(template, &["spec", "restartPolicy"]) == "Always" {
        errors.push(FieldError::required(
            restart_path,
            "valid values: \"OnFailure\", \"Never\"",
        ));
    } else if spec.get("podFailurePolicy").is_some() && text(template, &["spec", "restartPolicy"]) != "Never"
    {
        let value = json!(text(template, &["spec", "restartPolicy"]));
        errors.push(FieldError::invalid(
            restart_path,
            &value,
            "only \"Never\" is supported when podFailurePolicy is specified",
        ));
    }
}

pub(super) fn update_job(errors: &mut Errors, new: &Value, old: &Value) {
    for field in [
        "selector",
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "successPolicy",
    ] {
        immutable(errors, new, old, &["spec", field]);
    }
    let indexed = text(new, &["spec", "completionMode"]) == "Indexed";
    let together = integer(new, &["spec", "completions"]) == integer(new, &["spec", "parallelism"]);
    if !(indexed && together) {
        immutable(errors, new, old, &["spec", "completions"]);
    }
    // Before a suspended job has started, queues may still decide where its pods go.
    let waiting = flag(old, &["spec", "suspend"]) && at(old, &["status", "startTime"]).is_none();
    if fixed_template(new, waiting) != fixed_template(old, waiting) {
        let template = at(new, &["spec", "template"]).unwrap_or(&Value::Null);
        errors.push(FieldError::invalid(
            "spec.template",
            template,
            "field is immutable",
        ));
    }
}

/// The template without what may be changed while the job waits.
fn fixed_template(job: &Value, waiting: bool) -> Value {
    let mut template = at(job, &["spec", "template"]).cloned().unwrap_or_default();
    if waiting {
        for (pointer, fields) in [
            ("/metadata", &["labels", "annotations"][..]),
            (
                "/spec",
                &["nodeSelector", "tolerations", "affinity", "schedulingGates"][..],
            ),
        ] {
            if let Some(Value::Object(object)) = template.pointer_mut(pointer) {
                object.retain(|field, _| !fields.contains(&field.as_str()));
            }
        }
    }
    template
}

pub(super) fn cron_job(errors: &mut Errors, object: &Value) {
    let name = text(object, &["metadata", "name"]);
    if name.len() > MAX_CRON_JOB_NAME {
        errors.push(FieldError::invalid(
            "metadata.name",
            &json!(name),
            "must be no more than 52 characters",
        ));
    }
    let path = Path::new("spec");
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    schedule(errors, spec, &path);
    for field in [
        "startingDeadlineSeconds",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
    ] {
        not_negative(errors, spec, &path, field);
    }
    one_of(
        errors,
        spec,
        &path,
        "concurrencyPolicy",
        &["Allow", "Forbid", "Replace"],
    );
    job_spec(
        errors,
        at(spec, &["jobTemplate", "spec"]).unwrap_or(&Value::Null),
        &path.child("jobTemplate").child("spec"),
    );
}

fn schedule(errors: &mut Errors, spec: &Value, path: &Path) {
    if is_empty(spec.get("schedule")) {
        errors.push(FieldError::required(path.child("schedule"), ""));
        return;
    }
    let schedule = text(spec, &["schedule"]);
    let path_of = path.child("schedule");
    if schedule.contains("TZ") {
        errors.push(FieldError::invalid(
            &path_of,
            &json!(schedule),
            "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ));
        return;
    }
    let fields = schedule.split_whitespace().count();
    if !schedule.starts_with('@') && fields != 5 {
        let problem = format!("expected exactly 5 fields, found {fields}: [{schedule}]");
        errors.push(FieldError::invalid(&path_of, &json!(schedule), &problem));
    }
    if at(spec, &["timeZone"]).is_some_and(|zone| zone == "") {
        errors.push(FieldError::invalid(
            path.child("timeZone"),
            &json!(""),
            "timeZone must be nil or non-empty string",
        ));
    }
}
