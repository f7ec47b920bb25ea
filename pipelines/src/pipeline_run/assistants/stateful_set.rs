//! The StatefulSet of an assistant. Equal inputs give equal objects.

use std::collections::BTreeMap;

use crds::config::tekton::{Coschedule, Defaults, Features};
use crds::tekton::{AssistantTemplate, PipelineRun, PodTemplate, labels};
use entrypoint::paths;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Container, PersistentVolumeClaimVolumeSource, PodAffinityTerm, PodSpec, PodTemplateSpec,
    ResourceRequirements, Volume, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::{Assistant, mode};
use crate::pod;

/// What it is given; as much is also the most that it may take, so that it is the last to be evicted.
const NEEDS: [(&str, &str); 2] = [("cpu", "50m"), ("memory", "100Mi")];

/// What the install says about assistants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    /// The image of the entrypoint, which can hold a place as well.
    pub image: &'a str,
    pub defaults: &'a Defaults,
    pub features: &'a Features,
}

/// The StatefulSet of `assistant`; its owner is added by whoever makes it.
pub(crate) fn stateful_set(run: &PipelineRun, assistant: &Assistant, setup: Setup<'_>) -> StatefulSet {
    let own = [
        (labels::INSTANCE, assistant.name.as_str()),
        (labels::COMPONENT, labels::COMPONENT_AFFINITY_ASSISTANT),
    ];
    let selector: BTreeMap<String, String> = own
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    let mut of_run = run.metadata.labels.clone().unwrap_or_default();
    of_run.insert(
        labels::PIPELINE_RUN.to_owned(),
        run.metadata.name.clone().unwrap_or_default(),
    );
    of_run.extend(selector.clone());
    StatefulSet {
        metadata: ObjectMeta {
            name: Some(assistant.name.clone()),
            namespace: run.metadata.namespace.clone(),
            labels: Some(of_run.clone()),
            ..ObjectMeta::default()
        },
        spec: StatefulSetSpec {
            replicas: Some(1),
            selector: LabelSelector {
                match_labels: Some(selector),
                ..LabelSelector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(of_run),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(run, assistant, setup)),
            },
            volume_claim_templates: (!assistant.templates.is_empty()).then(|| assistant.templates.clone()),
            ..StatefulSetSpec::default()
        },
        status: None,
    }
}

fn pod(run: &PipelineRun, assistant: &Assistant, setup: Setup<'_>) -> PodSpec {
    let of_run = run.spec.task_run_template.as_ref();
    let pods = pod::template(
        of_run.and_then(|template| template.pod_template.as_ref()),
        setup.defaults.pod_template.as_ref(),
    );
    let affinity = away_from_others(pods.affinity.clone(), mode(run));
    let mut template = merged(pods, setup.defaults.affinity_assistant_pod_template.as_ref());
    if template.service_account_name.is_empty() {
        // Who may run the pods of tasks may run this one.
        template.service_account_name = of_run
            .map(|template| template.service_account_name.clone())
            .unwrap_or_default();
    }
    let needs = || {
        NEEDS
            .into_iter()
            .map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())))
            .collect()
    };
    // That the pod has them is enough, so nothing is mounted. Those of templates come by themselves.
    let volumes: Vec<Volume> = assistant
        .claims
        .iter()
        .enumerate()
        .map(|(index, claim)| Volume {
            name: format!("workspace-{index}"),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.clone(),
                read_only: None,
            }),
            ..Volume::default()
        })
        .collect();
    PodSpec {
        affinity: Some(affinity),
        automount_service_account_token: Some(false),
        containers: vec![Container {
            name: labels::COMPONENT_AFFINITY_ASSISTANT.to_owned(),
            image: Some(setup.image.to_owned()),
            command: Some(vec![paths::IN_IMAGE.to_owned(), "pause".to_owned()]),
            resources: Some(ResourceRequirements {
                limits: Some(needs()),
                requests: Some(needs()),
                ..ResourceRequirements::default()
            }),
            security_context: setup
                .features
                .set_security_context
                .then(|| pod::without_rights(setup.features.set_security_context_read_only_root_filesystem)),
            ..Container::default()
        }],
        image_pull_secrets: Some(template.image_pull_secrets).filter(|all| !all.is_empty()),
        node_selector: Some(template.node_selector).filter(|all| !all.is_empty()),
        priority_class_name: template.priority_class_name,
        security_context: template.security_context,
        service_account_name: Some(template.service_account_name).filter(|name| !name.is_empty()),
        tolerations: Some(template.tolerations).filter(|all| !all.is_empty()),
        volumes: (!volumes.is_empty()).then_some(volumes),
        ..PodSpec::default()
    }
}

/// What the run says about its pods, as far as it concerns an assistant, and what only the install says.
fn merged(run: PodTemplate, install: Option<&AssistantTemplate>) -> AssistantTemplate {
    let mut merged = install.cloned().unwrap_or_default();
    if !run.node_selector.is_empty() {
        merged.node_selector = run.node_selector;
    }
    if !run.tolerations.is_empty() {
        merged.tolerations = run.tolerations;
    }
    if !run.image_pull_secrets.is_empty() {
        merged.image_pull_secrets = run.image_pull_secrets;
    }
    merged.security_context = run.security_context.or(merged.security_context);
    merged.priority_class_name = run.priority_class_name.or(merged.priority_class_name);
    merged
}

/// The affinity of the run's pods, and that to a node without other assistants.
fn away_from_others(affinity: Option<Affinity>, mode: Coschedule) -> Affinity {
    let others = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([(
                labels::COMPONENT.to_owned(),
                labels::COMPONENT_AFFINITY_ASSISTANT.to_owned(),
            )])),
            ..LabelSelector::default()
        }),
        topology_key: pod::HOST.to_owned(),
        ..PodAffinityTerm::default()
    };
    let mut affinity = affinity.unwrap_or_default();
    let away = affinity.pod_anti_affinity.get_or_insert_default();
    if mode == Coschedule::IsolatePipelineRun {
        away.required_during_scheduling_ignored_during_execution
            .get_or_insert_default()
            .push(others);
    } else {
        away.preferred_during_scheduling_ignored_during_execution
            .get_or_insert_default()
            .push(WeightedPodAffinityTerm {
                weight: 100,
                pod_affinity_term: others,
            });
    }
    affinity
}
