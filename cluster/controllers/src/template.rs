//! Pods of templates.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// A pod of `template` that `owner` controls, without a name.
pub fn pod_from(template: &PodTemplateSpec, owner: OwnerReference) -> Pod {
    let mut pod = Pod {
        spec: template.spec.clone(),
        ..Pod::default()
    };
    if let Some(metadata) = &template.metadata {
        pod.metadata.labels = metadata.labels.clone();
        pod.metadata.annotations = metadata.annotations.clone();
        pod.metadata.finalizers = metadata.finalizers.clone();
    }
    pod.metadata.owner_references = Some(vec![owner]);
    pod
}

/// FNV-1a over the template's JSON, in the letters that Kubernetes uses for such names (no vowels, no look-alikes).
/// `collisions` counts how often the name that came of it was taken.
pub fn hash(template: &PodTemplateSpec, collisions: i32) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let json = serde_json::to_vec(template).unwrap_or_default();
    let mut hash: u32 = 0x811c_9dc5;
    for byte in json
        .iter()
        .copied()
        .chain(collisions.to_le_bytes().into_iter().filter(|_| collisions > 0))
    {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash.to_string()
        .bytes()
        .map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()]))
        .collect()
}
