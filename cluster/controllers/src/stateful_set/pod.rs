//! The pods of a StatefulSet.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume};
use kube::ResourceExt;

use super::{claims, names};
use crate::template;

/// The pod with `ordinal`, of the `template` that is called `revision`; `None` for a set that is not stored.
pub fn desired(set: &StatefulSet, template: &PodTemplateSpec, revision: &str, ordinal: u64) -> Option<Pod> {
    let owner = informer::object::controller_reference(set)?;
    let mut pod = template::pod_from(template, owner);
    let (set_name, name) = (set.name_any(), names::pod(&set.name_any(), ordinal));
    pod.metadata.namespace = set.namespace();
    pod.metadata.name = Some(name.clone());
    let labels = pod.labels_mut();
    labels.extend(identity(&name, ordinal));
    labels.insert(names::POD_REVISION.to_owned(), revision.to_owned());

    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name);
    spec.subdomain = set.spec.service_name.clone();
    let mut volumes: Vec<Volume> = claims::templates(set)
        .iter()
        .map(|claim| claim.name_any())
        .map(|claim| Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: names::claim(&claim, &set_name, ordinal),
                read_only: None,
            }),
            name: claim,
            ..Volume::default()
        })
        .collect();
    // A volume of the template that is called like a claim gives way.
    let others = spec.volumes.take().unwrap_or_default();
    let taken = |volume: &Volume| volumes.iter().any(|claimed| claimed.name == volume.name);
    let others: Vec<Volume> = others.into_iter().filter(|volume| !taken(volume)).collect();
    volumes.extend(others);
    spec.volumes = Some(volumes).filter(|volumes| !volumes.is_empty());
    Some(pod)
}

/// The labels by which one pod is told from the others.
pub fn identity(name: &str, ordinal: u64) -> [(String, String); 2] {
    [
        (names::POD_NAME.to_owned(), name.to_owned()),
        (names::POD_INDEX.to_owned(), ordinal.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_has_its_name_its_place_and_its_claims() {
        let set: StatefulSet = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "n", "uid": "u" },
            "spec": {
                "serviceName": "nodes", "selector": {}, "template": {},
                "volumeClaimTemplates": [{ "metadata": { "name": "data" } }, { "metadata": { "name": "logs" } }],
            },
        }))
        .unwrap();
        let template: PodTemplateSpec = serde_json::from_value(json!({
            "metadata": { "labels": { "app": "web" }, "annotations": { "a": "b" } },
            "spec": {
                "hostname": "other", "containers": [{ "name": "c" }],
                "volumes": [{ "name": "data", "emptyDir": {} }, { "name": "tmp", "emptyDir": {} }],
            },
        }))
        .unwrap();
        let pod = desired(&set, &template, "web-123", 4).unwrap();
        assert_eq!(
            serde_json::to_value(pod).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": "web-4", "namespace": "n", "annotations": { "a": "b" },
                    "labels": {
                        "app": "web", "controller-revision-hash": "web-123",
                        "statefulset.kubernetes.io/pod-name": "web-4", "apps.kubernetes.io/pod-index": "4",
                    },
                    "ownerReferences": [{
                        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "u",
                        "controller": true, "blockOwnerDeletion": true,
                    }],
                },
                "spec": {
                    "hostname": "web-4", "subdomain": "nodes", "containers": [{ "name": "c" }],
                    "volumes": [
                        { "name": "data", "persistentVolumeClaim": { "claimName": "data-web-4" } },
                        { "name": "logs", "persistentVolumeClaim": { "claimName": "logs-web-4" } },
                        { "name": "tmp", "emptyDir": {} },
                    ],
                },
            })
        );
    }
}
