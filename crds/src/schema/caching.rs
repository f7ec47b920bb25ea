//! Schemas of `caching.internal.knative.dev`.

use serde_json::Value;

use super::build::*;
use super::status::status;

pub(super) fn image() -> Value {
    let spec = object([
        ("image", described("The image, by digest if possible.", string())),
        (
            "imagePullSecrets",
            list(atomic(object([("name", defaulted(""))]))),
        ),
        (
            "serviceAccountName",
            described("Service account whose pull secrets may be used.", string()),
        ),
    ]);
    resource(
        "An image worth having on every node before it is needed.",
        requiring(spec, &["image"]),
        Some(status([])),
    )
}
