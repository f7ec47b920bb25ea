//! `serving.knative.dev`: what a user writes.

mod configuration;
mod domain_mapping;
mod revision;
mod route;
mod service;
mod traffic;

pub use configuration::{Configuration, ConfigurationSpec, ConfigurationStatus};
pub use domain_mapping::{DomainMapping, DomainMappingSpec, DomainMappingStatus, SecretTls};
pub use revision::{ContainerStatus, Revision, RevisionSpec, RevisionStatus, RevisionTemplateSpec};
pub use route::{Route, RouteSpec, RouteStatus};
pub use service::{Service, ServiceSpec, ServiceStatus};
pub use traffic::TrafficTarget;

/// API group of the kinds in this module.
pub const GROUP: &str = "serving.knative.dev";
