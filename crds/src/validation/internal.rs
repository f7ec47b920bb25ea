//! The kinds that only controllers write.

use serde_json::Value;

use super::mask::only;
use super::metadata::{AutoscalingAnnotations, object_metadata};
use super::{FieldError, FieldErrors};
use crate::dns;
use crate::resource::{Context, field, get, integer, list, metadata, text};

pub(super) fn pod_autoscaler(object: &Value, context: &Context<'_>) -> FieldErrors {
    let mut errors =
        object_metadata(metadata(object), AutoscalingAnnotations::Here, context).via_field("metadata");
    let spec = field(object, "spec");
    let mut found = FieldErrors::default();
    if is_empty(spec) {
        found.also(FieldError::missing(""));
    } else {
        found.also(object_reference(field(spec, "scaleTargetRef")).via_field("scaleTargetRef"));
        found.also(super::pod::request_limits(spec, &context.configs.defaults));
        found.also(protocol(spec));
    }
    errors.also(found.via_field("spec"));
    errors
}

pub(super) fn metric(object: &Value, context: &Context<'_>) -> FieldErrors {
    object_metadata(metadata(object), AutoscalingAnnotations::Here, context).via_field("metadata")
}

pub(super) fn serverless_service(object: &Value) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = FieldErrors::default();
    if is_empty(spec) {
        errors.also(FieldError::missing(""));
        return errors.via_field("spec");
    }
    match text(spec, "mode") {
        "Serve" | "Proxy" => {}
        "" => errors.also(FieldError::missing("mode")),
        other => errors.also(FieldError::invalid(other, "mode")),
    }
    if let Some(activators) = integer(spec, "numActivators").filter(|activators| *activators < 0) {
        errors.also(FieldError::invalid(activators, "numActivators"));
    }
    errors.also(object_reference(field(spec, "objectRef")).via_field("objectRef"));
    errors.also(protocol(spec));
    errors.via_field("spec")
}

pub(super) fn certificate(object: &Value) -> FieldErrors {
    let spec = field(object, "spec");
    let names = list(spec, "dnsNames");
    let mut errors = FieldErrors::default();
    if names.is_empty() {
        errors.also(FieldError::missing("dnsNames"));
    }
    let domain = text(spec, "domain");
    for (index, name) in names.iter().enumerate() {
        let name = name.as_str().unwrap_or_default();
        if name.is_empty() || !name.ends_with(domain) {
            errors.also(
                FieldError::invalid(name, "")
                    .via_index(index)
                    .via_field("dnsNames"),
            );
        }
    }
    if text(spec, "secretName").is_empty() {
        errors.also(FieldError::missing("secretName"));
    }
    errors.via_field("spec")
}

pub(super) fn cluster_domain_claim(object: &Value) -> FieldErrors {
    let namespace = text(field(object, "spec"), "namespace");
    let error = namespace
        .is_empty()
        .then(|| FieldError::missing("spec.namespace"));
    error.into()
}

pub(super) fn ingress(object: &Value) -> FieldErrors {
    let spec = field(object, "spec");
    let namespace = text(metadata(object), "namespace");
    let mut errors = FieldErrors::default();
    if is_empty(spec) {
        errors.also(FieldError::missing(""));
        return errors.via_field("spec");
    }
    if list(spec, "rules").is_empty() {
        errors.also(FieldError::missing("rules"));
    }
    for (index, rule) in list(spec, "rules").iter().enumerate() {
        errors.also(ingress_rule(rule, namespace).via_field_index("rules", index));
    }
    for (index, tls) in list(spec, "tls").iter().enumerate() {
        let missing = ["secretName", "secretNamespace"]
            .into_iter()
            .filter(|name| text(tls, name).is_empty());
        errors.also(
            missing
                .map(FieldError::missing)
                .collect::<FieldErrors>()
                .via_field_index("tls", index),
        );
    }
    errors.via_field("spec")
}

fn ingress_rule(rule: &Value, namespace: &str) -> FieldErrors {
    let Some(http) = get(rule, "http") else {
        return FieldError::missing("http").into();
    };
    let paths = list(http, "paths");
    let mut errors = FieldErrors::default();
    if paths.is_empty() {
        errors.also(FieldError::missing("paths"));
    }
    for (index, path) in paths.iter().enumerate() {
        errors.also(splits(list(path, "splits"), namespace).via_field_index("paths", index));
    }
    errors.via_field("http")
}

fn splits(splits: &[Value], namespace: &str) -> FieldErrors {
    let mut errors = FieldErrors::default();
    if splits.is_empty() {
        errors.also(FieldError::missing("splits"));
        return errors;
    }
    let mut sum = 0i64;
    for (index, split) in splits.iter().enumerate() {
        sum = sum.saturating_add(integer(split, "percent").unwrap_or(0));
        errors.also(backend(split, namespace).via_field_index("splits", index));
    }
    // A single split that gives no share is meant to get all of it.
    let alone = splits.len() == 1 && sum == 0;
    if !alone && sum != 100 {
        let message = format!("traffic split percentage must total to 100, but was {sum}");
        errors.also(FieldError::new(message, "splits"));
    }
    errors
}

fn backend(split: &Value, namespace: &str) -> FieldErrors {
    let mut errors = FieldErrors::default();
    if let Some(percent) = integer(split, "percent").filter(|percent| !(0..=100).contains(percent)) {
        errors.also(FieldError::invalid(percent, "percent"));
    }
    let backend_namespace = text(split, "serviceNamespace");
    if backend_namespace.is_empty() {
        errors.also(FieldError::missing("serviceNamespace"));
    } else if !namespace.is_empty() && backend_namespace != namespace {
        errors.also(
            FieldError::invalid(backend_namespace, "serviceNamespace")
                .with_details(format!("must be the namespace of the Ingress, {namespace:?}")),
        );
    }
    if text(split, "serviceName").is_empty() {
        errors.also(FieldError::missing("serviceName"));
    }
    let port_given =
        integer(split, "servicePort").is_some_and(|port| port != 0) || !text(split, "servicePort").is_empty();
    if !port_given {
        errors.also(FieldError::missing("servicePort"));
    }
    errors
}

fn protocol(spec: &Value) -> Option<FieldError> {
    match text(spec, "protocolType") {
        "http1" | "h2c" => None,
        "" => Some(FieldError::missing("protocolType")),
        other => Some(FieldError::invalid(other, "protocolType")),
    }
}

/// Says why a text is not what it should be.
type Check = fn(&str) -> Vec<String>;

/// A reference by version, kind and name.
fn object_reference(reference: &Value) -> FieldErrors {
    if is_empty(reference) {
        return FieldError::missing("").into();
    }
    let mut errors = only(reference, &["apiVersion", "kind", "name"]);
    let checks: [(&str, Check); 3] = [
        ("apiVersion", dns::qualified_name),
        ("kind", identifier),
        ("name", dns::label_1123),
    ];
    for (name, check) in checks {
        let value = text(reference, name);
        if value.is_empty() {
            errors.also(FieldError::missing(name));
            continue;
        }
        let reasons = check(value);
        if !reasons.is_empty() {
            errors.also(FieldError::invalid(reasons.join(", "), name));
        }
    }
    errors
}

fn identifier(text: &str) -> Vec<String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let valid = text.chars().all(inside) && !text.starts_with(|c: char| c.is_ascii_digit());
    if valid {
        Vec::new()
    } else {
        vec!["a valid C identifier must start with alphabetic character or '_'".to_owned()]
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_none_or(serde_json::Map::is_empty)
}
