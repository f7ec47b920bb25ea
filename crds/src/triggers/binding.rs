//! TriggerBinding and ClusterTriggerBinding: what params are made of.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::status;

/// Params, by expressions over an event.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "triggers.tekton.dev",
    version = "v1beta1",
    kind = "TriggerBinding",
    plural = "triggerbindings",
    shortname = "tb",
    namespaced,
    status = "TriggerBindingStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Says which params are made of what in an event.",
    category = "tekton",
    category = "tekton-triggers",
    label("app.kubernetes.io/part-of", "tekton-triggers")
)]
pub struct TriggerBindingSpec {
    /// The params.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<BindingParam>,
}

/// A param, and what it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingParam {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// A text with expressions.
    #[serde(default)]
    pub value: String,
}

status! {
    /// Nothing is observed of it.
    TriggerBindingStatus {}
}

/// Params, by expressions over an event, for all namespaces.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "triggers.tekton.dev",
    version = "v1beta1",
    kind = "ClusterTriggerBinding",
    plural = "clustertriggerbindings",
    shortname = "ctb",
    status = "TriggerBindingStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Says which params are made of what in an event, for every namespace.",
    category = "tekton",
    category = "tekton-triggers",
    label("app.kubernetes.io/part-of", "tekton-triggers")
)]
pub struct ClusterTriggerBindingSpec {
    /// The params.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<BindingParam>,
}
