//! What the kinds of runs have in common for who tells of them.

use crds::conditions::Condition;
use crds::resource::tekton::Resource;
use crds::tekton::{CustomRun, PipelineRun, RunStatus, TaskRun};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use serde_json::Value;

/// The kinds of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the kinds have these names")]
pub(super) enum Kind {
    TaskRun,
    PipelineRun,
    CustomRun,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::TaskRun, Self::PipelineRun, Self::CustomRun];

    /// The name of the kind, and the path of its API.
    pub(super) fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::TaskRun => ("TaskRun", "tekton.dev/v1"),
            Self::PipelineRun => ("PipelineRun", "tekton.dev/v1"),
            Self::CustomRun => ("CustomRun", "tekton.dev/v1beta1"),
        }
    }

    /// What the data of an event calls a run.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::TaskRun => "taskRun",
            Self::PipelineRun => "pipelineRun",
            Self::CustomRun => "customRun",
        }
    }

    pub(super) fn resource(self) -> Resource {
        match self {
            Self::TaskRun => Resource::TaskRun,
            Self::PipelineRun => Resource::PipelineRun,
            Self::CustomRun => Resource::CustomRun,
        }
    }
}

/// A run of any kind.
pub(super) trait Run: Send + Sync {
    fn kind(&self) -> Kind;
    fn metadata(&self) -> &ObjectMeta;
    /// The condition that sums it up.
    fn succeeded(&self) -> Option<&Condition>;
    /// Attempts before the present one.
    fn retries(&self) -> usize;
    /// What events about it refer to.
    fn reference(&self) -> ObjectReference;
    /// The run as it is stored.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    fn value(&self) -> serde_json::Result<Value>;

    /// The version of this state; 0 if it is none that can be compared.
    fn version(&self) -> u64 {
        let version = self.metadata().resource_version.as_deref();
        version.and_then(|version| version.parse().ok()).unwrap_or(0)
    }
}

macro_rules! run {
    ($($kind:ident: $retries:expr,)*) => {$(
        impl Run for $kind {
            fn kind(&self) -> Kind {
                Kind::$kind
            }

            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn succeeded(&self) -> Option<&Condition> {
                self.status.as_ref()?.succeeded()
            }

            fn retries(&self) -> usize {
                $retries(self)
            }

            fn reference(&self) -> ObjectReference {
                self.object_ref(&())
            }

            fn value(&self) -> serde_json::Result<Value> {
                serde_json::to_value(self)
            }
        }
    )*};
}

run! {
    TaskRun: |run: &Self| run.status.as_ref().map_or(0, |status| status.retries_status.len()),
    PipelineRun: |_: &Self| 0,
    CustomRun: |run: &Self| run.status.as_ref().map_or(0, |status| status.retries_status.len()),
}
