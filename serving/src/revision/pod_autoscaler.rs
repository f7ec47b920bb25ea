//! The PodAutoscaler of a revision.

use crds::autoscaling::{PodAutoscaler, PodAutoscalerSpec, Reachability};
use crds::conditions::{Condition, ConditionedStatus};
use crds::serving::{Revision, RevisionStatus};
use crds::{labels, names};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ObjectReference;

use super::metadata::{annotations, child_metadata, protocol};
use super::status::{CONTAINER_HEALTHY, RESOURCES_AVAILABLE};
use crate::shared::{label, name_of};

/// `status` is the revision's status as found in this round: a revision that cannot start is not reachable.
pub(super) fn pod_autoscaler(
    revision: &Revision,
    status: &RevisionStatus,
    deployment: Option<&Deployment>,
) -> PodAutoscaler {
    let name = name_of(&revision.metadata);
    PodAutoscaler {
        metadata: child_metadata(revision, name.to_owned(), annotations(revision)),
        spec: PodAutoscalerSpec {
            container_concurrency: Some(revision.spec.container_concurrency.unwrap_or(0)),
            scale_target_ref: ObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: Some("Deployment".to_owned()),
                name: Some(names::deployment(name)),
                ..ObjectReference::default()
            },
            reachability: reachability(revision, status, deployment),
            protocol_type: protocol(revision),
        },
        status: None,
    }
}

fn reachability(
    revision: &Revision,
    status: &RevisionStatus,
    deployment: Option<&Deployment>,
) -> Reachability {
    let failed = |type_| status.condition(type_).is_some_and(Condition::is_false);
    let without_pods = deployment.is_some_and(|deployment| {
        let wanted = deployment.spec.replicas.unwrap_or(0);
        let ready = deployment
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas)
            .unwrap_or(0);
        wanted > 0 && ready == 0
    });
    // A crashing revision must be able to go down to zero whatever its minimum says.
    if without_pods && (failed(RESOURCES_AVAILABLE) || failed(CONTAINER_HEALTHY)) {
        return Reachability::Unreachable;
    }
    match label(&revision.metadata, labels::ROUTING_STATE) {
        Some(labels::ROUTING_STATE_ACTIVE) => Reachability::Reachable,
        Some(labels::ROUTING_STATE_RESERVE) => Reachability::Unreachable,
        _ => Reachability::Unknown,
    }
}
