//! Lets go of pods that no Job will ever count: theirs is gone, going or finished.

use std::sync::Arc;

use informer::object::{controller_of, is_controlled_by};
use informer::{Key, Queue};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt};

use super::facts::Facts;
use super::{Context, TRACKING, release};
use crate::worker::{Next, Setup};

/// Starts the workers that release orphans.
pub fn spawn(setup: &mut Setup, context: &Arc<Context>) {
    let queue = Queue::new("job-orphan");
    let on_pod = queue.clone();
    context.pods.on_change(move |change| {
        if let Some(pod) = change.latest().filter(|pod| is_tracked(pod)) {
            on_pod.add(Key::of(pod.as_ref()));
        }
    });
    let (on_job, pods) = (queue.clone(), context.pods.clone());
    context.jobs.on_change(move |change| {
        for job in change.states() {
            for pod in pods.controlled_by(&job.uid().unwrap_or_default()) {
                if is_tracked(&pod) && (change.latest().is_none() || has_no_more_use(job)) {
                    on_job.add(Key::of(pod.as_ref()));
                }
            }
        }
    });
    let all = context.pods.clone();
    setup.controller("job-orphan", &queue, move || all.keys(), context, reconcile);
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    let Some(pod) = context.pods.get(&key).filter(|pod| is_tracked(pod)) else {
        return Ok(Next::Wait);
    };
    let job = controller_of(pod.meta())
        .filter(|owner| owner.kind == "Job")
        .and_then(|owner| context.jobs.named(&key.namespace, &owner.name))
        .filter(|job| is_controlled_by(pod.meta(), &job.uid().unwrap_or_default()));
    if job.as_ref().is_some_and(|job| !has_no_more_use(job)) {
        return Ok(Next::Wait);
    }
    let nobody = Job {
        spec: Some(Default::default()),
        ..Job::default()
    };
    if let Some(facts) = Facts::gather(&nobody, &[pod], jiff::Timestamp::UNIX_EPOCH) {
        for pod in &facts.pods {
            release(&context, &key.namespace, pod).await?;
        }
    }
    Ok(Next::Wait)
}

fn is_tracked(pod: &Pod) -> bool {
    pod.finalizers().iter().any(|finalizer| finalizer == TRACKING)
}

/// Whether `job` counts no pods any more.
fn has_no_more_use(job: &Job) -> bool {
    let finished = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| {
            matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
        });
    finished || job.meta().deletion_timestamp.is_some()
}
