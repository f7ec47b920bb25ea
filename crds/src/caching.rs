//! `caching.internal.knative.dev`: images worth having on every node.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::LocalObjectReference;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::conditions::{Condition, conditioned};

/// API group of the kinds in this module.
pub const GROUP: &str = "caching.internal.knative.dev";

/// Which image, and how to get it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "caching.internal.knative.dev",
    version = "v1alpha1",
    kind = "Image",
    plural = "images",
    namespaced,
    status = "ImageStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "An image worth having on every node before it is needed.",
    category = "knative-internal",
    category = "caching",
    label("knative.dev/crd-install", "true"),
    printcolumn(name = "Image", type_ = "string", json_path = r#".spec.image"#)
)]
#[serde(rename_all = "camelCase")]
pub struct ImageSpec {
    /// The image, by digest if possible.
    #[serde(default)]
    pub image: String,
    /// Service account whose pull secrets may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Pull secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

/// What a cacher reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageStatus {
    /// The living conditions, sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Annotations that belong to the status rather than to the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

conditioned!(ImageStatus);
