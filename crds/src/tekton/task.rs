//! Task: steps that run one after the other in one pod.

use k8s_openapi::api::core::v1::Volume;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::param::ParamSpec;
use super::result::TaskResult;
use super::step::{Sidecar, Step, StepTemplate};
use super::workspace::WorkspaceDeclaration;

/// The steps, and what they need.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tekton.dev",
    version = "v1",
    kind = "Task",
    plural = "tasks",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Steps that run one after the other in one pod.",
    category = "tekton",
    category = "tekton-pipelines",
    label("app.kubernetes.io/part-of", "tekton-pipelines")
)]
#[serde(rename_all = "camelCase")]
pub struct TaskSpec {
    /// What it may be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ParamSpec>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What runs, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Volumes that steps and sidecars may mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// What every step has unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_template: Option<StepTemplate>,
    /// What runs beside the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<Sidecar>,
    /// Directories that it is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<WorkspaceDeclaration>,
    /// What comes out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<TaskResult>,
}
