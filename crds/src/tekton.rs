//! `tekton.dev` and `resolution.tekton.dev`: tasks, pipelines, and their runs.
//!
//! Of each kind the version is typed that is stored: v1, and v1beta1 of StepAction, CustomRun and ResolutionRequest.
//! [`versions`] knows how others become it.

pub mod annotations;
mod custom_run;
mod duration;
mod embedded;
#[cfg(test)]
pub(crate) mod examples;
pub mod labels;
pub mod names;
mod param;
mod pipeline;
mod pipeline_run;
mod pod_template;
pub mod reasons;
mod reference;
pub mod resolution;
mod result;
mod status;
mod step;
mod step_action;
mod task;
mod task_run;
pub mod v1beta1;
pub mod versions;
mod workspace;

pub use custom_run::{
    CustomRun, CustomRunResult, CustomRunSpec, CustomRunSpecStatus, CustomRunStatus, EmbeddedCustomRunSpec,
};
pub use duration::Duration;
pub use embedded::{EmbeddedTask, PipelineTaskMetadata};
pub use param::{Param, ParamSpec, ParamType, ParamValue, PropertySpec};
pub use pipeline::{IncludeParams, Matrix, Operator, Pipeline, PipelineSpec, PipelineTask, WhenExpression};
pub use pipeline_run::{
    ChildStatusReference, PipelineRun, PipelineRunSpec, PipelineRunSpecStatus, PipelineRunStatus,
    PipelineTaskRunSpec, PipelineTaskRunTemplate, SkippedTask, TimeoutFields,
};
pub use pod_template::{AssistantTemplate, PodTemplate};
pub use reference::{PipelineRef, StepRef, TaskRef};
pub use resolution::{ResolutionRequest, ResolutionRequestSpec, ResolutionRequestStatus};
pub use result::{PipelineResult, PipelineRunResult, StepResult, TaskResult, TaskRunResult};
pub use status::{
    Artifact, ArtifactValue, Artifacts, Provenance, RefSource, RunStatus, SUCCEEDED, set_succeeded,
};
pub use step::{OutputConfig, Sidecar, Step, StepTemplate};
pub use step_action::{StepAction, StepActionSpec};
pub use task::{Task, TaskSpec};
pub use task_run::{
    SidecarState, StepState, TaskBreakpoints, TaskRun, TaskRunDebug, TaskRunSidecarSpec, TaskRunSpec,
    TaskRunSpecStatus, TaskRunStatus, TaskRunStepSpec,
};
pub use workspace::{
    PipelineWorkspaceDeclaration, WorkspaceBinding, WorkspaceDeclaration, WorkspacePipelineTaskBinding,
    WorkspaceUsage,
};

/// API group of the kinds in this module, but for [`ResolutionRequest`].
pub const GROUP: &str = "tekton.dev";
/// API group of [`ResolutionRequest`].
pub const RESOLUTION_GROUP: &str = "resolution.tekton.dev";
/// `apiVersion` of tasks, pipelines and their runs.
pub const API_VERSION: &str = "tekton.dev/v1";
/// `spec.managedBy` of runs that are ours; so are those that do not say.
pub const MANAGED_BY: &str = "tekton.dev/pipeline";

/// Is a run with this `spec.managedBy` ours?
pub fn is_ours(managed_by: Option<&str>) -> bool {
    managed_by.is_none_or(|controller| controller == MANAGED_BY)
}

/// What is read as absent where an enumeration may also be the empty string.
fn unless_empty<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    use serde::Deserialize as _;
    use serde::de::IntoDeserializer as _;
    match Option::<String>::deserialize(deserializer)? {
        Some(text) if !text.is_empty() => {
            let text: serde::de::value::StringDeserializer<D::Error> = text.into_deserializer();
            T::deserialize(text).map(Some)
        }
        _ => Ok(None),
    }
}
