//! `spindrift.dev`: what Spindrift has beside the kinds of Knative and Tekton.

mod marks;
mod repository;

pub use marks::{REPOSITORY_FINALIZER, annotations, labels};
pub use repository::{
    Build, Deployed, Filters, Globs, Preview, Provider, PushRecord, PushState, Repository, RepositorySpec,
    RepositoryStatus, SecretKey, ServiceTemplate, Statuses, Strategy, Webhook, host_of,
};

/// API group of the kinds in this module.
pub const GROUP: &str = "spindrift.dev";
/// `apiVersion` of the kinds in this module.
pub const API_VERSION: &str = "spindrift.dev/v1alpha1";
/// Kind of the custom task that makes a revision of an image; there are no objects of it.
pub const DEPLOY_KIND: &str = "Deploy";
/// Name of the Service in front of the receiver of webhooks, in the namespace of pipelines.
pub const PUSH_SERVICE: &str = "push";
/// Name that the pipelines of builds go by in `tekton.dev/pipeline`.
pub const BUILD_PIPELINE: &str = "build";
