//! The structural schemas of the custom resources, and the CRDs that carry them.
//!
//! The schemas are written by hand rather than derived: a template may hold only part of what a pod may, and the API
//! server prunes what a schema does not name. Fields behind a feature flag are objects of any shape, so that an
//! operator who allows one needs no other CRD; the webhook decides whether it is allowed.

mod autoscaling;
mod build;
mod caching;
mod container;
mod duck;
mod eventing;
mod flows;
mod messaging;
mod networking;
mod pod;
mod serving;
mod sources;
mod spindrift;
mod status;
mod tekton;
mod triggers;
mod unknown;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation, JSONSchemaProps, ServiceReference,
    WebhookClientConfig, WebhookConversion,
};
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use crate::names;
use crate::resource::tekton::Resource;
use crate::tekton::versions::Versions;

pub(crate) use unknown::unknown_fields;

/// The CRDs of an install, in the order in which they are documented.
pub fn all() -> Vec<CustomResourceDefinition> {
    use crate::{autoscaling as a, caching as c, networking as n, serving as s};
    let serving = [
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
    ];
    let serving = serving.into_iter().map(|(crd, schema)| with_schema(crd, schema));
    serving.chain(eventing_crds()).collect()
}

/// The kinds of events. What their schemas do not know is kept for admission, which refuses it by name.
fn eventing_crds() -> impl Iterator<Item = CustomResourceDefinition> {
    use crate::sources::{ApiServerSource, ContainerSource, GitHubSource, PingSource, SinkBinding};
    use crate::{eventing as e, flows as f, messaging as m, sinks};
    let crds = [
        (e::Broker::crd(), eventing::broker(), &[][..]),
        (e::Trigger::crd(), eventing::trigger(), &[]),
        // v1beta3 says with attributes what the others say with fields. All versions have both, which admission keeps
        // the same: no webhook has to convert anything.
        (
            e::EventType::crd(),
            eventing::event_type(),
            &["v1beta1", "v1beta3"],
        ),
        (e::EventPolicy::crd(), eventing::event_policy(), &[]),
        (e::RequestReply::crd(), eventing::request_reply(), &[]),
        (m::Channel::crd(), messaging::channel(), &[]),
        (m::InMemoryChannel::crd(), messaging::in_memory_channel(), &[]),
        (m::Subscription::crd(), messaging::subscription(), &[]),
        (f::Sequence::crd(), flows::sequence(), &[]),
        (f::Parallel::crd(), flows::parallel(), &[]),
        (ApiServerSource::crd(), sources::api_server_source(), &[]),
        // Both versions have the same fields.
        (PingSource::crd(), sources::ping_source(), &["v1beta2"]),
        (ContainerSource::crd(), sources::container_source(), &[]),
        (SinkBinding::crd(), sources::sink_binding(), &[]),
        (GitHubSource::crd(), sources::git_hub_source(), &[]),
        (sinks::JobSink::crd(), sources::job_sink(), &[]),
    ];
    crds.into_iter().map(|(crd, mut schema, more)| {
        if let Some(spec) = schema.pointer_mut("/properties/spec") {
            // Much of what people write has no spec at all.
            *spec = build::or_empty(duck::keeping_unknown(spec.take()));
        }
        let mut crd = with_versions(with_schema(crd, schema), more);
        let columns = crd
            .spec
            .versions
            .iter_mut()
            .filter(|version| version.name == "v1beta3");
        for columns in columns.filter_map(|version| version.additional_printer_columns.as_mut()) {
            columns.retain(|column| column.name != "Schema");
        }
        crd
    })
}

/// The CRDs of tasks and pipelines, which are not part of every install.
pub fn tekton() -> Vec<CustomResourceDefinition> {
    use crate::tekton as t;
    let crds = [
        // A webhook turns what other versions say otherwise into what the stored one says, and back.
        (t::Task::crd(), tekton::task(), &["v1beta1"][..]),
        (t::TaskRun::crd(), tekton::task_run(), &["v1beta1"]),
        (t::Pipeline::crd(), tekton::pipeline(), &["v1beta1"]),
        (t::PipelineRun::crd(), tekton::pipeline_run(), &["v1beta1"]),
        (t::StepAction::crd(), tekton::step_action(), &["v1alpha1"]),
        (t::CustomRun::crd(), tekton::custom_run(), &[]),
        (
            t::ResolutionRequest::crd(),
            tekton::resolution_request(),
            &["v1alpha1"],
        ),
    ];
    crds.into_iter()
        .map(|(crd, mut schema, more)| {
            if let Some(spec) = schema.pointer_mut("/properties/spec") {
                *spec = build::or_empty(duck::keeping_unknown(spec.take()));
            }
            let crd = with_status(with_versions(with_schema(crd, schema), more));
            let resource = Resource::find(&crd.spec.group, &crd.spec.names.kind);
            match resource.and_then(|resource| Versions::of(resource).map(|_| resource)) {
                None => crd,
                Some(Resource::ResolutionRequest) => with_param_map(converted(crd)),
                Some(_) => converted(crd),
            }
        })
        .collect()
}

