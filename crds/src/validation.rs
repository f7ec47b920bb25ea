//! Is an object what it may be? Pure functions over the JSON of a request, with the words that clients match on.

use serde_json::Value;

use crate::resource::{Context, Resource};

mod autoscaling;
mod config_map;
mod container;
pub(crate) mod diff;
pub mod events;
mod field_error;
mod internal;
mod mask;
mod metadata;
mod pod;
mod probe;
mod serving;
pub mod spindrift;
pub mod tekton;
mod template;
mod traffic;
mod volume;

pub use config_map::config_map;
pub use field_error::{FieldError, FieldErrors, Level};
pub(crate) use metadata::is_owned;

/// Checks an object; what is wrong with it, and what is only worth telling.
pub fn validate(resource: Resource, object: &Value, context: &Context<'_>) -> FieldErrors {
    match resource {
        Resource::Service => serving::service(object, context),
        Resource::Configuration => serving::configuration(object, context),
        Resource::Revision => serving::revision(object, context),
        Resource::Route => serving::route(object, context),
        Resource::DomainMapping => serving::domain_mapping(object, context),
        Resource::PodAutoscaler => internal::pod_autoscaler(object, context),
        Resource::Metric => internal::metric(object, context),
        Resource::Ingress => internal::ingress(object),
        Resource::ServerlessService => internal::serverless_service(object),
        Resource::Certificate => internal::certificate(object),
        Resource::ClusterDomainClaim => internal::cluster_domain_claim(object),
    }
}

#[cfg(test)]
pub(crate) mod tests;
