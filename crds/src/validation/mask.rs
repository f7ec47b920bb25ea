//! Which fields may be set at all.

use serde_json::Value;

use super::{FieldError, FieldErrors};
use crate::resource::is_unset;

/// Complains about each field of `object` that is set and not among `allowed`.
pub(super) fn only(object: &Value, allowed: &[&str]) -> FieldErrors {
    let fields = object.as_object().into_iter().flatten();
    fields
        .filter(|(name, value)| !allowed.contains(&name.as_str()) && !is_unset(value))
        .map(|(name, _)| FieldError::disallowed(name))
        .collect()
}

/// As [`only`], with further fields that are allowed under a condition.
pub(super) fn only_with(object: &Value, allowed: &[&str], conditional: &[(&str, bool)]) -> FieldErrors {
    let more = conditional
        .iter()
        .filter(|(_, condition)| *condition)
        .map(|(name, _)| *name);
    let all: Vec<&str> = allowed.iter().copied().chain(more).collect();
    only(object, &all)
}
