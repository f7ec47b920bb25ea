//! Labels and annotations that children of a Revision carry, and what its template says about ports.

use crds::networking::ProtocolType;
use crds::serving::Revision;
use crds::{annotations, labels, ports};
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::shared::{Map, annotations_of, labels_of, name_of, uid_of};

/// Labels of every child.
pub(super) fn labels(revision: &Revision) -> Map {
    let mut labels = labels_of(&revision.metadata);
    labels.remove(labels::ROUTE);
    labels.remove(labels::ROUTING_STATE);
    let name = name_of(&revision.metadata).to_owned();
    labels.insert(labels::REVISION.to_owned(), name.clone());
    labels.insert(
        labels::REVISION_UID.to_owned(),
        uid_of(&revision.metadata).to_owned(),
    );
    labels.entry(labels::APP.to_owned()).or_insert(name);
    labels
}

/// Annotations of every child but the Deployment.
pub(super) fn annotations(revision: &Revision) -> Map {
    let mut annotations = annotations_of(&revision.metadata);
    for own in [
        annotations::LAST_PINNED,
        annotations::NO_GC,
        annotations::ROUTING_STATE_MODIFIED,
        annotations::ROUTES,
    ] {
        annotations.remove(own);
    }
    annotations
}

/// Annotations of the Deployment: those of the autoscaler follow the revision live, so they must not restart pods.
pub(super) fn deployment_annotations(revision: &Revision) -> Map {
    let mut annotations = annotations(revision);
    annotations.retain(|key, _| !key.starts_with(annotations::AUTOSCALING_PREFIX));
    annotations
}

/// Annotations of the pods.
pub(super) fn pod_annotations(revision: &Revision) -> Map {
    let mut annotations = deployment_annotations(revision);
    if let Some(container) = serving_container(revision) {
        annotations.insert(
            annotations::KUBECTL_DEFAULT_CONTAINER.to_owned(),
            container.name.clone(),
        );
    }
    annotations
}

pub(super) fn child_metadata(revision: &Revision, name: String, annotations: Map) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: revision.metadata.namespace.clone(),
        labels: Some(labels(revision)),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}

/// Selects the pods. The UID alone: names can be reused, and selectors cannot be changed.
pub(super) fn selector(revision: &Revision) -> LabelSelector {
    let uid = uid_of(&revision.metadata).to_owned();
    LabelSelector {
        match_labels: Some([(labels::REVISION_UID.to_owned(), uid)].into()),
        match_expressions: None,
    }
}

/// The container that requests go to: the only one, or the one that has a port.
pub(super) fn serving_container(revision: &Revision) -> Option<&Container> {
    revision
        .spec
        .pod_spec
        .containers
        .iter()
        .find(|container| is_serving(revision, container))
}

pub(super) fn is_serving(revision: &Revision, container: &Container) -> bool {
    revision.spec.pod_spec.containers.len() == 1
        || container.ports.as_ref().is_some_and(|ports| !ports.is_empty())
}

/// The port that the application listens on.
pub(super) fn user_port(revision: &Revision) -> i32 {
    serving_container(revision)
        .and_then(|container| container.ports.as_ref()?.first())
        .map(|port| port.container_port)
        .filter(|port| *port != 0)
        .unwrap_or(i32::from(ports::USER_DEFAULT))
}

/// The protocol that the application speaks: HTTP/1.1 unless its port is called `h2c`.
pub(crate) fn protocol(revision: &Revision) -> ProtocolType {
    let ports = revision
        .spec
        .pod_spec
        .containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten());
    let mut names = ports.filter_map(|port| port.name.as_deref());
    if names.any(|name| name == ProtocolType::H2c.as_str()) {
        ProtocolType::H2c
    } else {
        ProtocolType::Http1
    }
}
