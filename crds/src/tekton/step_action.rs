//! StepAction: a step that tasks refer to.

use k8s_openapi::api::core::v1::{EnvVar, SecurityContext, VolumeMount};
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::param::ParamSpec;
use super::result::StepResult;

/// What the step runs.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tekton.dev",
    version = "v1beta1",
    kind = "StepAction",
    plural = "stepactions",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "A step that tasks refer to.",
    category = "tekton",
    category = "tekton-pipelines",
    label("app.kubernetes.io/part-of", "tekton-pipelines")
)]
#[serde(rename_all = "camelCase")]
pub struct StepActionSpec {
    /// Words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The program instead of the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Arguments of the program or script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<EnvVar>>,
    /// A script that runs instead of a program; params reach it by the environment only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub script: String,
    /// Where the program starts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// What it may be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ParamSpec>,
    /// What comes out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<StepResult>,
    /// What it may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// Where it sees volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_mounts: Option<Vec<VolumeMount>>,
}
