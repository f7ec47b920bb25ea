//! Namespaces, nodes, secrets and limits.

use serde_json::{Value, json};

use super::quantity::canonical_map;
use crate::json::{Object, is_empty, items_mut, object_mut, object_or_new, set_absent, set_zero};

pub(super) fn secret(object: &mut Object) {
    set_zero(object, "type", "Opaque");
}

/// Namespaces carry their name as a label, so that selectors can name them, and the finalizer that empties them.
pub(super) fn namespace(object: &mut Object) {
    if let Some(metadata) = object_or_new(object, "metadata")
        && let Some(name) = metadata.get("name").filter(|name| !is_empty(Some(name))).cloned()
        && let Some(labels) = object_or_new(metadata, "labels")
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
    object_or_new(object, "spec");
    if let Some(status) = object_or_new(object, "status") {
        set_zero(status, "phase", "Active");
    }
}

pub(super) fn node(object: &mut Object) {
    object_or_new(object, "spec");
    if let Some(status) = object_or_new(object, "status") {
        canonical_map(status, "capacity");
        canonical_map(status, "allocatable");
    }
    if let Some(status) = object_or_new(object, "status")
        && let Some(capacity) = status.get("capacity").cloned()
    {
        set_absent(status, "allocatable", capacity);
    }
}

/// Container limits default from the maximum, requests from the limit and then the minimum.
pub(super) fn limit_range(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    for item in items_mut(spec, "limits") {
        for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            canonical_map(item, field);
        }
        if item.get("type").and_then(Value::as_str) != Some("Container") {
            continue;
        }
        for (from, to) in [
            ("max", "default"),
            ("default", "defaultRequest"),
            ("min", "defaultRequest"),
        ] {
            let source = item
                .get(from)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            if source.is_empty() {
                continue;
            }
            if let Some(target) = item.entry(to).or_insert_with(|| json!({})).as_object_mut() {
                for (resource, quantity) in source {
                    set_absent(target, &resource, quantity);
                }
            }
        }
    }
}

pub(super) fn resource_quota(object: &mut Object) {
    if let Some(spec) = object_mut(object, "spec") {
        canonical_map(spec, "hard");
    }
}
