//! What may still change in a run that has started or is over.

use serde_json::Value;

use super::{FieldError, FieldErrors};
use crate::defaulting::tekton as defaulting;
use crate::resource::tekton::{Context, Resource};
use crate::resource::{field, list, text};
use crate::tekton::SUCCEEDED;
use crate::validation::diff;

/// Checks the change from the old object to the new one.
pub(super) fn update(resource: Resource, object: &Value, context: &Context<'_>) -> FieldErrors {
    let Some(old) = context.old else {
        return FieldErrors::default();
    };
    let (kind, mutable): (_, &[&str]) = match resource {
        Resource::TaskRun => ("TaskRun", &["status", "statusMessage"]),
        Resource::PipelineRun => ("PipelineRun", &["status"]),
        Resource::CustomRun => ("CustomRun", &["status", "statusMessage"]),
        _ => return FieldErrors::default(),
    };
    let mut errors = FieldErrors::default();
    let (before, after) = (field(old, "spec"), field(object, "spec"));
    if text(before, "managedBy") != text(after, "managedBy") {
        errors.also(FieldError::new("managedBy is immutable", "managedBy"));
    }
    // What the present defaults add to the old spec is no change of the user's.
    let mut was = old.clone();
    defaulting::apply(
        resource,
        &mut was,
        &Context {
            old: None,
            status_only: false,
            ..*context
        },
    );
    let before = field(&was, "spec");
    if is_done(old) {
        let difference = diff::diff(before, after);
        if !difference.is_empty() {
            let message = format!("invalid value: Once the {kind} is complete, no updates are allowed");
            errors.also(FieldError::new(message, "").with_details(difference));
        }
    } else if has_started(old) {
        let difference = diff::diff(&without(before, mutable), &without(after, mutable));
        if !difference.is_empty() {
            let message = format!(
                "invalid value: Once the {kind} has started, only {} updates are allowed",
                mutable.join(" and ")
            );
            errors.also(FieldError::new(message, "").with_details(difference));
        }
        let (was, wanted) = (text(before, "status"), text(after, "status"));
        if is_pending(wanted) && was != wanted {
            errors.also(FieldError::invalid(
                format_args!("{kind} cannot be {wanted} after it is started"),
                "status",
            ));
        }
    }
    errors.via_field("spec")
}

fn is_pending(status: &str) -> bool {
    matches!(status, "TaskRunPending" | "PipelineRunPending")
}

fn is_done(object: &Value) -> bool {
    let conditions = list(field(object, "status"), "conditions");
    conditions.iter().any(|condition| {
        text(condition, "type") == SUCCEEDED && matches!(text(condition, "status"), "True" | "False")
    })
}

fn has_started(object: &Value) -> bool {
    !text(field(object, "status"), "startTime").is_empty()
}

fn without(spec: &Value, names: &[&str]) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
    spec
}
