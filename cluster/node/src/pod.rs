//! A pod on this node: what is known of it, what it needs next, what its status says, and the task that does it.
//!
//! The decision is a pure function, [`plan::next_actions`], of the pod's specification, the [`facts::Facts`] and the
//! time. [`worker`] carries the actions out and turns what happens into facts; [`status`] turns facts into the status.

mod backoff;
pub mod facts;
mod hooks;
pub mod plan;
pub(crate) mod pull_slots;
mod restore;
mod start;
pub mod status;
mod status_writer;
mod termination;
mod turns;
pub mod worker;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

/// Every container of a pod, init containers first.
pub fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

/// An init container that keeps running beside the others (`restartPolicy: Always`).
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The grace period of a pod that is being deleted, or else of its specification (upstream default: 30 s).
pub(crate) fn grace_seconds(pod: &Pod) -> i64 {
    let wanted = pod.metadata.deletion_grace_period_seconds;
    let usual = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.termination_grace_period_seconds);
    wanted.or(usual).unwrap_or(30).max(0)
}

/// The id of a container run at the shim: unique within the pod.
pub(crate) fn run_id(container: &str, attempt: u32) -> String {
    format!("{container}.{attempt}")
}

/// The same with the pod, as statuses show it.
pub(crate) fn container_id(pod_uid: &str, container: &str, attempt: u32) -> String {
    format!("spindrift://{pod_uid}/{}", run_id(container, attempt))
}
