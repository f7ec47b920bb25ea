//! Schemas of `serving.knative.dev`.

use serde_json::Value;

use super::build::*;
use super::pod::{revision_spec, template};
use super::status::{address, status, traffic};

const URL: &str = "URL that the outside uses.";
const LATEST_CREATED: &str = "The newest revision made from the template.";
const LATEST_READY: &str = "The newest revision that has become ready.";

pub(super) fn service() -> Value {
    resource(
        "A container run the serverless way: its revisions, its traffic and its URL.",
        object([
            ("template", template()),
            (
                "traffic",
                traffic("Shares of the requests; none given means all to the newest ready revision."),
            ),
        ]),
        Some(status([
            ("url", described(URL, string())),
            ("address", address()),
            ("traffic", traffic("The traffic as it flows.")),
            ("latestCreatedRevisionName", described(LATEST_CREATED, string())),
            ("latestReadyRevisionName", described(LATEST_READY, string())),
        ])),
    )
}

pub(super) fn configuration() -> Value {
    resource(
        "The history of a template: one revision for each state it has had.",
        object([("template", template())]),
        Some(status([
            ("latestCreatedRevisionName", described(LATEST_CREATED, string())),
            ("latestReadyRevisionName", described(LATEST_READY, string())),
        ])),
    )
}

pub(super) fn revision() -> Value {
    let image = || requiring(object([("name", string()), ("imageDigest", string())]), &["name"]);
    resource(
        "One immutable state of the code and its configuration.",
        revision_spec(),
        Some(status([
            (
                "logUrl",
                described("Where the logs of this revision can be read.", string()),
            ),
            (
                "containerStatuses",
                described("Images of the containers, by digest.", list(image())),
            ),
            (
                "initContainerStatuses",
                described("Images of the init containers, by digest.", list(image())),
            ),
            ("actualReplicas", described("Pods that are ready.", int32())),
            ("desiredReplicas", described("Pods that are wanted.", int32())),
        ])),
    )
}

pub(super) fn route() -> Value {
    resource(
        "The split of a name's requests over revisions.",
        object([(
            "traffic",
            traffic("Shares of the requests; they add up to 100 percent."),
        )]),
        Some(status([
            ("url", described(URL, string())),
            ("address", address()),
            ("traffic", traffic("The traffic as it flows.")),
        ])),
    )
}

pub(super) fn domain_mapping() -> Value {
    let reference = object([
        ("address", string()),
        ("apiVersion", string()),
        ("group", string()),
        ("kind", string()),
        ("name", string()),
        ("namespace", string()),
    ]);
    let tls = object([(
        "secretName",
        described("A secret of type kubernetes.io/tls in this namespace.", string()),
    )]);
    let spec = object([
        (
            "ref",
            described("Who serves the host.", requiring(reference, &["kind", "name"])),
        ),
        (
            "tls",
            described(
                "A certificate that the user brings.",
                requiring(tls, &["secretName"]),
            ),
        ),
    ]);
    resource(
        "A host of the user's own, served by another resource. The name of the object is the host.",
        requiring(spec, &["ref"]),
        Some(status([
            ("url", described(URL, string())),
            ("address", address()),
        ])),
    )
}
