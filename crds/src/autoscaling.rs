//! `autoscaling.internal.knative.dev`: what the revisions ask of the autoscaler.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::conditions::{Condition, conditioned};
use crate::networking::ProtocolType;

/// API group of the kinds in this module.
pub const GROUP: &str = "autoscaling.internal.knative.dev";

/// What is scaled, and how its load is counted.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "autoscaling.internal.knative.dev",
    version = "v1alpha1",
    kind = "PodAutoscaler",
    plural = "podautoscalers",
    namespaced,
    status = "PodAutoscalerStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "How one revision is to be scaled, and how far that has come.",
    shortname = "kpa",
    shortname = "pa",
    category = "knative-internal",
    category = "autoscaling",
    label("knative.dev/crd-install", "true"),
    printcolumn(
        name = "DesiredScale",
        type_ = "integer",
        json_path = r#".status.desiredScale"#
    ),
    printcolumn(name = "ActualScale", type_ = "integer", json_path = r#".status.actualScale"#),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].reason"#
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PodAutoscalerSpec {
    /// Requests that one pod may work on at once; 0 or absent is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_concurrency: Option<i64>,
    /// What carries the replicas, normally the revision's Deployment.
    #[serde(default)]
    pub scale_target_ref: ObjectReference,
    /// Can requests reach the target?
    #[serde(default, skip_serializing_if = "Reachability::is_unknown")]
    pub reachability: Reachability,
    /// Protocol of the application.
    #[serde(default)]
    pub protocol_type: ProtocolType,
}

/// Can requests reach the target of a PodAutoscaler?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reachability {
    /// A route sends requests to it.
    Reachable,
    /// No route does: it may scale to zero whatever its minimum says.
    Unreachable,
    /// Not known; treated like reachable. Absent on the wire, or the empty string.
    #[default]
    #[serde(rename = "", other)]
    Unknown,
}

impl Reachability {
    /// Is it not known?
    pub fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

/// What the autoscaler wants and sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodAutoscalerStatus {
    /// The living conditions, sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Annotations that belong to the status rather than to the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The Service in front of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// The Service that the pods are measured through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_service_name: Option<String>,
    /// Pods wanted; −1 or absent while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_scale: Option<i32>,
    /// Pods ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual_scale: Option<i32>,
}

conditioned!(PodAutoscalerStatus);

/// What to measure.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "autoscaling.internal.knative.dev",
    version = "v1alpha1",
    kind = "Metric",
    plural = "metrics",
    namespaced,
    status = "MetricStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "What to measure of one revision, and over which windows.",
    category = "knative-internal",
    category = "autoscaling",
    label("knative.dev/crd-install", "true"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].reason"#
    )
)]
#[serde(rename_all = "camelCase")]
pub struct MetricSpec {
    /// Length of the stable window, nanoseconds.
    #[serde(default)]
    pub stable_window: i64,
    /// Length of the panic window, nanoseconds.
    #[serde(default)]
    pub panic_window: i64,
    /// The Service whose pods are measured; empty means that only the activators report.
    #[serde(default)]
    pub scrape_target: String,
}

/// Whether measuring works.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricStatus {
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

conditioned!(MetricStatus);
