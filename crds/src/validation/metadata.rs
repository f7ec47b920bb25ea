//! Names, labels and annotations of the objects themselves.

use serde_json::Value;

use super::autoscaling;
use super::{FieldError, FieldErrors, diff};
use crate::annotations;
use crate::resource::{Context, field, list, metadata, pairs, text};
use crate::{dns, labels};

/// Where annotations that steer the autoscaler may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AutoscalingAnnotations {
    /// Here: they are checked.
    Here,
    /// Only on the template.
    OnTemplate,
}

/// Checks `metadata`; the paths begin below it.
pub(super) fn object_metadata(
    meta: &Value,
    place: AutoscalingAnnotations,
    context: &Context<'_>,
) -> FieldErrors {
    let mut errors = FieldErrors::from(object_name(meta));
    let annotations = match place {
        AutoscalingAnnotations::Here => autoscaling::annotations(meta, &context.configs.autoscaler),
        AutoscalingAnnotations::OnTemplate => no_autoscaling(meta),
    };
    errors.also(annotations.via_field("annotations"));
    errors
}

fn object_name(meta: &Value) -> Option<FieldError> {
    let (name, prefix) = (text(meta, "name"), text(meta, "generateName"));
    if !prefix.is_empty() {
        let reasons = label_prefix(prefix);
        if !reasons.is_empty() {
            let message = format!("not a DNS 1035 label prefix: [{}]", reasons.join(" "));
            return Some(FieldError::new(message, "generateName"));
        }
    }
    if !name.is_empty() {
        let reasons = dns::label_1035(name);
        if !reasons.is_empty() {
            return Some(FieldError::new(
                format!("not a DNS 1035 label: [{}]", reasons.join(" ")),
                "name",
            ));
        }
    }
    (name.is_empty() && prefix.is_empty())
        .then(|| FieldError::new("name or generateName is required", "name"))
}

/// Why a text cannot begin a label: the API server appends letters, so a dash may end it.
pub(super) fn label_prefix(prefix: &str) -> Vec<String> {
    let shortened = match prefix.strip_suffix('-') {
        Some(rest) => format!("{rest}a"),
        None => prefix.to_owned(),
    };
    dns::label_1035(&shortened)
}

pub(super) fn no_autoscaling(meta: &Value) -> FieldErrors {
    let detail = "autoscaling annotations must be put under \"spec.template.metadata.annotations\" to work";
    pairs(meta, "annotations")
        .filter(|(key, _)| key.starts_with(annotations::AUTOSCALING_PREFIX))
        .map(|(key, _)| FieldError::invalid_key(key, "", &[detail.to_owned()]))
        .collect()
}

/// Checks the labels that mean something; the paths begin below `metadata`. `owner` is the label that must name an
/// owner, and that owner's kind.
pub(super) fn object_labels(meta: &Value, owner: Option<(&str, &str)>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (key, value) in pairs(meta, "labels") {
        if key == labels::VISIBILITY && value != labels::VISIBILITY_CLUSTER_LOCAL {
            errors.also(FieldError::invalid(value, key));
        }
        if let Some((label, kind)) = owner
            && key == label
        {
            let owned = list(meta, "ownerReferences")
                .iter()
                .any(|reference| text(reference, "kind") == kind && text(reference, "name") == value);
            if !owned {
                errors.also(FieldError::missing(key));
            }
        }
    }
    errors.via_field("labels")
}

/// Checks how long a rollout may take; the paths begin below `metadata`.
pub(super) fn rollout_duration(meta: &Value) -> FieldErrors {
    let error = annotation(meta, annotations::ROLLOUT_DURATION_KEYS)
        .and_then(|(key, value)| whole_seconds(key, "rollout-duration", value));
    FieldErrors::from(error).via_field("annotations")
}

