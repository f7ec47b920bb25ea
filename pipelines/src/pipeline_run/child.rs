//! The runs that a PipelineRun has made, whatever their kind.

use std::collections::BTreeMap;

use crds::conditions::Condition;
use crds::tekton::reasons::{custom_run, pipeline_run, task_run};
use crds::tekton::{
    Artifacts, CustomRun, ParamValue, PipelineRun, PipelineRunSpecStatus, RunStatus, TaskRun, annotations,
    labels,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use crate::graph::ReferenceKind;

/// `spec.statusMessage` of children that have to end because time is up.
pub const TIMED_OUT: &str = "TaskRun cancelled as the PipelineRun it belongs to has timed out.";
/// `spec.statusMessage` of children that have to end because somebody wants so.
pub const CANCELLED: &str = "TaskRun cancelled as the PipelineRun it belongs to has been cancelled.";

/// The kinds that children may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    TaskRun,
    CustomRun,
    PipelineRun,
}

impl Kind {
    /// `apiVersion` and `kind`.
    pub fn type_(self) -> (&'static str, &'static str) {
        match self {
            Self::TaskRun => ("tekton.dev/v1", "TaskRun"),
            Self::CustomRun => ("tekton.dev/v1beta1", "CustomRun"),
            Self::PipelineRun => ("tekton.dev/v1", "PipelineRun"),
        }
    }

    /// What a merge patch has to say so that a run ends.
    pub fn cancellation(self, message: &str) -> serde_json::Value {
        match self {
            Self::TaskRun => {
                serde_json::json!({"spec": {"status": "TaskRunCancelled", "statusMessage": message}})
            }
            Self::CustomRun => {
                serde_json::json!({"spec": {"status": "RunCancelled", "statusMessage": message}})
            }
            Self::PipelineRun => serde_json::json!({"spec": {"status": "Cancelled"}}),
        }
    }
}

/// One of them, as far as its parent looks at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    pub kind: Kind,
    pub name: String,
    /// Name of its task within the pipeline.
    pub task: String,
    pub outcome: Outcome,
    /// Of its condition.
    pub reason: String,
    /// Has it been told to end?
    pub cancelled: bool,
    /// Because its parent's time was up?
    pub timed_out: bool,
    /// Was it done by an earlier run already?
    pub taken_over: bool,
    /// What came out.
    pub results: BTreeMap<String, ParamValue>,
    /// What went in and came out, by digests.
    pub artifacts: Artifacts,
    pub created: Option<Timestamp>,
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is not over.
    Running,
    Succeeded,
    /// It failed, or took too long.
    Failed,
    /// It ended because somebody wanted so.
    Cancelled,
}

impl Child {
    fn new(kind: Kind, meta: &ObjectMeta, succeeded: Option<&Condition>, cancelled_by: &[&str]) -> Self {
        let reason = succeeded
            .and_then(|condition| condition.reason.clone())
            .unwrap_or_default();
        let outcome = match succeeded {
            Some(condition) if condition.is_true() => Outcome::Succeeded,
            Some(condition) if condition.is_false() && cancelled_by.contains(&reason.as_str()) => {
                Outcome::Cancelled
            }
            Some(condition) if condition.is_false() => Outcome::Failed,
            _ => Outcome::Running,
        };
        let label = meta
            .labels
            .as_ref()
            .and_then(|all| all.get(labels::PIPELINE_TASK));
        Self {
            kind,
            name: meta.name.clone().unwrap_or_default(),
            task: label.cloned().unwrap_or_default(),
            outcome,
            reason,
            cancelled: false,
            timed_out: false,
            taken_over: false,
            results: BTreeMap::new(),
            artifacts: Artifacts::default(),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
        }
    }

    /// The values of an artifact as JSON, as steps of the same task would see them. Without a name it is the first one.
    pub fn artifact(&self, kind: ReferenceKind, name: &str) -> Option<String> {
        let all = match kind {
            ReferenceKind::Result => return None,
            ReferenceKind::Input => &self.artifacts.inputs,
            ReferenceKind::Output => &self.artifacts.outputs,
        };
        let artifact = all
            .iter()
            .find(|artifact| name.is_empty() || artifact.name == name)?;
        serde_json::to_string(&artifact.values).ok()
    }

    /// Children that ran out of their parent's time count as failed.
    fn told(mut self, cancelled: bool, message: &str) -> Self {
        self.cancelled = cancelled;
        self.timed_out = message == TIMED_OUT;
        if self.outcome == Outcome::Cancelled && self.timed_out {
            self.outcome = Outcome::Failed;
        }
        self
    }
}

impl From<&TaskRun> for Child {
    fn from(run: &TaskRun) -> Self {
        let status = run.status.as_ref();
        let succeeded = status.and_then(RunStatus::succeeded);
        let mut child = Self::new(Kind::TaskRun, run.meta(), succeeded, &[task_run::CANCELLED])
            .told(run.spec.is_cancelled(), &run.spec.status_message);
        let notes = status.and_then(|status| status.annotations.as_ref());
        child.taken_over = notes.is_some_and(|notes| notes.contains_key(annotations::TAKEN_OVER_FROM));
        let results = status.into_iter().flat_map(|status| &status.results);
        child.results = results
            .map(|result| (result.name.clone(), result.value.clone()))
            .collect();
        let artifacts = status.and_then(|status| status.artifacts.clone());
        child.artifacts = artifacts.unwrap_or_default();
        child
    }
}

impl From<&CustomRun> for Child {
    fn from(run: &CustomRun) -> Self {
        let status = run.status.as_ref();
        let succeeded = status.and_then(RunStatus::succeeded);
        let cancelled_by = [custom_run::CANCELLED, "RunCancelled"];
        let mut child = Self::new(Kind::CustomRun, run.meta(), succeeded, &cancelled_by)
            .told(run.spec.status.is_some(), &run.spec.status_message);
        let results = status.into_iter().flat_map(|status| &status.results);
        child.results = results
            .map(|result| (result.name.clone(), result.value.as_str().into()))
            .collect();
        child
    }
}

impl From<&PipelineRun> for Child {
    fn from(run: &PipelineRun) -> Self {
        let status = run.status.as_ref();
        let succeeded = status.and_then(RunStatus::succeeded);
        let mut child = Self::new(
            Kind::PipelineRun,
            run.meta(),
            succeeded,
            &[pipeline_run::CANCELLED],
        )
        .told(run.spec.status == Some(PipelineRunSpecStatus::Cancelled), "");
        let results = status.into_iter().flat_map(|status| &status.results);
        child.results = results
            .map(|result| (result.name.clone(), result.value.clone()))
            .collect();
        child
    }
}
