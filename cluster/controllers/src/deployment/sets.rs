//! The ReplicaSets of a Deployment: which one is new, what a new one looks like, its revision number.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::{Resource, ResourceExt};

use crate::template;

/// Counts the templates that a Deployment has had; on the Deployment and on its ReplicaSets.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// The Deployment's replicas when the ReplicaSet was last scaled; `kubectl` reads it.
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The same plus surge.
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Tells the pods of one template from those of another.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Splits `owned` (oldest first) into the set that has the Deployment's present template, and the others.
pub fn split(
    deployment: &Deployment,
    owned: &[Arc<ReplicaSet>],
) -> (Option<Arc<ReplicaSet>>, Vec<Arc<ReplicaSet>>) {
    let spec = &deployment.spec;
    let new = owned.iter().find(|set| {
        let template = set.spec.template.as_ref();
        template.is_some_and(|template| same_template(template, &spec.template))
    });
    let old = owned
        .iter()
        .filter(|set| new.is_none_or(|new| new.uid() != set.uid()))
        .cloned()
        .collect();
    (new.cloned(), old)
}

/// Equality without the hash label that we add to a set's template.
fn same_template(of_set: &PodTemplateSpec, of_deployment: &PodTemplateSpec) -> bool {
    if of_set.spec != of_deployment.spec {
        return false;
    }
    let labels = |template: &PodTemplateSpec| {
        let mut labels = template
            .metadata
            .as_ref()
            .and_then(|m| m.labels.clone())
            .unwrap_or_default();
        labels.remove(POD_TEMPLATE_HASH);
        labels
    };
    let annotations = |template: &PodTemplateSpec| {
        template
            .metadata
            .as_ref()
            .and_then(|m| m.annotations.clone())
            .unwrap_or_default()
    };
    labels(of_set) == labels(of_deployment) && annotations(of_set) == annotations(of_deployment)
}

/// A new ReplicaSet for the Deployment's present template; `None` for a Deployment without spec.
pub fn desired(deployment: &Deployment, owned: &[Arc<ReplicaSet>], replicas: i32) -> Option<ReplicaSet> {
    let spec = &deployment.spec;
    let owner = deployment.controller_owner_ref(&())?;
    let collisions = deployment
        .status
        .as_ref()
        .and_then(|s| s.collision_count)
        .unwrap_or(0);
    let hash = template::hash(&spec.template, collisions);
    let mut labelled = spec.template.clone();
    let mut metadata = labelled.metadata.take().unwrap_or_default();
    metadata
        .labels
        .get_or_insert_default()
        .insert(POD_TEMPLATE_HASH.to_owned(), hash.clone());
    let labels = metadata.labels.clone();
    labelled.metadata = Some(metadata);
    let mut selector = spec.selector.clone();
    selector
        .match_labels
        .get_or_insert_default()
        .insert(POD_TEMPLATE_HASH.to_owned(), hash.clone());

    let mut set = ReplicaSet {
        spec: ReplicaSetSpec {
            min_ready_seconds: spec.min_ready_seconds,
            replicas: Some(replicas),
            selector,
            template: Some(labelled),
        },
        ..ReplicaSet::default()
    };
    set.metadata.name = Some(format!("{}-{hash}", deployment.name_any()));
    set.metadata.namespace = deployment.namespace();
    set.metadata.labels = labels;
    set.metadata.annotations = Some(annotations(
        deployment,
        next_revision(owned),
        super::rollout::surge(deployment),
    ));
    set.metadata.owner_references = Some(vec![owner]);
    Some(set)
}

/// What the set of the present template carries: the Deployment's own annotations, the revision and the sizes.
pub fn annotations(deployment: &Deployment, revision: u64, surge: i32) -> BTreeMap<String, String> {
    let mut annotations: BTreeMap<String, String> = deployment
        .annotations()
        .iter()
        .filter(|(key, _)| !key.starts_with("deployment.kubernetes.io/") && *key != LAST_APPLIED)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    annotations.insert(REVISION.to_owned(), revision.to_string());
    annotations.extend(sizes(deployment, surge));
    annotations
}

/// The two size annotations.
pub fn sizes(deployment: &Deployment, surge: i32) -> [(String, String); 2] {
    let replicas = deployment.spec.replicas.unwrap_or(1);
    [
        (DESIRED_REPLICAS.to_owned(), replicas.to_string()),
        (
            MAX_REPLICAS.to_owned(),
            replicas.saturating_add(surge).to_string(),
        ),
    ]
}

/// One more than the highest revision among `sets`.
pub fn next_revision(sets: &[Arc<ReplicaSet>]) -> u64 {
    sets.iter().map(|set| revision(set)).max().unwrap_or(0) + 1
}

/// The revision of a set; 0 if it has none.
pub fn revision(set: &ReplicaSet) -> u64 {
    set.annotations()
        .get(REVISION)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
