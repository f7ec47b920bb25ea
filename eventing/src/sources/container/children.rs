//! What a ContainerSource consists of.

use std::collections::BTreeMap;

use crds::sources::{BindingSubject, ContainerSource, SinkBinding, SinkBindingSpec};
use crds::{labels, names};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::binding;
use crate::shared::{name_of, namespace_of};

fn own_labels(source: &ContainerSource) -> BTreeMap<String, String> {
    [
        (labels::CONTAINER_SOURCE, name_of(&source.metadata)),
        (labels::SOURCE, labels::SOURCE_CONTAINER),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn meta(source: &ContainerSource, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: source.metadata.namespace.clone(),
        labels: Some(own_labels(source)),
        ..ObjectMeta::default()
    }
}

pub(super) fn binding(source: &ContainerSource) -> SinkBinding {
    let name = name_of(&source.metadata);
    let spec = &source.spec;
    SinkBinding {
        metadata: meta(source, names::container_source_binding(name)),
        spec: SinkBindingSpec {
            sink: spec.sink.clone(),
            ce_overrides: spec.ce_overrides.clone(),
            subject: BindingSubject {
                api_version: "apps/v1".to_owned(),
                kind: "Deployment".to_owned(),
                namespace: namespace_of(&source.metadata).to_owned(),
                name: names::container_source_deployment(name),
                selector: None,
            },
        },
        status: None,
    }
}

/// # Errors
/// Never in fact: a pod can be written as JSON, and read again.
pub(super) fn deployment(source: &ContainerSource) -> Result<Deployment, serde_json::Error> {
    let name = name_of(&source.metadata);
    let labels = own_labels(source);
    Ok(Deployment {
        metadata: meta(source, names::container_source_deployment(name)),
        spec: DeploymentSpec {
            selector: LabelSelector {
                match_labels: Some(labels.clone()),
                ..LabelSelector::default()
            },
            template: template(&source.spec.template, labels)?,
            ..DeploymentSpec::default()
        },
        status: None,
    })
}

/// The user's template with our labels. Whatever it says of the sink is the binding's to say: both would take turns.
fn template(
    own: &PodTemplateSpec,
    labels: BTreeMap<String, String>,
) -> Result<PodTemplateSpec, serde_json::Error> {
    let mut pod = serde_json::to_value(&own.spec)?;
    binding::remove(&mut pod);
    let mut meta = own.metadata.clone().unwrap_or_default();
    meta.labels.get_or_insert_default().extend(labels);
    Ok(PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: meta.labels,
            annotations: meta.annotations,
            ..ObjectMeta::default()
        }),
        spec: serde_json::from_value(pod)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_deployment_runs_the_template_and_the_binding_is_for_it() {
        let source: ContainerSource = serde_json::from_value(json!({
            "apiVersion": "sources.knative.dev/v1", "kind": "ContainerSource",
            "metadata": {"name": "beat", "namespace": "ns"},
            "spec": {
                "sink": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "s"}},
                "ceOverrides": {"extensions": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"own": "1", "sources.knative.dev/source": "mine"}, "annotations": {"x": "y"}},
                    "spec": {"containers": [{
                        "name": "c", "image": "i",
                        "env": [{"name": "K_SINK", "value": "mine"}, {"name": "PERIOD", "value": "1"}],
                    }]},
                },
            },
        }))
        .unwrap();
        let labels = json!({
            "sources.knative.dev/containerSource": "beat",
            "sources.knative.dev/source": "container-source-controller",
        });
        let deployment = serde_json::to_value(deployment(&source).unwrap()).unwrap();
        assert_eq!(deployment["metadata"]["name"], "beat-deployment");
        assert_eq!(deployment["spec"]["selector"], json!({"matchLabels": labels}));
        let mut all = labels.clone();
        all["own"] = json!("1");
        assert_eq!(
            deployment["spec"]["template"],
            json!({
                "metadata": {"labels": all, "annotations": {"x": "y"}},
                "spec": {"containers": [{"name": "c", "image": "i", "env": [{"name": "PERIOD", "value": "1"}]}]},
            })
        );
        let binding = serde_json::to_value(binding(&source)).unwrap();
        assert_eq!(
            binding["metadata"],
            json!({"name": "beat-sinkbinding", "namespace": "ns", "labels": labels})
        );
        assert_eq!(
            binding["spec"],
            json!({
                "sink": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "s"}},
                "ceOverrides": {"extensions": {"a": "b"}},
                "subject": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "ns", "name": "beat-deployment"},
            })
        );
    }
}
