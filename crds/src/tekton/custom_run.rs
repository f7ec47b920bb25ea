//! CustomRun: a run of a task that somebody else's controller runs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::duration::Duration;
use super::embedded::PipelineTaskMetadata;
use super::param::Param;
use super::pipeline::is_zero;
use super::reference::TaskRef;
use super::status::RunStatus;
use super::workspace::WorkspaceBinding;
use crate::duck::status;

/// What runs, with what.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tekton.dev",
    version = "v1beta1",
    kind = "CustomRun",
    plural = "customruns",
    namespaced,
    status = "CustomRunStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "A run of a task that a controller of somebody else runs.",
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
pub struct CustomRunSpec {
    /// The task, elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_ref: Option<TaskRef>,
    /// The task, here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_spec: Option<EmbeddedCustomRunSpec>,
    /// What the task is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// What a person wants of the run.
    #[serde(
        default,
        deserialize_with = "super::unless_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub status: Option<CustomRunSpecStatus>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status_message: String,
    /// Attempts after the first one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
    /// Who runs it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Directories that it is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<WorkspaceBinding>,
}

/// A custom task that is written into its run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedCustomRunSpec {
    /// Its API version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Its kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Labels and annotations of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PipelineTaskMetadata>,
    /// Whatever its controller understands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
}

/// What a person wants of a CustomRun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CustomRunSpecStatus {
    /// That it ends.
    RunCancelled,
}

/// A result that came out of a custom task; always a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomRunResult {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

status! {
    /// What has been observed of a run, by the controller of its task.
    CustomRunStatus {
        /// When it started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub start_time: Option<Time>,
        /// When it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub completion_time: Option<Time>,
        /// What came out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub results: Vec<CustomRunResult>,
        /// The attempts before the present one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub retries_status: Vec<CustomRunStatus>,
        /// Whatever else its controller has to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub extra_fields: Option<Value>,
    }
}

impl RunStatus for CustomRunStatus {}
