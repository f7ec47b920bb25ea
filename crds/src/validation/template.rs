//! `spec.template`, and the spec of a Revision.

use serde_json::Value;

use super::metadata::{annotation, label_prefix, unknown_networking_keys, whole_seconds};
use super::{FieldError, FieldErrors, autoscaling, diff, pod};
use crate::annotations as key;
use crate::dns;
use crate::resource::{Context, field, metadata, text};

/// Checks a template below the object with metadata `parent`; the paths begin below `template`.
pub(super) fn template(template: &Value, parent: &Value, context: &Context<'_>) -> FieldErrors {
    let meta = metadata(template);
    let mut errors = revision_spec(field(template, "spec"), context).via_field("spec");
    let mut annotations = autoscaling::annotations(meta, &context.configs.autoscaler);
    annotations.also(queue_sidecar(meta));
    annotations.also(
        annotation(meta, &[key::PROGRESS_DEADLINE])
            .and_then(|(key, value)| whole_seconds(key, "progress-deadline", value)),
    );
    annotations.also(unknown_networking_keys(meta));
    errors.also(annotations.via_field("metadata.annotations"));
    errors.also(revision_name(meta, parent));
    errors
}

/// Checks the spec of a Revision, or of a template; the paths begin below it.
pub(super) fn revision_spec(spec: &Value, context: &Context<'_>) -> FieldErrors {
    let mut errors = pod::pod_spec(spec, &context.configs.features);
    errors.also(pod::request_limits(spec, &context.configs.defaults));
    errors.also(pod::security_warnings(spec));
    errors
}

/// A name that the user brings for the next revision.
fn revision_name(meta: &Value, parent: &Value) -> Option<FieldError> {
    let (name, prefix) = (text(meta, "name"), text(meta, "generateName"));
    if !prefix.is_empty() {
        let reasons = label_prefix(prefix);
        if !reasons.is_empty() {
            let value = format!("not a DNS 1035 label prefix: [{}]", reasons.join(" "));
            return Some(FieldError::invalid(value, "metadata.generateName"));
        }
    }
    if name.is_empty() {
        return None;
    }
    let reasons = dns::label_1035(name);
    if !reasons.is_empty() {
        let value = format!("not a DNS 1035 label: [{}]", reasons.join(" "));
        return Some(FieldError::invalid(value, "metadata.name"));
    }
    let owner = text(parent, "name");
    // While the owner's name is still to be generated, no name can be known to begin with it.
    if owner.is_empty() && !text(parent, "generateName").is_empty() {
        return Some(FieldError::disallowed("metadata.name"));
    }
    let prefix = format!("{owner}-");
    (!name.starts_with(&prefix))
        .then(|| FieldError::invalid(format!("{name:?} must have prefix {prefix:?}"), "metadata.name"))
}

/// A name that the user brought stands for one template: another template needs another name.
pub(super) fn name_change(old: &Value, new: &Value) -> Option<FieldError> {
    let name = text(metadata(new), "name");
    if name.is_empty() || name != text(metadata(old), "name") {
        return None;
    }
    let difference = diff::diff(old, new);
    let message = "Saw the following changes without a name change (-old +new)";
    (!difference.is_empty()).then(|| FieldError::new(message, "metadata.name").with_details(difference))
}

/// The annotations that size the sidecar; the paths begin below `annotations`.
fn queue_sidecar(meta: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    if let Some((key, value)) = annotation(meta, key::QUEUE_SIDECAR_RESOURCE_PERCENTAGE_KEYS) {
        let message = "Queue proxy resource percentage annotation is deprecated. Please use the available annotations \
                       to explicitly set resource values per service";
        errors.also(FieldError::new(message, key).as_warning());
        match value.parse::<f64>() {
            Ok(percentage) if (0.1..=100.0).contains(&percentage) => {}
            Ok(_) => errors.also(FieldError::out_of_bounds(value, 0.1, 100, key)),
            Err(_) => errors.also(FieldError::invalid(value, key)),
        }
    }
    for keys in [
        key::QUEUE_SIDECAR_CPU_REQUEST_KEYS,
        key::QUEUE_SIDECAR_CPU_LIMIT_KEYS,
        key::QUEUE_SIDECAR_MEMORY_REQUEST_KEYS,
        key::QUEUE_SIDECAR_MEMORY_LIMIT_KEYS,
        key::QUEUE_SIDECAR_EPHEMERAL_STORAGE_REQUEST_KEYS,
        key::QUEUE_SIDECAR_EPHEMERAL_STORAGE_LIMIT_KEYS,
    ] {
        if let Some((key, value)) = annotation(meta, keys)
            && value.parse::<formats::quantity::Quantity>().is_err()
        {
            errors.also(FieldError::invalid(value, key));
        }
    }
    errors
}
