//! `sources.knative.dev`: where events come from.

mod api_server;
mod container;
mod git_hub;
mod ping;
mod sink_binding;

pub use api_server::{
    ApiServerOwner, ApiServerResource, ApiServerSource, ApiServerSourceSpec, ApiServerSourceStatus,
};
pub use container::{ContainerSource, ContainerSourceSpec, ContainerSourceStatus};
pub use git_hub::{
    GIT_HUB_EVENT_TYPE, GitHubSource, GitHubSourceSpec, GitHubSourceStatus, SecretValueFromSource,
};
pub use ping::{PingSource, PingSourceSpec, PingSourceStatus};
pub use sink_binding::{BindingSubject, SinkBinding, SinkBindingSpec, SinkBindingStatus};

/// API group of the kinds in this module.
pub const GROUP: &str = "sources.knative.dev";
