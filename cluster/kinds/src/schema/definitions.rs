//! Generates the OpenAPI definitions of kinds from their Rust types.

use k8s_openapi::api::{
    admissionregistration, apps, authentication, authorization, autoscaling, batch, coordination, core,
    discovery, events, flowcontrol, networking, node, policy, rbac, scheduling, storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration;
use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value};

use super::annotate;

/// Where references point: `#/components/schemas/<definition name>`.
pub(super) const REFERENCE_PREFIX: &str = "#/components/schemas/";

/// OpenAPI definitions by full name, such as `io.k8s.api.core.v1.PodSpec`, list types annotated.
pub(crate) type Definitions = Map<String, Value>;

/// One kind's Rust type, as data.
pub(super) struct TypeRow {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub definition: fn() -> String,
    generate: fn(&mut SchemaGenerator),
}

/// Declares the Rust type behind each kind; the last path segment of the type is the kind.
macro_rules! types {
    ($($api_version:literal => { $($module:ident::$version:ident::$kind:ident),+ $(,)? })+) => {
        pub(super) const TYPES: &[TypeRow] = &[$($(
            TypeRow {
                api_version: $api_version,
                kind: stringify!($kind),
                definition: definition::<$module::$version::$kind>,
                generate: generate::<$module::$version::$kind>,
            },
        )+)+];
    };
}

types! {
    "v1" => {
        core::v1::Binding, core::v1::ConfigMap, core::v1::Endpoints, core::v1::Event, core::v1::LimitRange,
        core::v1::Namespace, core::v1::Node, core::v1::PersistentVolumeClaim, core::v1::PersistentVolume,
        core::v1::Pod, core::v1::PodTemplate, core::v1::ReplicationController, core::v1::ResourceQuota,
        core::v1::Secret, core::v1::ServiceAccount, core::v1::Service, meta::v1::Status,
    }
    "meta.k8s.io/v1" => { meta::v1::DeleteOptions, meta::v1::ListMeta, meta::v1::ObjectMeta }
    "apps/v1" => {
        apps::v1::ControllerRevision, apps::v1::DaemonSet, apps::v1::Deployment, apps::v1::ReplicaSet,
        apps::v1::StatefulSet,
    }
    "batch/v1" => { batch::v1::CronJob, batch::v1::Job }
    "autoscaling/v2" => { autoscaling::v2::HorizontalPodAutoscaler }
    "autoscaling/v1" => { autoscaling::v1::HorizontalPodAutoscaler, autoscaling::v1::Scale }
    "policy/v1" => { policy::v1::PodDisruptionBudget, policy::v1::Eviction }
    "admissionregistration.k8s.io/v1" => {
        admissionregistration::v1::MutatingWebhookConfiguration,
        admissionregistration::v1::ValidatingWebhookConfiguration,
    }
    "apiextensions.k8s.io/v1" => { apiextensions::v1::CustomResourceDefinition }
    "apiregistration.k8s.io/v1" => { apiregistration::v1::APIService }
    "authentication.k8s.io/v1" => {
        authentication::v1::SelfSubjectReview, authentication::v1::TokenReview, authentication::v1::TokenRequest,
    }
    "authorization.k8s.io/v1" => {
        authorization::v1::LocalSubjectAccessReview, authorization::v1::SelfSubjectAccessReview,
        authorization::v1::SelfSubjectRulesReview, authorization::v1::SubjectAccessReview,
    }
    "coordination.k8s.io/v1" => { coordination::v1::Lease }
    "discovery.k8s.io/v1" => { discovery::v1::EndpointSlice }
    "flowcontrol.apiserver.k8s.io/v1" => { flowcontrol::v1::FlowSchema, flowcontrol::v1::PriorityLevelConfiguration }
    "events.k8s.io/v1" => { events::v1::Event }
    "networking.k8s.io/v1" => {
        networking::v1::IngressClass, networking::v1::Ingress, networking::v1::NetworkPolicy,
    }
    "node.k8s.io/v1" => { node::v1::RuntimeClass }
    "rbac.authorization.k8s.io/v1" => {
        rbac::v1::ClusterRoleBinding, rbac::v1::ClusterRole, rbac::v1::RoleBinding, rbac::v1::Role,
    }
    "scheduling.k8s.io/v1" => { scheduling::v1::PriorityClass }
    "storage.k8s.io/v1" => { storage::v1::StorageClass }
}

fn definition<T: JsonSchema>() -> String {
    T::schema_name().into_owned()
}

fn generate<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// Returns the name of a kind's definition, such as `io.k8s.api.core.v1.Pod`.
pub(crate) fn definition_name(api_version: &str, kind: &str) -> Option<String> {
    TYPES
        .iter()
        .find(|row| row.api_version == api_version && row.kind == kind)
        .map(|row| (row.definition)())
}

/// Generates the definitions of the named kinds, given as `(apiVersion, kind)`, and everything they refer to. Kinds
/// without a type (option kinds of streaming subresources) are skipped.
pub(crate) fn definitions<'a>(kinds: impl IntoIterator<Item = (&'a str, &'a str)>) -> Definitions {
    let mut settings = SchemaSettings::draft07();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings.transforms.clear();
    let mut generator = settings.into_generator();
    for (api_version, kind) in kinds {
        for row in TYPES
            .iter()
            .filter(|row| row.api_version == api_version && row.kind == kind)
        {
            (row.generate)(&mut generator);
        }
    }
    let mut definitions = generator.take_definitions(false);
    for (name, schema) in &mut definitions {
        annotate::annotate(name, schema);
    }
    definitions
}
