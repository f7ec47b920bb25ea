//! What every status has, and the shapes that several of them share.

use serde_json::Value;

use super::build::*;

/// A status: the common fields and `fields`.
pub(super) fn status<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let condition = object([
        ("type", string()),
        ("status", string()),
        ("severity", string()),
        ("reason", string()),
        ("message", string()),
        ("lastTransitionTime", string()),
    ]);
    let common = object([
        (
            "annotations",
            described(
                "Annotations that belong to the status rather than to the object.",
                string_map(),
            ),
        ),
        (
            "conditions",
            described(
                "The latest observations of the resource, sorted by type.",
                list_by("type", requiring(condition, &["type", "status"])),
            ),
        ),
        (
            "observedGeneration",
            described("The generation of the spec that this status speaks of.", int64()),
        ),
    ]);
    described(
        "What has been observed; written by the controller alone.",
        with_fields(common, fields),
    )
}

/// Where something answers inside the cluster.
pub(super) fn address() -> Value {
    described(
        "Where the resource answers inside the cluster.",
        object([
            ("name", string()),
            ("url", string()),
            ("CACerts", string()),
            ("audience", string()),
        ]),
    )
}

/// One share of a Route's requests.
pub(super) fn traffic(description: &str) -> Value {
    let target = object([
        ("tag", described("Gives the target a host of its own.", string())),
        (
            "revisionName",
            described("The revision that gets the requests.", string()),
        ),
        (
            "configurationName",
            described(
                "The configuration whose newest ready revision gets the requests.",
                string(),
            ),
        ),
        (
            "latestRevision",
            described(
                "Whether the newest ready revision gets the requests; then no revision is named.",
                boolean(),
            ),
        ),
        ("percent", described("Share of the requests, 0 to 100.", int64())),
        (
            "url",
            described("URL of the tagged host; only in a status.", string()),
        ),
    ]);
    described(description, list(target))
}
