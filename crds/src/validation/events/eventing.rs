//! The kinds of `eventing.knative.dev`.

use serde_json::Value;

use super::super::{FieldError, FieldErrors};
use super::delivery::{delivery, duration, is_attribute};
use super::destination::{k_reference, required};
use super::{changed_text, immutable_spec};
use crate::annotations;
use crate::eventing::EVENT_TYPE_ATTRIBUTES;
use crate::resource::events::Context;
use crate::resource::{field, get, list, metadata, text};

pub(super) fn broker(object: &Value, context: &Context<'_>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let class = broker_class(object);
    if class.is_empty() {
        errors.also(FieldError::missing(annotations::BROKER_CLASS));
    }
    let spec = field(object, "spec");
    let mut found = FieldErrors::default();
    if let Some(config) = get(spec, "config") {
        let mut problems = k_reference(config, context);
        problems.also(config_namespace(config, object, context));
        found.also(problems.via_field("config"));
    }
    found.also(delivery(spec, context));
    errors.also(found.via_field("spec"));
    let changed = context.old.and_then(|old| changed_text(broker_class(old), class));
    match changed {
        Some(details) => errors.also(
            FieldError::new("Immutable annotations changed (-old +new)", "annotations").with_details(details),
        ),
        None => errors.also(immutable_spec(object, context, &["delivery"])),
    }
    errors
}

fn broker_class(broker: &Value) -> &str {
    text(field(metadata(broker), "annotations"), annotations::BROKER_CLASS)
}

fn config_namespace(config: &Value, broker: &Value, context: &Context<'_>) -> Option<FieldError> {
    let (own, given) = (text(metadata(broker), "namespace"), text(config, "namespace"));
    if given.is_empty() {
        return Some(FieldError::missing("namespace"));
    }
    let defaults = &context.configs.brokers;
    let class = broker_class(broker);
    // What ships is in the system namespace, and is not the broker's own choice.
    let shipped = defaults.config(own, class).reference();
    let is_default = shipped.is_some_and(|shipped| {
        shipped.name == text(config, "name") && shipped.namespace.as_deref() == Some(given)
    });
    (defaults.disallows_other_namespaces(own, class) && given != own && !is_default).then(|| {
        FieldError::invalid(given, "namespace").with_details(format!(
            "the configuration must be in the namespace of the broker, {own:?}"
        ))
    })
}

pub(super) fn trigger(object: &Value, context: &Context<'_>) -> FieldErrors {
    let (spec, meta) = (field(object, "spec"), metadata(object));
    let namespace = text(meta, "namespace");
    let mut errors = broker_of(spec, namespace, context);
    errors.also(required(spec, "subscriber", context));
    errors.also(delivery(spec, context));
    let mut errors = errors.via_field("spec");
    let marks = field(meta, "annotations");
    for (key, check) in [
        (
            annotations::DEPENDENCY,
            dependency as fn(&str, &str, &Value) -> FieldErrors,
        ),
        (annotations::BROKER_INJECTION, injection),
        (annotations::START, start),
    ] {
        if get(marks, key).is_some() {
            let path = format!("metadata.annotations[{key}]");
            errors.also(check(text(marks, key), namespace, spec).via_field(&path));
        }
    }
    if let Some(old) = context.old {
        let old = field(old, "spec");
        for (name, details) in [
            ("broker", changed_text(text(old, "broker"), text(spec, "broker"))),
            (
                "brokerRef",
                changed_reference(field(old, "brokerRef"), field(spec, "brokerRef")),
            ),
        ] {
            let error = details.map(|details| FieldError {
                paths: vec![name.to_owned(), "spec".to_owned()],
                ..FieldError::without_path("Immutable fields changed (-old +new)").with_details(details)
            });
            errors.also(error);
        }
    }
    errors
}

fn broker_of(spec: &Value, namespace: &str, context: &Context<'_>) -> FieldErrors {
    let by_name = !text(spec, "broker").is_empty();
    match get(spec, "brokerRef") {
        None if by_name => FieldErrors::default(),
        None => FieldError::missing("broker").into(),
        Some(_) if by_name => FieldError::multiple_one_of(&["broker", "brokerRef"]).into(),
        Some(reference) => {
            let mut errors = k_reference(reference, context);
            let other = text(reference, "namespace");
            let linked = context.configs.features.cross_namespace_event_links.is_enabled();
            if !other.is_empty() && other != namespace && !linked {
                errors.also(FieldError::disallowed("namespace"));
            }
            errors.via_field("brokerRef")
        }
    }
}

fn changed_reference(old: &Value, new: &Value) -> Option<String> {
    let difference = super::diff::diff(old, new);
    (!difference.is_empty()).then_some(difference)
}

fn dependency(value: &str, namespace: &str, _: &Value) -> FieldErrors {
    let reference: Value = match serde_json::from_str(value) {
        Ok(reference @ Value::Object(_)) => reference,
        Ok(_) => return not_a_reference(value, "an object is expected").into(),
        Err(error) => return not_a_reference(value, &error.to_string()).into(),
    };
    let mut errors: FieldErrors = ["kind", "name", "apiVersion"]
        .into_iter()
        .filter(|name| text(&reference, name).is_empty())
        .map(FieldError::missing)
        .collect();
    let other = text(&reference, "namespace");
    if !other.is_empty() && other != namespace {
        let message = format!("Namespace must be empty or equal to the trigger namespace {namespace:?}");
        errors.also(FieldError::new(message, "namespace"));
    }
    errors
}

