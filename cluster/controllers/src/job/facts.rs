//! What is known of a Job and its pods when a decision is made.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::TRACKING;
use super::template::INDEX;
use crate::pod::ready_since;

pub struct Facts {
    pub spec: JobSpec,
    /// As it is stored.
    pub status: JobStatus,
    /// In the order of their names.
    pub pods: Vec<PodFacts>,
    /// To the second, the resolution of what is stored.
    pub now: Timestamp,
}

/// How a pod stands, as the Job counts it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    Live,
    /// Deleted, but not over yet, in a Job that waits for that before it starts another.
    Ending,
    Succeeded,
    Failed,
}

#[derive(Clone, Debug)]
pub struct PodFacts {
    pub name: String,
    pub uid: String,
    pub resource_version: Option<String>,
    pub finalizers: Vec<String>,
    /// Carries the finalizer of Jobs: has not been counted.
    pub tracked: bool,
    pub standing: Standing,
    /// Deleted, and its containers may still run.
    pub terminating: bool,
    pub ready: bool,
    pub restarts: i32,
    pub index: Option<u32>,
    pub created: Timestamp,
    /// When it ended; of a pod that has not, when it was created.
    pub ended: Timestamp,
}

impl Facts {
    /// `None` for a Job without spec, which no server hands out.
    pub fn gather(job: &Job, pods: &[Arc<Pod>], now: Timestamp) -> Option<Self> {
        let spec = job.spec.clone()?;
        let only_failed = spec.pod_replacement_policy.as_deref() == Some("Failed");
        Some(Self {
            status: job.status.clone().unwrap_or_default(),
            pods: pods.iter().map(|pod| PodFacts::of(pod, only_failed)).collect(),
            now: Timestamp::from_second(now.as_second()).unwrap_or(now),
            spec,
        })
    }

    /// The condition `kind`, if it is true.
    pub fn condition(&self, kind: &str) -> Option<&JobCondition> {
        self.status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == kind && condition.status == "True")
    }

    pub fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    pub fn live(&self) -> impl Iterator<Item = &PodFacts> {
        self.pods.iter().filter(|pod| pod.standing == Standing::Live)
    }

    pub fn pod(&self, uid: &str) -> Option<&PodFacts> {
        self.pods.iter().find(|pod| pod.uid == uid)
    }
}

impl PodFacts {
    fn of(pod: &Pod, only_failed: bool) -> Self {
        let meta = &pod.metadata;
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let deleted = meta.deletion_timestamp.is_some();
        let standing = match phase {
            Some("Succeeded") => Standing::Succeeded,
            Some("Failed") => Standing::Failed,
            _ if deleted && only_failed => Standing::Ending,
            // Its node may never tell how it ended.
            _ if deleted => Standing::Failed,
            _ => Standing::Live,
        };
        let finalizers = meta.finalizers.clone().unwrap_or_default();
        let created = meta
            .creation_timestamp
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        Self {
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            resource_version: pod.resource_version(),
            tracked: finalizers.iter().any(|finalizer| finalizer == TRACKING),
            finalizers,
            standing,
            terminating: deleted && !matches!(phase, Some("Succeeded" | "Failed")),
            ready: ready_since(pod).is_some(),
            restarts: restarts(pod),
            index: pod.annotations().get(INDEX).and_then(|index| index.parse().ok()),
            created,
            ended: ended(pod).unwrap_or(created),
        }
    }
}

/// How often the containers of `pod` were started again.
fn restarts(pod: &Pod) -> i32 {
    let status = pod.status.as_ref();
    let lists = [
        status.and_then(|status| status.init_container_statuses.as_ref()),
        status.and_then(|status| status.container_statuses.as_ref()),
    ];
    lists
        .into_iter()
        .flatten()
        .flatten()
        .fold(0, |sum, container| sum.saturating_add(container.restart_count))
}

/// When the last container of `pod` ended, else when it was deleted.
fn ended(pod: &Pod) -> Option<Timestamp> {
    let containers = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    let last = containers
        .filter_map(|container| {
            container
                .state
                .as_ref()?
                .terminated
                .as_ref()?
                .finished_at
                .as_ref()
        })
        .map(|time| time.0)
        .max();
    last.or_else(|| {
        // The timestamp names the end of the grace period.
        let meta = &pod.metadata;
        let grace = jiff::SignedDuration::from_secs(meta.deletion_grace_period_seconds.unwrap_or(0));
        meta.deletion_timestamp.as_ref()?.0.checked_sub(grace).ok()
    })
}
