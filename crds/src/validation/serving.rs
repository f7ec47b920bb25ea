//! The kinds of `serving.knative.dev`.

use serde_json::Value;

use super::metadata::{
    AutoscalingAnnotations, CONFIGURATION_OWNER, SERVICE_OWNER, creator_and_modifier,
    domain_mapping_metadata, is_owned, object_labels, object_metadata, rollout_duration,
};
use super::template::{name_change, revision_spec, template};
use super::traffic::traffic;
use super::{FieldError, FieldErrors, diff};
use crate::resource::{Context, field, get, list, metadata, text};

pub(super) fn service(object: &Value, context: &Context<'_>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let spec = field(object, "spec");
    // An update of the status cannot change the rest, which may have been valid under an earlier configuration.
    if !context.status_only {
        let meta = metadata(object);
        let mut found = object_metadata(meta, AutoscalingAnnotations::OnTemplate, context);
        found.also(object_labels(meta, None));
        found.also(rollout_duration(meta));
        errors.also(found.via_field("metadata"));
        let mut found = template(field(spec, "template"), meta, context).via_field("template");
        found.also(traffic(list(spec, "traffic"), true).via_field("traffic"));
        errors.also(found.via_field("spec"));
    }
    if let Some(old) = context.old {
        errors.also(creator_and_modifier(object, context));
        errors.also(kept_name(field(old, "spec"), spec));
    }
    errors
}

pub(super) fn configuration(object: &Value, context: &Context<'_>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let spec = field(object, "spec");
    if !context.status_only {
        let meta = metadata(object);
        let mut found = object_metadata(meta, AutoscalingAnnotations::OnTemplate, context);
        found.also(object_labels(meta, SERVICE_OWNER));
        errors.also(found.via_field("metadata"));
        errors.also(
            template(field(spec, "template"), meta, context)
                .via_field("template")
                .via_field("spec"),
        );
    }
    if let Some(old) = context.old {
        if !is_owned(object) {
            errors.also(creator_and_modifier(object, context));
        }
        errors.also(kept_name(field(old, "spec"), spec));
    }
    errors
}

pub(super) fn revision(object: &Value, context: &Context<'_>) -> FieldErrors {
    let meta = metadata(object);
    let mut errors = object_metadata(meta, AutoscalingAnnotations::Here, context);
    errors.also(object_labels(meta, CONFIGURATION_OWNER));
    let mut errors = errors.via_field("metadata");
    let spec = field(object, "spec");
    match context.old {
        Some(old) => {
            let difference = diff::diff(field(old, "spec"), spec);
            if !difference.is_empty() {
                return FieldError::new("Immutable fields changed (-old +new)", "spec")
                    .with_details(difference)
                    .into();
            }
        }
        None => errors.also(revision_spec(spec, context).via_field("spec")),
    }
    errors
}

pub(super) fn route(object: &Value, context: &Context<'_>) -> FieldErrors {
    let meta = metadata(object);
    let mut errors = object_metadata(meta, AutoscalingAnnotations::OnTemplate, context);
    errors.also(object_labels(meta, SERVICE_OWNER));
    errors.also(rollout_duration(meta));
    let mut errors = errors.via_field("metadata");
    let targets = list(field(object, "spec"), "traffic");
    errors.also(traffic(targets, false).via_field("traffic").via_field("spec"));
    if !is_owned(object) {
        errors.also(creator_and_modifier(object, context));
    }
    errors
}

pub(super) fn domain_mapping(object: &Value, context: &Context<'_>) -> FieldErrors {
    let meta = metadata(object);
    let mut errors = domain_mapping_metadata(meta, context.cluster_domain).via_field("metadata");
    let reference = field(field(object, "spec"), "ref");
    errors.also(
        k_reference(reference, text(meta, "namespace"))
            .via_field("ref")
            .via_field("spec"),
    );
    errors.also(creator_and_modifier(object, context));
    errors
}

fn kept_name(old: &Value, new: &Value) -> FieldErrors {
    let error = name_change(field(old, "template"), field(new, "template"));
    FieldErrors::from(error).via_field("spec.template")
}

/// A reference to something in `namespace`.
fn k_reference(reference: &Value, namespace: &str) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.extend(
        ["kind", "name"]
            .into_iter()
            .filter(|name| text(reference, name).is_empty())
            .map(FieldError::missing),
    );
    if get(reference, "apiVersion").is_none() && get(reference, "group").is_none() {
        errors.also(FieldError::missing("apiVersion"));
    }
    let referred = text(reference, "namespace");
    if !referred.is_empty() && !namespace.is_empty() && referred != namespace {
        let details = format!("parent namespace: {namespace:?} does not match ref: {referred:?}");
        errors.also(FieldError::new("mismatched namespaces", "namespace").with_details(details));
    }
    errors
}
