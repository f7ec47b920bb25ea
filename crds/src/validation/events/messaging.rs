//! The kinds of `messaging.knative.dev`.

use serde_json::Value;

use super::super::{FieldError, FieldErrors, diff};
use super::delivery::delivery;
use super::destination::{destination, k_reference};
use super::immutable_spec;
use crate::annotations;
use crate::resource::events::Context;
use crate::resource::{field, get, list, metadata, text};

pub(super) fn channel(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = channel_template(spec);
    if !list(spec, "subscribers").is_empty() {
        errors.also(FieldError::disallowed("subscribable.subscribers"));
    }
    errors.also(delivery(spec, context));
    let mut errors = errors.via_field("spec");
    errors.also(immutable_spec(object, context, &["subscribers"]));
    errors
}

/// Checks `channelTemplate` of a spec; the paths begin below the spec.
pub(super) fn channel_template(spec: &Value) -> FieldErrors {
    let Some(template) = get(spec, "channelTemplate") else {
        return FieldError::missing("channelTemplate").into();
    };
    ["apiVersion", "kind"]
        .into_iter()
        .filter(|name| text(template, name).is_empty())
        .map(|name| FieldError::missing(name).via_field("channelTemplate"))
        .collect()
}

pub(super) fn in_memory_channel(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = delivery(spec, context);
    for (index, subscriber) in list(spec, "subscribers").iter().enumerate() {
        if get(subscriber, "subscriberUri").is_none() && get(subscriber, "replyUri").is_none() {
            let error = FieldError {
                paths: vec!["replyURI".to_owned(), "subscriberURI".to_owned()],
                ..FieldError::without_path("missing field(s)")
            };
            let error = error
                .with_details("expected at least one of, got none")
                .via_index(index);
            errors.also(error.via_field("subscribers"));
        }
    }
    let mut errors = errors.via_field("spec");
    let marks = field(metadata(object), "annotations");
    let scope = text(marks, annotations::SCOPE);
    if get(marks, annotations::SCOPE).is_some() && !matches!(scope, "cluster" | "namespace") {
        let error = FieldError::invalid(scope, "").with_details("expected either 'cluster' or 'namespace'");
        errors.also(
            error
                .via_key(annotations::SCOPE)
                .via_field("metadata.annotations"),
        );
    }
    errors.also(subscribers_by_controller(object, context));
    errors
}

fn subscribers_by_controller(object: &Value, context: &Context<'_>) -> Option<FieldError> {
    let subscribers = |object: &Value| field(field(object, "spec"), "subscribers").clone();
    let (user, controller) = (context.user, context.controller);
    if controller.is_empty() || user == controller {
        return None;
    }
    let difference = diff::diff(&subscribers(context.old?), &subscribers(object));
    let message = format!(
        "Channel.Spec.Subscribers changed by user {user} which was not the {controller} service account"
    );
    (!difference.is_empty()).then(|| FieldError::new(message, "spec.subscribers").with_details(difference))
}

pub(super) fn subscription(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = FieldErrors::default();
    match set(spec, "channel") {
        Some(reference) => errors.also(channel_reference(reference, object, context).via_field("channel")),
        None => errors
            .also(FieldError::missing("channel").with_details("the Subscription must reference a channel")),
    }
    match set(spec, "subscriber") {
        Some(subscriber) => errors.also(destination(subscriber, context).via_field("subscriber")),
        None => errors.also(
            FieldError::missing("subscriber").with_details("the Subscription must reference a subscriber"),
        ),
    }
    if let Some(reply) = set(spec, "reply") {
        errors.also(destination(reply, context).via_field("reply"));
    }
    errors.also(delivery(spec, context));
    let mut errors = errors.via_field("spec");
    errors.also(immutable_spec(
        object,
        context,
        &["subscriber", "reply", "delivery"],
    ));
    errors
}

/// A field that holds anything at all.
fn set<'v>(spec: &'v Value, name: &str) -> Option<&'v Value> {
    get(spec, name).filter(|value| value.as_object().is_none_or(|fields| !fields.is_empty()))
}

fn channel_reference(reference: &Value, object: &Value, context: &Context<'_>) -> FieldErrors {
    let mut errors = k_reference(reference, context);
    let linked = context.configs.features.cross_namespace_event_links.is_enabled();
    let other = text(reference, "namespace");
    if !linked && !other.is_empty() && other != text(metadata(object), "namespace") {
        let details = "only name, apiVersion and kind are supported fields when feature.CrossNamespaceEventLinks is disabled";
        errors.also(FieldError::disallowed("namespace").with_details(details));
    }
    errors
}
