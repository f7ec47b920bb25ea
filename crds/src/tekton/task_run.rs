//! TaskRun: one run of a task.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::param::Param;
use super::pipeline::is_zero;
use super::pod_template::PodTemplate;
use super::reference::TaskRef;
use super::result::TaskRunResult;
use super::status::{Artifact, Artifacts, Provenance, RunStatus};
use super::task::TaskSpec;
use super::workspace::WorkspaceBinding;
use crate::duck::status;

/// What runs, with what.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tekton.dev",
    version = "v1",
    kind = "TaskRun",
    plural = "taskruns",
    namespaced,
    status = "TaskRunStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "One run of a task.",
    shortname = "tr",
    shortname = "trs",
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
pub struct TaskRunSpec {
    /// Where it stops for people to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug: Option<TaskRunDebug>,
    /// What the task is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// Who the pod is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
    /// The task, elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_ref: Option<TaskRef>,
    /// The task, here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_spec: Option<TaskSpec>,
    /// What a person wants of the run.
    #[serde(
        default,
        deserialize_with = "super::unless_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub status: Option<TaskRunSpecStatus>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status_message: String,
    /// Attempts after the first one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
    /// How long an attempt may take; zero: as long as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Fields of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// Directories that it is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<WorkspaceBinding>,
    /// What single steps need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step_specs: Vec<TaskRunStepSpec>,
    /// What single sidecars need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sidecar_specs: Vec<TaskRunSidecarSpec>,
    /// What all steps together need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_resources: Option<ResourceRequirements>,
    /// The controller whose run it is; see [`super::is_ours`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
}

impl TaskRunSpec {
    /// Does somebody want the run to end?
    pub fn is_cancelled(&self) -> bool {
        self.status == Some(TaskRunSpecStatus::TaskRunCancelled)
    }

    /// Does somebody want the run not to begin yet?
    pub fn is_pending(&self) -> bool {
        self.status == Some(TaskRunSpecStatus::TaskRunPending)
    }
}

/// What a person wants of a TaskRun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskRunSpecStatus {
    /// That it ends.
    TaskRunCancelled,
    /// That it does not begin yet.
    TaskRunPending,
}

/// Where a run stops for people to look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRunDebug {
    /// The places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breakpoints: Option<TaskBreakpoints>,
}

/// Places where a run stops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskBreakpoints {
    /// `enabled`: at a step that failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub on_failure: String,
    /// Before these steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before_steps: Vec<String>,
}

/// What a step needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRunStepSpec {
    /// Name of the step.
    #[serde(default)]
    pub name: String,
    /// What it needs, and may use at most.
    #[serde(default)]
    pub compute_resources: ResourceRequirements,
}

/// What a sidecar needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRunSidecarSpec {
    /// Name of the sidecar.
    #[serde(default)]
    pub name: String,
    /// What it needs, and may use at most.
    #[serde(default)]
    pub compute_resources: ResourceRequirements,
}

status! {
    /// What has been observed of a run.
    TaskRunStatus {
        /// Name of the pod.
        #[serde(default)]
        pub pod_name: String,
        /// When it started; of the present attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub start_time: Option<Time>,
        /// When it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub completion_time: Option<Time>,
        /// The steps, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub steps: Vec<StepState>,
        /// The attempts before the present one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub retries_status: Vec<TaskRunStatus>,
        /// What came out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub results: Vec<TaskRunResult>,
        /// What came out, by digests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub artifacts: Option<Artifacts>,
        /// The sidecars.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub sidecars: Vec<SidecarState>,
        /// The task as it was found, with its variables replaced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub task_spec: Option<TaskSpec>,
        /// Where the task came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub provenance: Option<Provenance>,
        /// The trace that it belongs to.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub span_context: BTreeMap<String, String>,
    }
}

impl RunStatus for TaskRunStatus {}

/// How a step is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepState {
    /// It waits for something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<ContainerStateWaiting>,
    /// It runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<ContainerStateRunning>,
    /// It is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminated: Option<ContainerStateTerminated>,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Name of its container.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// Its image by digest.
    #[serde(default, rename = "imageID", skip_serializing_if = "String::is_empty")]
    pub image_id: String,
    /// What came out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<TaskRunResult>,
    /// Where its StepAction came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// Why it is over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub termination_reason: String,
    /// What went in, by digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Artifact>,
    /// What came out, by digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Artifact>,
}

/// How a sidecar is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SidecarState {
    /// It waits for something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<ContainerStateWaiting>,
    /// It runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<ContainerStateRunning>,
    /// It is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminated: Option<ContainerStateTerminated>,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Name of its container.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// Its image by digest.
    #[serde(default, rename = "imageID", skip_serializing_if = "String::is_empty")]
    pub image_id: String,
}
