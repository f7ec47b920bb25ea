//! The kinds of `flows.knative.dev`.

use serde_json::Value;

use super::super::{FieldError, FieldErrors};
use super::delivery::delivery;
use super::destination::{destination, optional};
use super::messaging::channel_template;
use crate::resource::events::Context;
use crate::resource::{field, get, list};

pub(super) fn sequence(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = channel_template(spec);
    let steps = list(spec, "steps");
    if steps.is_empty() {
        errors.also(FieldError::missing("steps"));
    }
    for (index, step) in steps.iter().enumerate() {
        let mut problems = destination(step, context);
        problems.also(delivery(step, context));
        errors.also(bad_entry(step, &problems, "steps", index));
    }
    errors.also(optional(spec, "reply", context));
    errors.via_field("spec")
}

pub(super) fn parallel(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = channel_template(spec);
    let branches = list(spec, "branches");
    if branches.is_empty() {
        errors.also(FieldError::missing("branches"));
    }
    for (index, branch) in branches.iter().enumerate() {
        for name in ["filter", "subscriber", "reply"] {
            let entry = get(branch, name);
            if entry.is_none() && name != "subscriber" {
                continue;
            }
            let entry = entry.unwrap_or(&Value::Null);
            let problems = destination(entry, context);
            errors.also(bad_entry(entry, &problems, &format!("branches.{name}"), index));
        }
        errors.also(delivery(branch, context).via_field_index("branches", index));
    }
    errors.also(optional(spec, "reply", context));
    errors.via_field("spec")
}

/// A whole entry is told to be invalid; what is wrong with it are the details.
fn bad_entry(entry: &Value, problems: &FieldErrors, list: &str, index: usize) -> Option<FieldError> {
    (!problems.is_empty()).then(|| {
        FieldError::invalid(entry, "")
            .with_details(problems.to_string())
            .via_index(index)
            .via_field(list)
    })
}