/// Complains about a value that is not a duration of whole seconds.
pub(super) fn whole_seconds(key: &str, name: &str, value: &str) -> Option<FieldError> {
    let Ok(duration) = formats::duration::parse(value) else {
        return Some(FieldError::invalid(value, key));
    };
    if duration.subsec_nanos() != 0 {
        return Some(FieldError::new(
            format!("{name}={value} is not at second precision"),
            key,
        ));
    }
    duration
        .is_negative()
        .then(|| FieldError::new(format!("{name}={value} must be positive"), key))
}

/// The first of several spellings of an annotation that is set and not empty.
pub(super) fn annotation<'v>(meta: &'v Value, keys: &[&'static str]) -> Option<(&'static str, &'v str)> {
    let annotations = field(meta, "annotations");
    let found = keys.iter().find_map(|key| {
        annotations
            .get(*key)
            .and_then(Value::as_str)
            .map(|value| (*key, value))
    });
    found.filter(|(_, value)| !value.is_empty())
}

/// Guards the marks that admission itself sets on an update: the creator stays, the modifier changes with the spec.
pub(super) fn creator_and_modifier(new: &Value, context: &Context<'_>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let Some(old) = context.old else { return errors };
    let mark = |object: &Value, key| text(field(metadata(object), "annotations"), key).to_owned();
    let (creator, modifier) = (annotations::CREATOR, annotations::LAST_MODIFIER);
    if mark(old, creator) != mark(new, creator) {
        errors.also(FieldError::new("annotation value is immutable", creator));
    }
    let modified_by = mark(new, modifier);
    if mark(old, modifier) != modified_by && diff::same(field(old, "spec"), field(new, "spec")) {
        errors.also(FieldError::invalid(modified_by, modifier));
    }
    errors.via_field("metadata.annotations")
}

/// Has the object owners? Those of a Service's children guard the marks of the Service.
pub(crate) fn is_owned(object: &Value) -> bool {
    !list(metadata(object), "ownerReferences").is_empty()
}

/// Annotation keys of the networking domain that mean something.
pub(super) fn unknown_networking_keys(meta: &Value) -> FieldErrors {
    let known = [
        annotations::INGRESS_CLASS_KEYS,
        annotations::CERTIFICATE_CLASS_KEYS,
        annotations::DISABLE_EXTERNAL_DOMAIN_TLS_KEYS,
        annotations::HTTP_PROTOCOL_KEYS,
        &[labels::VISIBILITY],
    ];
    pairs(meta, "annotations")
        .filter(|(key, _)| key.starts_with(annotations::NETWORKING_PREFIX))
        .filter(|(key, _)| !known.iter().any(|keys| keys.contains(key)))
        .map(|(key, _)| FieldError::invalid_key(key, "", &[]))
        .collect()
}

/// Checks a DomainMapping's name and annotations; the paths begin below `metadata`.
pub(super) fn domain_mapping_metadata(meta: &Value, cluster_domain: &str) -> FieldErrors {
    let mut errors = no_autoscaling(meta).via_field("annotations");
    let name = text(meta, "name");
    if !text(meta, "generateName").is_empty() {
        errors.also(FieldError::disallowed("generateName"));
    }
    let reasons = dns::fully_qualified_domain(name);
    if !reasons.is_empty() {
        let reasons = reasons.join(", ");
        errors.also(FieldError::new(
            format!("invalid name {name:?}: name: Invalid value: {name:?}: {reasons}"),
            "name",
        ));
    }
    if name
        .strip_suffix(cluster_domain)
        .is_some_and(|rest| rest.ends_with('.'))
    {
        let message = format!(
            "invalid name {name:?}: must not be a subdomain of cluster local domain {cluster_domain:?}"
        );
        errors.also(FieldError::new(message, "name"));
    }
    errors
}

/// The label that names the owner of a child, by the child's kind.
pub(super) const SERVICE_OWNER: Option<(&str, &str)> = Some((labels::SERVICE, "Service"));
/// As [`SERVICE_OWNER`], for revisions.
pub(super) const CONFIGURATION_OWNER: Option<(&str, &str)> = Some((labels::CONFIGURATION, "Configuration"));
