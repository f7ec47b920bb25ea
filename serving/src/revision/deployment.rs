//! The Deployment of a revision.

use crds::serving::Revision;
use crds::{annotations, labels, names};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::metadata::{child_metadata, deployment_annotations, labels, pod_annotations, selector};
use super::pod::pod_spec;
use super::settings::Settings;
use crate::shared::{annotation, first_annotation, label, name_of};

/// The Deployment as it is created: with the initial number of replicas, which from then on belong to the autoscaler.
pub(super) fn deployment(revision: &Revision, settings: &Settings) -> Deployment {
    let spec = DeploymentSpec {
        replicas: Some(initial_scale(revision, settings)),
        selector: selector(revision),
        progress_deadline_seconds: Some(progress_deadline(revision, settings)),
        // Old ReplicaSets of an immutable revision are of no use to anybody.
        revision_history_limit: Some(0),
        strategy: Some(DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_unavailable: Some(IntOrString::Int(0)),
                max_surge: None,
            }),
        }),
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(labels(revision)),
                annotations: Some(pod_annotations(revision)),
                ..ObjectMeta::default()
            }),
            spec: Some(pod_spec(revision, settings)),
        },
        ..DeploymentSpec::default()
    };
    let name = names::deployment(name_of(&revision.metadata));
    let mut deployment = Deployment {
        metadata: child_metadata(revision, name, deployment_annotations(revision)),
        spec,
        status: None,
    };
    let hash = hash(&deployment);
    deployment
        .metadata
        .labels
        .get_or_insert_default()
        .insert(labels::DEPLOYMENT_HASH.to_owned(), hash);
    deployment
}

/// What has to be applied to make `live` current, or `None` if it already is. Replicas and selector stay as they
/// are, and so does what others noted on the object, such as the time of a `kubectl rollout restart`.
pub(super) fn update(live: &Deployment, mut wanted: Deployment) -> Option<Deployment> {
    let hash =
        |deployment: &Deployment| label(&deployment.metadata, labels::DEPLOYMENT_HASH).map(str::to_owned);
    if hash(live).is_some() && hash(live) == hash(&wanted) {
        return None;
    }
    wanted.spec.replicas = live.spec.replicas;
    wanted.spec.selector = live.spec.selector.clone();
    // The replicas above are only right for the version they were read from.
    wanted.metadata.resource_version = live.metadata.resource_version.clone();
    Some(wanted)
}

/// The progress deadline in seconds.
fn progress_deadline(revision: &Revision, settings: &Settings) -> i32 {
    annotation(&revision.metadata, annotations::PROGRESS_DEADLINE)
        .and_then(|text| formats::duration::parse(text).ok())
        .and_then(|deadline| i32::try_from(deadline.as_secs()).ok())
        .filter(|seconds| *seconds > 0)
        .unwrap_or_else(|| i32::try_from(settings.deployment.progress_deadline.as_secs()).unwrap_or(i32::MAX))
}

fn initial_scale(revision: &Revision, settings: &Settings) -> i32 {
    first_annotation(&revision.metadata, annotations::INITIAL_SCALE_KEYS)
        .and_then(|text| text.parse::<i32>().ok())
        .filter(|scale| *scale > 0 || (*scale == 0 && settings.autoscaler.allow_zero_initial_scale))
        .unwrap_or(settings.autoscaler.initial_scale)
}

/// FNV-32a in base 36 over what the revision decides. Replicas are left out: they are not ours after creation.
fn hash(deployment: &Deployment) -> String {
    let mut spec = deployment.spec.clone();
    spec.replicas = None;
    let subject = json!({
        "spec": spec,
        "annotations": deployment.metadata.annotations,
        "labels": deployment.metadata.labels,
    });
    base36(fnv32a(subject.to_string().as_bytes()))
}

fn fnv32a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit(number % 36, 36));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_published_ones() {
        assert_eq!(fnv32a(b""), 0x811c_9dc5);
        assert_eq!(fnv32a(b"foobar"), 0xbf9c_f968);
        assert_eq!(
            (base36(0).as_str(), base36(35).as_str(), base36(36).as_str()),
            ("0", "z", "10")
        );
        assert_eq!(base36(u32::MAX), "1z141z3");
    }
}
