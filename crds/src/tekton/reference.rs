//! References to tasks, pipelines and step actions, in the cluster or wherever a resolver finds them.

use serde::{Deserialize, Serialize};

use super::param::Param;

/// A Task, or with both `apiVersion` and `kind` a custom task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRef {
    /// Name in the cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its kind; defaulted to `Task`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its API version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Who finds it, if it is not in the cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resolver: String,
    /// What the resolver is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
}

impl TaskRef {
    /// Does it mean a custom task? Even one that spells a Tekton Task is.
    pub fn is_custom(&self) -> bool {
        !self.api_version.is_empty() && !self.kind.is_empty()
    }
}

/// A Pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineRef {
    /// Name in the cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its API version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Who finds it, if it is not in the cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resolver: String,
    /// What the resolver is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
}

/// A StepAction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRef {
    /// Name in the cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Who finds it, if it is not in the cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resolver: String,
    /// What the resolver is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
}
