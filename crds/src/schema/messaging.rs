//! Schemas of `messaging.knative.dev`.

use serde_json::Value;

use super::build::*;
use super::duck::*;
use super::status::status;

/// What the status of every channel has.
fn channel_status() -> Value {
    let subscriber = object([
        ("uid", string()),
        ("observedGeneration", int64()),
        ("ready", string()),
        ("message", string()),
    ]);
    let common = with_fields(status(address_fields()), dead_letter_fields());
    with_fields(
        common,
        [("subscribers", described("Who is served.", list(subscriber)))],
    )
}

pub(super) fn channel() -> Value {
    let own = [
        ("channel", described("The channel that was made.", reference())),
        ("deadLetterChannel", reference()),
    ];
    resource(
        "A channel of whichever kind is configured: events are sent to it and go to all of its subscribers.",
        object([
            ("channelTemplate", channel_template()),
            ("subscribers", subscribers()),
            ("delivery", delivery()),
        ]),
        Some(with_fields(channel_status(), own)),
    )
}

pub(super) fn in_memory_channel() -> Value {
    resource(
        "The channel that ships with the platform: events are sent to it and go to all of its subscribers.",
        object([("subscribers", subscribers()), ("delivery", delivery())]),
        Some(channel_status()),
    )
}

pub(super) fn subscription() -> Value {
    let physical = object([
        ("subscriberUri", string()),
        ("subscriberCACerts", string()),
        ("subscriberAudience", string()),
        ("replyUri", string()),
        ("replyCACerts", string()),
        ("replyAudience", string()),
        ("deadLetterSinkUri", string()),
        ("deadLetterSinkCACerts", string()),
        ("deadLetterSinkAudience", string()),
    ]);
    resource(
        "Hands the events of a channel to a subscriber, and its answers to another receiver.",
        object([
            ("channel", described("The channel.", reference())),
            ("subscriber", destination("Who gets the events.")),
            ("reply", destination("Who gets the answers.")),
            ("delivery", delivery()),
        ]),
        Some(status([
            (
                "physicalSubscription",
                described("The receivers, resolved.", physical),
            ),
            ("auth", auth()),
        ])),
    )
}
