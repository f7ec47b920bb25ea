//! Requests and limits of resources.

use cluster_machinery::FieldError;
use formats::quantity::Quantity;
use serde_json::{Value, json};

use super::names;
use super::path::Path;
use super::rule::{Errors, invalid};
use crate::json::entries;

/// Reads a quantity that may have been written as a number.
pub(super) fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// Checks `limits` and `requests` of a container.
pub(super) fn requirements(errors: &mut Errors, resources: &Value, path: &Path) {
    for list in ["limits", "requests"] {
        quantities(errors, resources, &[list], &path.child(list), true);
    }
    for (name, request) in entries(resources, &["requests"]) {
        let limit = resources
            .get("limits")
            .and_then(|limits| limits.get(name))
            .and_then(quantity);
        if let (Some(limit), Some(request)) = (limit, quantity(request))
            && request > limit
        {
            errors.push(FieldError::invalid(
                path.child("requests"),
                &json!(request.to_string()),
                &format!("must be less than or equal to {name} limit of {limit}"),
            ));
        }
    }
}

/// Checks a map of resources to quantities.
pub(super) fn quantities(
    errors: &mut Errors,
    object: &Value,
    fields: &[&str],
    path: &Path,
    of_container: bool,
) {
    for (name, value) in entries(object, fields) {
        let path = path.key(name);
        invalid(errors, &path, name, names::qualified(name));
        if of_container && !is_container_resource(name) {
            errors.push(FieldError::invalid(
                &path,
                &json!(name),
                "must be a standard resource for containers",
            ));
        }
        match quantity(value) {
            Some(amount) if amount.milli() < 0 => errors.push(FieldError::invalid(
                &path,
                &json!(amount.to_string()),
                "must be greater than or equal to 0",
            )),
            Some(_) => {}
            None => errors.push(FieldError::invalid(
                &path,
                value,
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            )),
        }
    }
}

/// A name without a domain must be one that every node knows.
fn is_container_resource(name: &str) -> bool {
    name.contains('/')
        || matches!(name, "cpu" | "memory" | "ephemeral-storage")
        || name.starts_with("hugepages-")
}
