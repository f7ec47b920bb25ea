//! A task that is written into the pipeline that runs it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::task::TaskSpec;

/// The spec of a task inside a pipeline; with `apiVersion` and `kind`, of a custom task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedTask {
    /// API version of a custom task.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Kind of a custom task.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Spec of a custom task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
    /// Labels and annotations of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PipelineTaskMetadata>,
    /// The task, written inline beside the fields above.
    #[serde(flatten)]
    pub task_spec: TaskSpec,
}

impl EmbeddedTask {
    /// Is it a custom task? Even one that spells a Tekton Task is.
    pub fn is_custom(&self) -> bool {
        !self.api_version.is_empty() && !self.kind.is_empty()
    }
}

/// Labels and annotations that a run gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineTaskMetadata {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