/// What v1alpha1 of ResolutionRequest has another way, and the columns of which it has fewer.
fn with_param_map(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in crd.spec.versions.iter_mut().filter(|version| !version.storage) {
        if let Some(columns) = &mut version.additional_printer_columns {
            columns.retain(|column| matches!(column.name.as_str(), "Succeeded" | "Reason"));
        }
        let schema = version.schema.as_mut();
        let root = schema.and_then(|schema| schema.open_api_v3_schema.as_mut());
        let fields = root.and_then(|root| root.properties.as_mut()?.get_mut("spec")?.properties.as_mut());
        if let Some(fields) = fields {
            fields.insert("params".to_owned(), typed(tekton::param_map()));
        }
    }
    crd
}

/// Has the versions of a kind converted by the webhook, which adds by itself how its certificate is checked.
fn converted(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in crd.spec.versions.iter_mut().filter(|version| !version.storage) {
        let schema = version.schema.as_mut();
        let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_mut());
        let properties = schema.and_then(|schema| schema.properties.as_mut());
        // It has fields that the stored version does not have, as the spec has, where unknown ones are kept anyway.
        if let Some(status) = properties.and_then(|properties| properties.get_mut("status")) {
            status.x_kubernetes_preserve_unknown_fields = Some(true);
        }
    }
    crd.spec.conversion = Some(CustomResourceConversion {
        strategy: "Webhook".to_owned(),
        webhook: Some(WebhookConversion {
            client_config: Some(WebhookClientConfig {
                service: Some(ServiceReference {
                    namespace: names::SYSTEM_NAMESPACE.to_owned(),
                    name: names::WEBHOOK_SERVICE.to_owned(),
                    path: Some(crate::tekton::names::CONVERSION_PATH.to_owned()),
                    port: None,
                }),
                ..WebhookClientConfig::default()
            }),
            conversion_review_versions: vec!["v1".to_owned()],
        }),
    });
    crd
}

/// The CRDs of what Spindrift has of its own.
pub fn spindrift() -> Vec<CustomResourceDefinition> {
    let crds = [(crate::spindrift::Repository::crd(), spindrift::repository())];
    crds.into_iter()
        .map(|(crd, mut schema)| {
            if let Some(spec) = schema.pointer_mut("/properties/spec") {
                *spec = build::or_empty(duck::keeping_unknown(spec.take()));
            }
            with_schema(crd, schema)
        })
        .collect()
}

/// The CRDs of event listeners and triggers, and of the events that listeners keep.
pub fn triggers() -> Vec<CustomResourceDefinition> {
    use crate::triggers as t;
    let both: &[&str] = &["v1alpha1"];
    let crds = [
        (t::EventListener::crd(), triggers::event_listener(), both),
        (t::Trigger::crd(), triggers::trigger(), both),
        (t::TriggerBinding::crd(), triggers::trigger_binding(), both),
        (t::ClusterTriggerBinding::crd(), triggers::trigger_binding(), both),
        (t::TriggerTemplate::crd(), triggers::trigger_template(), both),
        (t::ClusterInterceptor::crd(), triggers::interceptor(), &[]),
        (t::Interceptor::crd(), triggers::interceptor(), &[]),
    ];
    let all = crds.into_iter().map(|(crd, mut schema, more)| {
        if let Some(spec) = schema.pointer_mut("/properties/spec") {
            *spec = build::or_empty(spec.take());
        }
        with_versions(with_status(with_schema(crd, schema)), more)
    });
    // Its status is written together with its spec, so that an event is never without both its body and its decisions.
    let mut kept = with_schema(t::ReceivedEvent::crd(), triggers::received_event());
    for version in &mut kept.spec.versions {
        version.subresources = None;
    }
    all.chain([kept]).collect()
}

/// Gives every version a status of its own, though in some kinds nothing is ever written there: clients ask for it.
fn with_status(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        version.subresources = Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(json!({}))),
            ..CustomResourceSubresources::default()
        });
    }
    crd
}

/// Serves the only version under further names, too.
fn with_versions(mut crd: CustomResourceDefinition, more: &[&str]) -> CustomResourceDefinition {
    let stored = crd.spec.versions.clone();
    for (name, version) in more
        .iter()
        .flat_map(|name| stored.iter().map(move |version| (name, version)))
    {
        let mut version = version.clone();
        (*name).clone_into(&mut version.name);
        version.storage = false;
        crd.spec.versions.push(version);
    }
    crd
}

fn with_schema(mut crd: CustomResourceDefinition, schema: Value) -> CustomResourceDefinition {
    let schema = typed(schema);
    for version in &mut crd.spec.versions {
        version.schema = Some(CustomResourceValidation {
            open_api_v3_schema: Some(schema.clone()),
        });
    }
    crd
}

#[expect(
    clippy::expect_used,
    reason = "the schemas are constants of this crate, and a test builds all of them"
)]
fn typed(schema: Value) -> JSONSchemaProps {
    serde_json::from_value(schema).expect("the schema is an OpenAPI v3 schema")
}

#[cfg(test)]
mod tests;
