//! Schemas of `autoscaling.internal.knative.dev`.

use serde_json::Value;

use super::build::*;
use super::status::status;

pub(super) fn pod_autoscaler() -> Value {
    let spec = object([
        (
            "containerConcurrency",
            described(
                "Requests that one pod may work on at once; 0 is unlimited.",
                int64(),
            ),
        ),
        (
            "protocolType",
            described("Protocol of the application: http1 or h2c.", string()),
        ),
        (
            "reachability",
            described(
                "Whether requests can reach the target: Reachable, Unreachable, or nothing.",
                string(),
            ),
        ),
        ("scaleTargetRef", object_reference()),
    ]);
    resource(
        "How one revision is to be scaled, and how far that has come.",
        requiring(spec, &["protocolType", "scaleTargetRef"]),
        Some(status([
            (
                "serviceName",
                described("The Service in front of the pods.", string()),
            ),
            (
                "metricsServiceName",
                described("The Service that the pods are measured through.", string()),
            ),
            (
                "desiredScale",
                described("Pods wanted; -1 while unknown.", int32()),
            ),
            ("actualScale", described("Pods ready.", int32())),
        ])),
    )
}

pub(super) fn metric() -> Value {
    let spec = object([
        (
            "stableWindow",
            described("Length of the stable window in nanoseconds.", int64()),
        ),
        (
            "panicWindow",
            described("Length of the panic window in nanoseconds.", int64()),
        ),
        (
            "scrapeTarget",
            described(
                "The Service whose pods are measured; empty means that only activators report.",
                string(),
            ),
        ),
    ]);
    resource(
        "What to measure of one revision, and over which windows.",
        requiring(spec, &["panicWindow", "scrapeTarget", "stableWindow"]),
        Some(status([])),
    )
}

/// A reference to what carries the replicas.
pub(super) fn object_reference() -> Value {
    described(
        "What carries the pods, normally the revision's Deployment.",
        atomic(object([
            ("apiVersion", string()),
            ("fieldPath", string()),
            ("kind", string()),
            ("name", string()),
            ("namespace", string()),
            ("resourceVersion", string()),
            ("uid", string()),
        ])),
    )
}
