//! Runs of tasks.

use serde_json::Value;

use super::{
    FieldError, FieldErrors, alpha, duration, one_of, params, references, retries, task, unique_names,
    workspaces,
};
use crate::resource::tekton::Context;
use crate::resource::{get, list, text};

pub(super) fn task_run(spec: &Value, context: &Context<'_>) -> FieldErrors {
    let configs = context.configs;
    let mut errors = FieldErrors::from(references::exactly_one(spec, &["taskRef", "taskSpec"]));
    if let Some(reference) = get(spec, "taskRef") {
        errors.also(references::task(reference, configs).via_field("taskRef"));
    }
    if let Some(inline) = get(spec, "taskSpec") {
        if configs.features.is_inline_disabled("taskrun") {
            errors.also(
                FieldError::disallowed("taskSpec")
                    .with_details("\"disable-inline-spec\" in feature-flags forbids it"),
            );
        }
        errors.also(task::task_spec(inline, configs).via_field("taskSpec"));
    }
    errors.also(params::given(spec));
    errors.also(workspaces::bindings(spec));
    errors.also(alpha(spec, "debug", configs));
    if let Some(debug) = get(spec, "debug").and_then(|debug| get(debug, "breakpoints")) {
        errors
            .also(FieldErrors::from(one_of(debug, "onFailure", &["enabled"])).via_field("debug.breakpoints"));
        errors.also(before_steps(debug).via_field("debug.breakpoints"));
    }
    errors.also(status(spec, &["TaskRunCancelled", "TaskRunPending"]));
    errors.also(retries(spec));
    errors.also(duration(spec, "timeout").err());
    errors.also(resources(spec));
    errors
}

/// Complains about a step that is to be held twice.
fn before_steps(breakpoints: &Value) -> FieldErrors {
    let steps = list(breakpoints, "beforeSteps");
    let again = steps.iter().enumerate().filter(|(index, step)| {
        let before = steps.iter().take(*index);
        before.into_iter().any(|other| other == *step)
    });
    again
        .map(|(index, step)| {
            let step = step.as_str().unwrap_or_default();
            FieldError::new(
                format!("before step must be unique, the same step: {step} is defined multiple times at"),
                &format!("beforeSteps[{index}]"),
            )
        })
        .collect()
}

/// Checks what a person wants of a run, and why.
fn status(spec: &Value, allowed: &[&str]) -> FieldErrors {
    let mut errors = FieldErrors::from(one_of(spec, "status", allowed));
    let message = text(spec, "statusMessage");
    if !message.is_empty() && text(spec, "status").is_empty() {
        let text = format!(
            "statusMessage should not be set if status is not set, but it is currently set to {message}"
        );
        errors.also(FieldError::invalid(text, "statusMessage"));
    }
    errors
}

/// Checks what steps and sidecars need; for all together or for single steps.
pub(super) fn resources(spec: &Value) -> FieldErrors {
    let mut errors = unique_names(list(spec, "stepSpecs")).via_field("stepSpecs");
    errors.also(unique_names(list(spec, "sidecarSpecs")).via_field("sidecarSpecs"));
    let of_steps = list(spec, "stepSpecs")
        .iter()
        .any(|step| get(step, "computeResources").is_some());
    if of_steps && get(spec, "computeResources").is_some() {
        errors.also(FieldError::multiple_one_of(&[
            "stepSpecs.computeResources",
            "computeResources",
        ]));
    }
    errors
}

pub(super) fn custom_run(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::from(references::exactly_one(spec, &["customRef", "customSpec"]));
    for name in ["customRef", "customSpec"] {
        let Some(what) = get(spec, name) else { continue };
        let missing = ["apiVersion", "kind"]
            .into_iter()
            .filter(|field| text(what, field).is_empty());
        errors.also(
            missing
                .map(FieldError::missing)
                .collect::<FieldErrors>()
                .via_field(name),
        );
    }
    errors.also(params::given(spec));
    errors.also(workspaces::bindings(spec));
    errors.also(status(spec, &["RunCancelled"]));
    errors.also(retries(spec));
    errors.also(duration(spec, "timeout").err());
    errors
}