fn not_a_reference(value: &str, details: &str) -> FieldError {
    let message = format!("The provided annotation was not a corev1.ObjectReference: {value:?}");
    FieldError::new(message, "").with_details(details)
}

fn injection(value: &str, _: &str, spec: &Value) -> FieldErrors {
    let broker = text(spec, "broker");
    if !matches!(
        value,
        annotations::BROKER_INJECTION_ENABLED | annotations::BROKER_INJECTION_DISABLED
    ) {
        let message = format!(
            "The provided injection annotation value can only be \"enabled\" or \"disabled\", not {value:?}"
        );
        return FieldError::new(message, "").into();
    }
    if broker != crate::names::DEFAULT_BROKER {
        let message = format!(
            "The provided injection annotation is only used for default broker, but non-default broker specified here: {broker:?}"
        );
        return FieldError::new(message, "").into();
    }
    FieldErrors::default()
}

fn start(value: &str, _: &str, _: &Value) -> FieldErrors {
    if matches!(value, "earliest" | "latest") || value.parse::<jiff::Timestamp>().is_ok() {
        return FieldErrors::default();
    }
    let details = "expected earliest, latest, or a time as RFC 3339 writes it";
    FieldError::invalid(value, "").with_details(details).into()
}

pub(super) fn event_type(object: &Value) -> FieldErrors {
    let spec = field(object, "spec");
    if text(object, "apiVersion").ends_with("/v1beta3") {
        let attributes = list(spec, "attributes");
        let missing = EVENT_TYPE_ATTRIBUTES
            .into_iter()
            .filter(|name| !attributes.iter().any(|known| text(known, "name") == *name));
        let missing: FieldErrors = missing.map(FieldError::missing).collect();
        let mut errors = missing.via_field("attributes");
        for (index, known) in attributes.iter().enumerate() {
            let name = text(known, "name");
            if !is_attribute(name) {
                let error: FieldErrors = FieldError::invalid(name, "name").into();
                errors.also(error.via_field_index("attributes", index));
            }
        }
        return errors.via_field("spec");
    }
    if text(spec, "type").is_empty() {
        return FieldError::missing("spec.type").into();
    }
    FieldErrors::default()
}

pub(super) fn event_policy(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = FieldErrors::default();
    let changed = context
        .old
        .is_none_or(|old| !super::diff::same(field(old, "spec"), spec));
    if changed && !context.configs.features.authentication_oidc.is_enabled() {
        errors.also(FieldError::without_path(
            "oidc-authentication feature not enabled",
        ));
    }
    for (index, from) in list(spec, "from").iter().enumerate() {
        errors.also(
            sender(from, context)
                .via_field_index("from", index)
                .via_field("spec"),
        );
    }
    for (index, to) in list(spec, "to").iter().enumerate() {
        errors.also(
            receiver(to, context)
                .via_field_index("to", index)
                .via_field("spec"),
        );
    }
    errors
}

fn sender(from: &Value, context: &Context<'_>) -> FieldErrors {
    let sub = text(from, "sub");
    match (get(from, "ref"), sub.is_empty()) {
        (None, true) => FieldError::missing_one_of(&["ref", "sub"]).into(),
        (Some(_), false) => FieldError::multiple_one_of(&["ref", "sub"]).into(),
        (Some(reference), true) => k_reference(reference, context).via_field("ref"),
        (None, false) if sub.strip_suffix('*').unwrap_or(sub).contains('*') => {
            FieldError::invalid(sub, "sub")
                .with_details("'*' is only allowed as suffix")
                .into()
        }
        (None, false) => FieldErrors::default(),
    }
}

fn receiver(to: &Value, context: &Context<'_>) -> FieldErrors {
    match (get(to, "ref"), get(to, "selector")) {
        (None, None) => FieldError::missing_one_of(&["ref", "selector"]).into(),
        (Some(_), Some(_)) => FieldError::multiple_one_of(&["ref", "selector"]).into(),
        (Some(reference), None) => k_reference(reference, context).via_field("ref"),
        (None, Some(selector)) => {
            let missing = ["apiVersion", "kind"]
                .into_iter()
                .filter(|name| text(selector, name).is_empty());
            missing
                .map(FieldError::missing)
                .collect::<FieldErrors>()
                .via_field("selector")
        }
    }
}

pub(super) fn request_reply(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let broker = field(spec, "brokerRef");
    let mut errors = k_reference(broker, context).via_field("brokerRef");
    if !matches!(text(broker, "kind"), "" | "Broker") {
        errors.also(FieldError::new("brokerRef kind must be Broker", "brokerRef"));
    }
    for name in ["correlationAttribute", "replyAttribute"] {
        let attribute = text(spec, name);
        if !is_attribute(attribute) || matches!(attribute, "id" | "type" | "source" | "specversion") {
            errors.also(FieldError::invalid(attribute, name));
        }
    }
    errors.also(duration(spec, "timeout", |timeout| !timeout.is_zero()));
    errors.also(delivery(spec, context));
    errors.via_field("spec")
}
