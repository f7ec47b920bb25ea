//! Pipeline: tasks in an order that follows from what they need of each other.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::embedded::EmbeddedTask;
use super::param::{Param, ParamSpec};
use super::reference::{PipelineRef, TaskRef};
use super::result::PipelineResult;
use super::workspace::{PipelineWorkspaceDeclaration, WorkspacePipelineTaskBinding};

/// The tasks, and what they need.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tekton.dev",
    version = "v1",
    kind = "Pipeline",
    plural = "pipelines",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Tasks in an order that follows from what they need of each other.",
    category = "tekton",
    category = "tekton-pipelines",
    label("app.kubernetes.io/part-of", "tekton-pipelines")
)]
#[serde(rename_all = "camelCase")]
pub struct PipelineSpec {
    /// A name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it may be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ParamSpec>,
    /// What runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<PipelineTask>,
    /// Directories that it is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<PipelineWorkspaceDeclaration>,
    /// What comes out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<PipelineResult>,
    /// What runs at the end, however it went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finally: Vec<PipelineTask>,
}

/// One task of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineTask {
    /// Its name within the pipeline.
    #[serde(default)]
    pub name: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The task, elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_ref: Option<TaskRef>,
    /// The task, here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_spec: Option<EmbeddedTask>,
    /// Conditions without which it is skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<WhenExpression>,
    /// Attempts after the first one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
    /// Tasks that it comes after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run_after: Vec<String>,
    /// What it is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// Values of which each combination is a run of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Matrix>,
    /// Directories that it is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<WorkspacePipelineTaskBinding>,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// What its failure means: `stopAndFail` (also when absent) or `continue`; may hold variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub on_error: String,
    /// A pipeline elsewhere, instead of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_ref: Option<PipelineRef>,
    /// A pipeline here, instead of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_spec: Option<Box<PipelineSpec>>,
}

pub(super) fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl PipelineTask {
    /// Is it a custom task?
    pub fn is_custom(&self) -> bool {
        self.task_ref.as_ref().is_some_and(TaskRef::is_custom)
            || self.task_spec.as_ref().is_some_and(EmbeddedTask::is_custom)
    }

    /// Does it run once for each combination of values?
    pub fn is_matrixed(&self) -> bool {
        self.matrix
            .as_ref()
            .is_some_and(|matrix| !(matrix.params.is_empty() && matrix.include.is_empty()))
    }
}

/// Values of which each combination is a run of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Matrix {
    /// Lists of values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// Combinations that get more params, or are added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<IncludeParams>,
}

/// One combination of a matrix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncludeParams {
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
}

/// A condition: either a comparison with a list, or an expression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhenExpression {
    /// What is looked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub input: String,
    /// Whether it has to be there.
    #[serde(
        default,
        deserialize_with = "super::unless_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub operator: Option<Operator>,
    /// Where it is looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// An expression in CEL.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cel: String,
}

/// How a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operator {
    /// The input is one of the values.
    In,
    /// The input is none of the values.
    NotIn,
}
