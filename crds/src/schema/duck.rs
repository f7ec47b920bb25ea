//! Shapes that the kinds of events share.

use serde_json::Value;

use super::build::*;
use super::status::address;

/// A reference to something addressable, wherever it is.
pub(super) fn reference() -> Value {
    object([
        ("kind", string()),
        ("namespace", string()),
        ("name", string()),
        ("apiVersion", string()),
        ("group", string()),
        (
            "address",
            described("Name of one of several addresses of the referent.", string()),
        ),
    ])
}

pub(super) fn destination(description: &str) -> Value {
    described(description, object(destination_fields()))
}

/// The fields of a destination, for kinds that have it inline.
pub(super) fn destination_fields() -> [(&'static str, Value); 4] {
    [
        ("ref", described("Something with an address.", reference())),
        (
            "uri",
            described(
                "An absolute URL, or one that is resolved against the address of ref.",
                string(),
            ),
        ),
        (
            "CACerts",
            described("Certificate authorities of the receiver, PEM.", string()),
        ),
        ("audience", described("OIDC audience of the receiver.", string())),
    ]
}

pub(super) fn delivery() -> Value {
    described(
        "How events are delivered; without it there is one attempt.",
        object([
            (
                "deadLetterSink",
                destination("Where events go that could not be delivered."),
            ),
            ("retry", described("Attempts after the first one.", int32())),
            (
                "timeout",
                described(
                    "Longest that one attempt may take, an ISO 8601 duration.",
                    string(),
                ),
            ),
            (
                "backoffPolicy",
                described(
                    "How the pauses between attempts grow: linear or exponential.",
                    string(),
                ),
            ),
            (
                "backoffDelay",
                described(
                    "The pause that backoffPolicy starts from, an ISO 8601 duration.",
                    string(),
                ),
            ),
            (
                "retryAfterMax",
                described(
                    "Longest pause that a receiver may ask for with Retry-After, an ISO 8601 duration.",
                    string(),
                ),
            ),
            (
                "format",
                described("Content mode in which events are sent: json or binary.", string()),
            ),
            (
                "orderBy",
                described(
                    "Attribute whose equal values are delivered one after the other, in the order of arrival.",
                    string(),
                ),
            ),
        ]),
    )
}

pub(super) fn channel_template() -> Value {
    described(
        "The kind of channel that is made, and its spec.",
        object([("apiVersion", string()), ("kind", string()), ("spec", anything())]),
    )
}

/// Who is subscribed to a channel; Subscriptions write this.
pub(super) fn subscribers() -> Value {
    let auth = object([("serviceAccountName", string())]);
    described(
        "Who is subscribed; written by Subscriptions alone.",
        list(object([
            ("uid", string()),
            ("generation", int64()),
            ("name", string()),
            ("subscriberUri", string()),
            ("subscriberCACerts", string()),
            ("subscriberAudience", string()),
            ("replyUri", string()),
            ("replyCACerts", string()),
            ("replyAudience", string()),
            ("delivery", delivery()),
            ("auth", auth),
        ])),
    )
}

/// Filters as the subscriptions API defines them. A schema cannot be recursive: what is inside a filter is checked by
/// admission.
pub(super) fn filters() -> Value {
    let inner = |text: &str| described(text, list(anything()));
    described(
        "Filters that an event must pass, all of them.",
        list(object([
            ("all", inner("Filters that an event must pass, all of them.")),
            ("any", inner("Filters of which an event must pass one.")),
            (
                "not",
                described("A filter that an event must not pass.", anything()),
            ),
            (
                "exact",
                described("Attributes that must be exactly so.", string_map()),
            ),
            (
                "prefix",
                described("Attributes that must begin so.", string_map()),
            ),
            ("suffix", described("Attributes that must end so.", string_map())),
            (
                "cesql",
                described("An expression of CloudEvents SQL that must be true.", string()),
            ),
        ])),
    )
}

pub(super) fn label_selector() -> Value {
    object(label_selector_fields())
}

pub(super) fn label_selector_fields() -> [(&'static str, Value); 2] {
    let expression = object([
        ("key", string()),
        ("operator", string()),
        ("values", list(string())),
    ]);
    [
        ("matchLabels", string_map()),
        (
            "matchExpressions",
            list(requiring(expression, &["key", "operator"])),
        ),
    ]
}

/// What the status of something addressable has.
pub(super) fn address_fields() -> [(&'static str, Value); 3] {
    [
        ("address", address()),
        (
            "addresses",
            described("All addresses, if there are several.", list(address())),
        ),
        (
            "policies",
            described(
                "The policies that say who may send events.",
                list(object([("apiVersion", string()), ("name", string())])),
            ),
        ),
    ]
}

/// What the status of something with a dead letter sink has.
pub(super) fn dead_letter_fields() -> [(&'static str, Value); 3] {
    [
        ("deadLetterSinkUri", string()),
        ("deadLetterSinkCACerts", string()),
        ("deadLetterSinkAudience", string()),
    ]
}

/// The identity that an object sends events with.
pub(super) fn auth() -> Value {
    object([
        ("serviceAccountName", string()),
        ("serviceAccountNames", list(string())),
    ])
}

/// The spec of a source: its sink and overrides, beside `fields`.
pub(super) fn source_spec<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let common = object([
        ("sink", destination("Where the events go.")),
        (
            "ceOverrides",
            described(
                "What is changed in each event.",
                object([("extensions", string_map())]),
            ),
        ),
    ]);
    with_fields(common, fields)
}

/// What the status of every source has.
pub(super) fn source_fields() -> [(&'static str, Value); 5] {
    [
        ("sinkUri", described("Where the events go, resolved.", string())),
        ("sinkCACerts", string()),
        ("sinkAudience", string()),
        (
            "ceAttributes",
            described(
                "Types and sources of the events that are sent.",
                list(object([("type", string()), ("source", string())])),
            ),
        ),
        ("auth", auth()),
    ]
}

/// Marks every object with known fields as one that keeps the others, so that admission sees them, and can refuse
/// what it does not know by name instead of losing it silently.
pub(super) fn keeping_unknown(mut schema: Value) -> Value {
    keep_unknown(&mut schema);
    schema
}

fn keep_unknown(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(keep_unknown);
        fields.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
    }
    if let Some(items) = fields.get_mut("items") {
        keep_unknown(items);
    }
}
