//! Revision: one immutable state of the code and its configuration.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::conditions::{Condition, conditioned};

/// What runs: a pod, how many requests each may get at once, and how long they may take.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "serving.knative.dev",
    version = "v1",
    kind = "Revision",
    plural = "revisions",
    namespaced,
    status = "RevisionStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "One immutable state of the code and its configuration.",
    shortname = "rev",
    category = "all",
    category = "knative",
    category = "serving",
    label("knative.dev/crd-install", "true"),
    printcolumn(
        name = "Config Name",
        type_ = "string",
        json_path = r#".metadata.labels['serving\.knative\.dev/configuration']"#
    ),
    printcolumn(
        name = "Generation",
        type_ = "string",
        json_path = r#".metadata.labels['serving\.knative\.dev/configurationGeneration']"#
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].reason"#
    ),
    printcolumn(
        name = "Actual Replicas",
        type_ = "integer",
        json_path = r#".status.actualReplicas"#
    ),
    printcolumn(
        name = "Desired Replicas",
        type_ = "integer",
        json_path = r#".status.desiredReplicas"#
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RevisionSpec {
    /// The pod, written inline beside the fields below.
    #[serde(flatten)]
    pub pod_spec: PodSpec,
    /// Requests that one pod may work on at once; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_concurrency: Option<i64>,
    /// Seconds that a request may take in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// Seconds to the first byte of the response; absent or 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_start_timeout_seconds: Option<i64>,
    /// Seconds without a byte of the response; absent or 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_seconds: Option<i64>,
}

/// How the revisions of a Configuration look: `spec.template`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionTemplateSpec {
    /// Labels, annotations and, if the user brings it, the name of the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ObjectMeta>,
    /// What the revision runs.
    #[serde(default)]
    pub spec: RevisionSpec,
}

/// What has been observed of the revision's pods and images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// The living conditions, sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Annotations that belong to the status rather than to the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Where the logs of this revision can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_url: Option<String>,
    /// Images of the containers, resolved to digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub container_statuses: Vec<ContainerStatus>,
    /// Images of the init containers, resolved to digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Pods that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual_replicas: Option<i32>,
    /// Pods that are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<i32>,
}

conditioned!(RevisionStatus);

/// What a container's image resolved to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Name of the container.
    #[serde(default)]
    pub name: String,
    /// The image by digest; empty when its registry is exempt from resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
}
