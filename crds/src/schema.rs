//! The structural schemas of the custom resources, and the CRDs that carry them.
//!
//! The schemas are written by hand rather than derived: a template may hold only part of what a pod may, and the API
//! server prunes what a schema does not name. Fields behind a feature flag are objects of any shape, so that an
//! operator who allows one needs no other CRD; the webhook decides whether it is allowed.

mod autoscaling;
mod build;
mod caching;
mod container;
mod networking;
mod pod;
mod serving;
mod status;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceValidation,
};
use kube::CustomResourceExt as _;
use serde_json::Value;

/// The CRDs of an install, in the order in which they are documented.
pub fn all() -> Vec<CustomResourceDefinition> {
    use crate::{autoscaling as a, caching as c, networking as n, serving as s};
    [
        (s::Service::crd(), serving::service()),
        (s::Configuration::crd(), serving::configuration()),
        (s::Revision::crd(), serving::revision()),
        (s::Route::crd(), serving::route()),
        (s::DomainMapping::crd(), serving::domain_mapping()),
        (a::PodAutoscaler::crd(), autoscaling::pod_autoscaler()),
        (a::Metric::crd(), autoscaling::metric()),
        (n::Ingress::crd(), networking::ingress()),
        (n::ServerlessService::crd(), networking::serverless_service()),
        (n::Certificate::crd(), networking::certificate()),
        (n::ClusterDomainClaim::crd(), networking::cluster_domain_claim()),
        (c::Image::crd(), caching::image()),
    ]
    .into_iter()
    .map(|(crd, schema)| with_schema(crd, schema))
    .collect()
}

fn with_schema(mut crd: CustomResourceDefinition, schema: Value) -> CustomResourceDefinition {
    #[expect(
        clippy::expect_used,
        reason = "the schemas are constants of this crate, and a test builds all of them"
    )]
    let schema = serde_json::from_value(schema).expect("the schema is an OpenAPI v3 schema");
    for version in &mut crd.spec.versions {
        version.schema = Some(CustomResourceValidation {
            open_api_v3_schema: Some(Clone::clone(&schema)),
        });
    }
    crd
}

#[cfg(test)]
mod tests;
