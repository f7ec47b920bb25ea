//! Schemas of `eventing.knative.dev`.

use serde_json::Value;

use super::build::*;
use super::duck::*;
use super::status::status;

pub(super) fn broker() -> Value {
    resource(
        "Takes events in, keeps them, and hands them to its triggers.",
        object([
            (
                "config",
                described("Configuration of the class, normally a ConfigMap.", reference()),
            ),
            ("delivery", delivery()),
        ]),
        Some(with_fields(status(address_fields()), dead_letter_fields())),
    )
}

pub(super) fn trigger() -> Value {
    let filter = object([(
        "attributes",
        described(
            "Attributes that an event must have; an empty value asks for any.",
            string_map(),
        ),
    )]);
    let own = status([
        (
            "subscriberUri",
            described("Who gets the events, resolved.", string()),
        ),
        ("subscriberCACerts", string()),
        ("subscriberAudience", string()),
        ("auth", auth()),
    ]);
    resource(
        "Hands the events of a broker that pass a filter to a subscriber.",
        object([
            (
                "broker",
                described("Name of the broker, in the same namespace.", string()),
            ),
            (
                "brokerRef",
                described("The broker, perhaps in another namespace.", reference()),
            ),
            (
                "filter",
                described(
                    "Attributes that an event must have; not looked at if there are filters.",
                    filter,
                ),
            ),
            ("filters", filters()),
            ("subscriber", destination("Who gets the events.")),
            ("delivery", delivery()),
        ]),
        Some(with_fields(own, dead_letter_fields())),
    )
}

pub(super) fn event_type() -> Value {
    resource(
        "A type of events that can be had from a broker, a channel or a source.",
        object([
            ("type", described("Type of the events.", string())),
            ("source", described("Source of the events, a URI.", string())),
            ("schema", described("URI of the schema of the data.", string())),
            ("schemaData", described("The schema itself.", string())),
            (
                "broker",
                described(
                    "Name of the broker that has them; reference says it better.",
                    string(),
                ),
            ),
            ("reference", described("Who has the events.", reference())),
            ("description", described("What the events are about.", string())),
            (
                "attributes",
                described(
                    "Attributes of the events; in v1beta3 these say what type, source and schemaData say.",
                    list(object([
                        ("name", described("Name of the attribute.", string())),
                        ("required", described("Whether each event has it.", boolean())),
                        (
                            "value",
                            described("Its value, if all have the same one.", string()),
                        ),
                    ])),
                ),
            ),
        ]),
        Some(status([])),
    )
}

pub(super) fn event_policy() -> Value {
    let receiver = object([("apiVersion", string()), ("kind", string()), ("name", string())]);
    let selector = with_fields(
        object([("apiVersion", string()), ("kind", string())]),
        label_selector_fields(),
    );
    let to = object([
        ("ref", described("One receiver of the same namespace.", receiver)),
        (
            "selector",
            described("Receivers of a kind, by their labels.", selector),
        ),
    ]);
    let sender = object([
        ("apiVersion", string()),
        ("kind", string()),
        ("name", string()),
        ("namespace", string()),
    ]);
    let from = object([
        (
            "ref",
            described("An object that sends with an identity of its own.", sender),
        ),
        (
            "sub",
            described(
                "Subject of a token; a * at its end stands for any rest.",
                string(),
            ),
        ),
    ]);
    resource(
        "Says who may send which events to whom.",
        object([
            (
                "to",
                described("Receivers; none means all of the namespace.", list(to)),
            ),
            ("from", described("Senders.", list(from))),
            ("filters", filters()),
        ]),
        Some(status([(
            "from",
            described("Subjects of the senders' tokens.", list(string())),
        )])),
    )
}

pub(super) fn request_reply() -> Value {
    resource(
        "A synchronous front of a broker: a request waits for the event that answers it.",
        object([
            ("brokerRef", described("The broker.", reference())),
            (
                "correlationAttribute",
                described("Attribute that carries the correlation id.", string()),
            ),
            (
                "replyAttribute",
                described("Attribute by which an answer names the request.", string()),
            ),
            (
                "timeout",
                described("Longest that a request waits, an ISO 8601 duration.", string()),
            ),
            ("delivery", delivery()),
        ]),
        Some(with_fields(
            status(address_fields()),
            [
                ("auth", auth()),
                ("desiredReplicas", int32()),
                ("readyReplicas", int32()),
            ],
        )),
    )
}
