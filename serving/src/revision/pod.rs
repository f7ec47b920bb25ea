//! The pod template of a revision.

use std::collections::{BTreeMap, BTreeSet};

use crds::config::AffinityType;
use crds::labels;
use crds::serving::Revision;
use k8s_openapi::api::core::v1::{
    Affinity, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource, ObjectFieldSelector,
    PodAffinityTerm, PodAntiAffinity, PodSpec, ProjectedVolumeSource, SecretVolumeSource,
    ServiceAccountTokenProjection, Volume, VolumeProjection, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::queue_proxy::{CERTIFICATES, POD_INFO, TOKENS, queue_container, wants_pod_info};
use super::settings::Settings;
use super::user_containers::{VAR_LOG_VOLUME, init_containers, user_containers};
use crate::shared::{labels_of, name_of};

/// Life of the tokens mounted into queue-proxy, in seconds.
const TOKEN_SECONDS: i64 = 3600;

pub(super) fn pod_spec(revision: &Revision, settings: &Settings) -> PodSpec {
    let mut pod = revision.spec.pod_spec.clone();
    pod.containers = user_containers(revision, settings);
    pod.containers.push(queue_container(revision, settings));
    pod.init_containers = init_containers(revision);
    pod.termination_grace_period_seconds = revision.spec.timeout_seconds;
    pod.volumes
        .get_or_insert_default()
        .extend(extra_volumes(revision, settings));
    pod.volumes = pod.volumes.filter(|volumes| !volumes.is_empty());
    if pod.affinity.is_none()
        && settings.deployment.default_affinity_type == AffinityType::PreferSpreadRevisionOverNodes
    {
        pod.affinity = Some(spread_over_nodes(revision));
    }
    if pod.runtime_class_name.is_none() {
        let class = settings
            .deployment
            .runtime_class_name(&labels_of(&revision.metadata));
        pod.runtime_class_name = class.map(str::to_owned);
    }
    pod
}

fn extra_volumes(revision: &Revision, settings: &Settings) -> Vec<Volume> {
    let mut volumes = Vec::new();
    if !settings.deployment.queue_sidecar_token_audiences.is_empty() {
        volumes.push(tokens(&settings.deployment.queue_sidecar_token_audiences));
    }
    if settings.network.system_internal_tls {
        volumes.push(Volume {
            name: CERTIFICATES.0.to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some("serving-certs".to_owned()),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        });
    }
    if wants_pod_info(revision, settings) {
        volumes.push(pod_info());
    }
    if settings.observability.enable_var_log_collection {
        volumes.push(Volume {
            name: VAR_LOG_VOLUME.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        });
    }
    volumes
}

/// One token file per audience, named after it.
fn tokens(audiences: &BTreeSet<String>) -> Volume {
    let projection = |audience: &String| VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            audience: Some(audience.clone()),
            expiration_seconds: Some(TOKEN_SECONDS),
            path: audience.clone(),
            user: None,
        }),
        ..VolumeProjection::default()
    };
    Volume {
        name: TOKENS.0.to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(audiences.iter().map(projection).collect()),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn pod_info() -> Volume {
    Volume {
        name: POD_INFO.0.to_owned(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![DownwardAPIVolumeFile {
                path: "annotations".to_owned(),
                field_ref: Some(ObjectFieldSelector {
                    field_path: "metadata.annotations".to_owned(),
                    ..ObjectFieldSelector::default()
                }),
                ..DownwardAPIVolumeFile::default()
            }]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Prefers nodes that do not run a pod of the revision yet.
fn spread_over_nodes(revision: &Revision) -> Affinity {
    let own = BTreeMap::from([(
        labels::REVISION.to_owned(),
        name_of(&revision.metadata).to_owned(),
    )]);
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                weight: 100,
                pod_affinity_term: PodAffinityTerm {
                    topology_key: "kubernetes.io/hostname".to_owned(),
                    label_selector: Some(LabelSelector {
                        match_labels: Some(own),
                        match_expressions: None,
                    }),
                    ..PodAffinityTerm::default()
                },
            }]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}
