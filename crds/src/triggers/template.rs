//! TriggerTemplate: what is created.

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duck::status;

/// Objects with params in them.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "triggers.tekton.dev",
    version = "v1beta1",
    kind = "TriggerTemplate",
    plural = "triggertemplates",
    shortname = "tt",
    namespaced,
    status = "TriggerTemplateStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "The objects that a trigger makes.",
    category = "tekton",
    category = "tekton-triggers",
    label("app.kubernetes.io/part-of", "tekton-triggers")
)]
pub struct TriggerTemplateSpec {
    /// What it may be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<TemplateParam>,
    /// The objects, in the order in which they are created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resourcetemplates: Vec<Value>,
}

/// A param that is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateParam {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The value when none is given; without it the param must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

status! {
    /// Nothing is observed of it.
    TriggerTemplateStatus {}
}
