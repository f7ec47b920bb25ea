//! Schemas of `triggers.tekton.dev`, and of the events that listeners keep.
//!
//! What other kinds define (pods, the objects of templates) is of any shape here.

use serde_json::{Value, json};

use super::build::*;
use super::status::{address, status};

fn any_value(description: &str) -> Value {
    described(description, json!({"x-kubernetes-preserve-unknown-fields": true}))
}

fn bindings() -> Value {
    described(
        "Where params come from: bindings by name, and params here.",
        list(object([
            ("name", string()),
            ("value", string()),
            ("ref", string()),
            ("kind", string()),
            ("apiversion", string()),
            ("apiVersion", string()),
        ])),
    )
}

fn template_spec() -> Value {
    let param = object([
        ("name", string()),
        ("description", string()),
        ("default", string()),
    ]);
    object([
        ("params", described("What it may be told.", list(param))),
        (
            "resourcetemplates",
            described(
                "The objects, in the order in which they are created.",
                list(anything()),
            ),
        ),
    ])
}

fn template() -> Value {
    described(
        "What is created: a TriggerTemplate by name, or here.",
        object([
            ("ref", string()),
            ("apiversion", string()),
            ("apiVersion", string()),
            ("spec", template_spec()),
        ]),
    )
}

fn interceptors() -> Value {
    let object_ref = object([
        ("kind", string()),
        ("namespace", string()),
        ("name", string()),
        ("apiVersion", string()),
    ]);
    let header = object([
        ("name", string()),
        ("value", any_value("A text, or a list of texts.")),
    ]);
    described(
        "Who looks at the event before, one after the other.",
        list(object([
            ("name", string()),
            (
                "ref",
                object([("name", string()), ("kind", string()), ("apiVersion", string())]),
            ),
            (
                "params",
                list(object([
                    ("name", string()),
                    ("value", any_value("Of any shape.")),
                ])),
            ),
            (
                "webhook",
                object([
                    ("objectRef", object_ref),
                    ("url", string()),
                    ("header", list(header)),
                ]),
            ),
        ])),
    )
}

fn labels() -> Value {
    let expression = object([
        ("key", string()),
        ("operator", string()),
        ("values", list(string())),
    ]);
    object([
        ("matchLabels", string_map()),
        ("matchExpressions", list(expression)),
    ])
}

fn namespaces() -> Value {
    described(
        "Namespaces by their names; * is every one.",
        object([("matchNames", list(string()))]),
    )
}

fn account() -> Value {
    described("Who creates; the listener itself unless said.", string())
}

pub(super) fn event_listener() -> Value {
    let trigger = object([
        ("name", string()),
        ("bindings", bindings()),
        ("template", template()),
        ("triggerRef", described("Name of a Trigger, instead.", string())),
        ("interceptors", interceptors()),
        ("serviceAccountName", account()),
    ]);
    let group = object([
        ("name", string()),
        ("interceptors", interceptors()),
        (
            "triggerSelector",
            object([("namespaceSelector", namespaces()), ("labelSelector", labels())]),
        ),
    ]);
    let kubernetes = object([
        ("replicas", int32()),
        ("serviceType", string()),
        ("servicePort", int32()),
        ("serviceLoadBalancerClass", string()),
        ("spec", object([("template", anything())])),
    ]);
    let spec = object([
        ("serviceAccountName", described("Who it runs as.", string())),
        (
            "triggers",
            described("Triggers here, and by their names.", list(trigger)),
        ),
        (
            "triggerGroups",
            described("Triggers behind interceptors that they share.", list(group)),
        ),
        ("namespaceSelector", namespaces()),
        ("labelSelector", labels()),
        (
            "resources",
            described(
                "What runs it.",
                object([("kubernetesResource", kubernetes), ("customResource", anything())]),
            ),
        ),
        (
            "cloudEventURI",
            described("Where it tells by events what becomes of others.", string()),
        ),
    ]);
    let status = status([
        ("address", address()),
        ("configuration", object([("generatedName", string())])),
    ]);
    resource("A place where events arrive.", spec, Some(status))
}

pub(super) fn trigger() -> Value {
    let spec = object([
        ("name", string()),
        ("bindings", bindings()),
        ("template", template()),
        ("interceptors", interceptors()),
        ("serviceAccountName", account()),
    ]);
    resource(
        "Says which objects are made of which events.",
        spec,
        Some(status([])),
    )
}

pub(super) fn trigger_binding() -> Value {
    let param = object([("name", string()), ("value", string())]);
    resource(
        "Says which params are made of what in an event.",
        object([("params", list(param))]),
        Some(status([])),
    )
}

pub(super) fn trigger_template() -> Value {
    resource(
        "The objects that a trigger makes.",
        template_spec(),
        Some(status([])),
    )
}

pub(super) fn interceptor() -> Value {
    let service = object([
        ("name", string()),
        ("namespace", string()),
        ("path", string()),
        ("port", int32()),
    ]);
    let client = object([
        (
            "caBundle",
            described("Certificate authorities in PEM, as base64.", string()),
        ),
        ("url", string()),
        ("service", service),
    ]);
    resource(
        "A service that triggers may ask about events.",
        object([("clientConfig", described("Where it is.", client))]),
        Some(status([("address", address())])),
    )
}

pub(super) fn received_event() -> Value {
    let content = object([
        ("url", string()),
        ("headers", list(object([("name", string()), ("value", string())]))),
        ("body", described("gzip, as base64.", string())),
        ("moreParts", int32()),
    ]);
    let spec = object([
        ("listener", string()),
        ("eventID", string()),
        ("delivery", described("The sender's own id.", string())),
        ("receivedAt", string()),
        (
            "content",
            described("What came; gone when nothing remains to be done.", content),
        ),
    ]);
    let made = object([
        ("apiVersion", string()),
        ("kind", string()),
        ("namespace", string()),
        ("name", string()),
    ]);
    let decision = object([
        ("trigger", string()),
        ("outcome", described("Made, Stopped or Failed.", string())),
        ("message", string()),
        ("made", list(made)),
    ]);
    let status = described(
        "What became of it.",
        object([
            ("state", described("Accepted or Done.", string())),
            ("doneAt", string()),
            ("made", int32()),
            ("failed", int32()),
            ("decisions", list(decision)),
        ]),
    );
    resource(
        "An event that an EventListener has taken, and what became of it.",
        spec,
        Some(status),
    )
}
