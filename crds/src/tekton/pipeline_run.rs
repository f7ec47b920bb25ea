//! PipelineRun: one run of a pipeline.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::embedded::PipelineTaskMetadata;
use super::param::Param;
use super::pipeline::{PipelineSpec, WhenExpression};
use super::pod_template::PodTemplate;
use super::reference::PipelineRef;
use super::result::PipelineRunResult;
use super::status::{Provenance, RunStatus};
use super::task_run::{TaskRunSidecarSpec, TaskRunStepSpec};
use super::workspace::WorkspaceBinding;
use crate::duck::status;

/// What runs, with what.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tekton.dev",
    version = "v1",
    kind = "PipelineRun",
    plural = "pipelineruns",
    namespaced,
    status = "PipelineRunStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "One run of a pipeline.",
    shortname = "pr",
    shortname = "prs",
    category = "tekton",
    category = "tekton-pipelines",
    label("app.kubernetes.io/part-of", "tekton-pipelines"),
    printcolumn(
        name = "Succeeded",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].reason"#
    ),
    printcolumn(name = "StartTime", type_ = "date", json_path = r#".status.startTime"#),
    printcolumn(
        name = "CompletionTime",
        type_ = "date",
        json_path = r#".status.completionTime"#
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PipelineRunSpec {
    /// The pipeline, elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_ref: Option<PipelineRef>,
    /// The pipeline, here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_spec: Option<PipelineSpec>,
    /// What the pipeline is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// What a person wants of the run.
    #[serde(
        default,
        deserialize_with = "super::unless_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub status: Option<PipelineRunSpecStatus>,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutFields>,
    /// What all its TaskRuns have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_run_template: Option<PipelineTaskRunTemplate>,
    /// Directories that it is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<WorkspaceBinding>,
    /// What single TaskRuns have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub task_run_specs: Vec<PipelineTaskRunSpec>,
    /// The controller whose run it is; see [`super::is_ours`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
}

/// What a person wants of a PipelineRun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PipelineRunSpecStatus {
    /// That it ends at once.
    Cancelled,
    /// That its tasks end at once, and `finally` runs.
    CancelledRunFinally,
    /// That no further tasks begin, and `finally` runs.
    StoppedRunFinally,
    /// That it does not begin yet.
    PipelineRunPending,
}

/// How long a PipelineRun may take; zero: as long as it likes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeoutFields {
    /// In all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Duration>,
    /// Its tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Duration>,
    /// Its tasks of `finally`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<Duration>,
}

/// What all TaskRuns of a PipelineRun have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineTaskRunTemplate {
    /// Fields of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// Who the pods are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
}

/// What the TaskRuns of one task have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineTaskRunSpec {
    /// Name of the task within the pipeline.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pipeline_task_name: String,
    /// Who the pod is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
    /// Fields of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// What single steps need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step_specs: Vec<TaskRunStepSpec>,
    /// What single sidecars need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sidecar_specs: Vec<TaskRunSidecarSpec>,
    /// Labels and annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PipelineTaskMetadata>,
    /// What all steps together need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_resources: Option<ResourceRequirements>,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

status! {
    /// What has been observed of a run.
    PipelineRunStatus {
        /// When it started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub start_time: Option<Time>,
        /// When it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub completion_time: Option<Time>,
        /// What came out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub results: Vec<PipelineRunResult>,
        /// The pipeline as it was found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub pipeline_spec: Option<PipelineSpec>,
        /// The tasks that did not run, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub skipped_tasks: Vec<SkippedTask>,
        /// The runs that were made.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub child_references: Vec<ChildStatusReference>,
        /// When `finally` started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub finally_start_time: Option<Time>,
        /// Where the pipeline came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub provenance: Option<Provenance>,
        /// The trace that it belongs to.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub span_context: BTreeMap<String, String>,
    }
}

impl RunStatus for PipelineRunStatus {}

/// A task that did not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkippedTask {
    /// Its name within the pipeline.
    #[serde(default)]
    pub name: String,
    /// Why; see [`super::reasons::skipped`].
    #[serde(default)]
    pub reason: String,
    /// Its conditions, if they are why, with their variables replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when_expressions: Vec<WhenExpression>,
}

/// A run that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildStatusReference {
    /// Its API version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Its kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Name of its task within the pipeline.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pipeline_task_name: String,
    /// The conditions that it passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when_expressions: Vec<WhenExpression>,
}
