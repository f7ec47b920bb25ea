//! Schemas of `flows.knative.dev`.

use serde_json::Value;

use super::build::*;
use super::duck::*;
use super::status::status;

/// A child of a flow under the field `name`, and its condition `Ready`.
fn child(name: &str) -> Value {
    let reference = object([
        ("apiVersion", string()),
        ("fieldPath", string()),
        ("kind", string()),
        ("name", string()),
        ("namespace", string()),
        ("resourceVersion", string()),
        ("uid", string()),
    ]);
    let condition = object([
        ("type", string()),
        ("status", string()),
        ("severity", string()),
        ("reason", string()),
        ("message", string()),
        ("lastTransitionTime", string()),
    ]);
    object([(name, reference), ("ready", condition)])
}

pub(super) fn sequence() -> Value {
    let step = with_fields(object(destination_fields()), [("delivery", delivery())]);
    let own = [
        ("channelStatuses", list(child("channel"))),
        ("subscriptionStatuses", list(child("subscription"))),
        ("auth", auth()),
    ];
    resource(
        "Steps of which each gets what the one before answered.",
        object([
            ("steps", described("The steps, in order.", list(step))),
            ("channelTemplate", channel_template()),
            ("reply", destination("Who gets what the last step answers.")),
        ]),
        Some(with_fields(status(address_fields()), own)),
    )
}

pub(super) fn parallel() -> Value {
    let branch = object([
        (
            "filter",
            destination("Gets each event first; what it answers goes on to the subscriber."),
        ),
        ("subscriber", destination("Who gets the events.")),
        ("reply", destination("Who gets what the subscriber answers.")),
        ("delivery", delivery()),
    ]);
    let branch_status = object([
        ("filterSubscriptionStatus", child("subscription")),
        ("filterChannelStatus", child("channel")),
        ("subscriberSubscriptionStatus", child("subscription")),
    ]);
    let own = [
        ("ingressChannelStatus", child("channel")),
        ("branchStatuses", list(branch_status)),
        ("auth", auth()),
    ];
    resource(
        "Branches that all get the same events, each behind a filter of its own.",
        object([
            ("branches", described("The branches.", list(branch))),
            ("channelTemplate", channel_template()),
            (
                "reply",
                destination("Who gets what the branches answer, if they do not say."),
            ),
        ]),
        Some(with_fields(status(address_fields()), own)),
    )
}
