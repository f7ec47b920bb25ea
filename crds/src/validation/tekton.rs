//! Is an object of tasks and pipelines what it may be?
//!
//! What is inside of texts, the variables, is not looked at here, nor is the order of tasks: those who read variables
//! tell what is wrong with them.

mod params;
mod pipeline;
mod pipeline_run;
mod references;
mod removed;
mod results;
mod step;
mod step_action;
mod task;
mod task_run;
mod update;
mod when;
mod workspaces;

use std::collections::BTreeSet;

use serde_json::Value;

use super::{FieldError, FieldErrors};
use crate::config::Data;
use crate::config::tekton::Configs;
use crate::dns;
use crate::resource::tekton::{Context, Resource};
use crate::resource::{field, get, metadata, text};

pub use removed::removed;

/// Longest name of an object: children carry it in a label.
const LONGEST_NAME: usize = 63;
/// Pipelines inside of pipelines that may be nested.
const DEPTH: usize = 10;

/// Checks an object; what is wrong with it.
pub fn validate(resource: Resource, object: &Value, context: &Context<'_>) -> FieldErrors {
    // An update of the status cannot change the rest, and what is being deleted need not be valid any more.
    if context.status_only || get(metadata(object), "deletionTimestamp").is_some() {
        return FieldErrors::default();
    }
    let mut errors = FieldErrors::from(object_name(metadata(object))).via_field("metadata");
    let spec = field(object, "spec");
    let of_spec = match resource {
        Resource::Task => task::task_spec(spec, context.configs),
        Resource::TaskRun => task_run::task_run(spec, context),
        Resource::Pipeline => pipeline::pipeline_spec(spec, context.configs, DEPTH),
        Resource::PipelineRun => pipeline_run::pipeline_run(spec, context),
        Resource::StepAction => step_action::step_action(spec, context.configs),
        Resource::CustomRun => task_run::custom_run(spec),
        Resource::ResolutionRequest => params::given(spec),
    };
    errors.also(of_spec.via_field("spec"));
    errors.also(update::update(resource, object, context));
    errors
}

/// Checks a ConfigMap of the namespace of pipelines; one that is none of ours is always valid.
///
/// # Errors
/// Says what is wrong, in the words that a user sees.
pub fn config_map(object: &Value) -> Result<(), String> {
    super::config_map::check(object, |name: &str, data: &Data| {
        Configs::default().update(name, data)
    })
}

fn object_name(meta: &Value) -> Option<FieldError> {
    let name = text(meta, "name");
    // A name that the API server makes up is a good one.
    if name.is_empty() {
        return None;
    }
    let mut reasons = dns::subdomain_1123(name);
    if name.len() > LONGEST_NAME {
        reasons.push(format!("must be no more than {LONGEST_NAME} characters"));
    }
    (!reasons.is_empty()).then(|| {
        FieldError::new(
            format!("invalid resource name {name:?}: {}", reasons.join(", ")),
            "name",
        )
    })
}

/// Complains about names that come twice, each at its later place, and about missing ones.
fn unique_names(entries: &[Value]) -> FieldErrors {
    let mut seen = BTreeSet::new();
    let mut errors = FieldErrors::default();
    for (index, entry) in entries.iter().enumerate() {
        let name = text(entry, "name");
        if name.is_empty() {
            errors.also(FieldError::missing("name").via_index(index));
        } else if !seen.insert(name) {
            errors.also(FieldError::multiple_one_of(&["name"]).via_index(index));
        }
    }
    errors
}

/// A duration in a field; complains about one that cannot be read or is negative.
fn duration(holder: &Value, name: &str) -> Result<Option<jiff::SignedDuration>, FieldError> {
    let Some(value) = get(holder, name) else {
        return Ok(None);
    };
    let given = value.as_str().unwrap_or_default();
    match formats::duration::parse(given) {
        Ok(duration) if duration.is_negative() => {
            Err(FieldError::invalid(format_args!("{given} should be >= 0"), name))
        }
        Ok(duration) => Ok(Some(duration)),
        Err(error) => Err(FieldError::invalid(value, name).with_details(error.to_string())),
    }
}

/// Complains about attempts fewer than none.
fn retries(holder: &Value) -> Option<FieldError> {
    let retries = holder.get("retries").and_then(Value::as_i64)?;
    (retries < 0).then(|| FieldError::invalid(format_args!("{retries} should be >= 0"), "retries"))
}

/// Complains about a value that is none of `allowed`; an empty one is always allowed.
fn one_of(holder: &Value, name: &str, allowed: &[&str]) -> Option<FieldError> {
    let given = text(holder, name);
    (!given.is_empty() && !allowed.contains(&given))
        .then(|| FieldError::invalid(format_args!("{given} should be {}", allowed.join(" or ")), name))
}

/// May hold variables, which are not known yet.
fn has_variable(text: &str) -> bool {
    text.contains("$(")
}

/// What `onError` may say.
fn on_error(holder: &Value) -> Option<FieldError> {
    if has_variable(text(holder, "onError")) {
        return None;
    }
    one_of(holder, "onError", &["continue", "stopAndFail"])
}

/// Complains about a field that is only there with `enable-api-fields: alpha`.
fn alpha(holder: &Value, name: &str, configs: &Configs) -> Option<FieldError> {
    (get(holder, name).is_some() && !configs.features.is_alpha()).then(|| {
        FieldError::disallowed(name).with_details(format!(
            "{name} needs \"enable-api-fields\" to be \"alpha\" in feature-flags"
        ))
    })
}

#[cfg(test)]
pub(crate) mod tests;
