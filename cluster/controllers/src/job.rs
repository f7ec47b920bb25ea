//! Job: runs pods until enough of them have succeeded, or too many have failed.
//!
//! A pod is counted exactly once, whatever is killed when, as upstream does it: every pod carries a finalizer. An ended
//! pod is first named in the Job's status as ended and uncounted, then it loses its finalizer, and only then does it
//! move from the uncounted into the counters. A version conflict refuses counts that were made from an old status.

mod backoff;
mod count;
mod facts;
mod indexes;
mod orphans;
mod plan;
mod template;

use std::sync::Arc;

use cluster_events::{Recorder, Severity, reference};
use informer::object::controller_of;
use informer::{Cache, Key, Queue, Selection};
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use crate::batch::doubling;
use crate::worker::{Next, Setup, is_conflict, is_not_found};
use facts::{Facts, PodFacts};

/// The finalizer by which the pods of a Job wait until they are counted.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// `spec.managedBy` of a Job that is ours, if it says anything at all.
const MANAGER: &str = "kubernetes.io/job-controller";
/// Most pods created by one reconcile (upstream: MaxPodCreateDeletePerSync).
const BURST: usize = 500;

struct Context {
    client: Client,
    events: Recorder,
    jobs: Cache<Job>,
    /// Own creations and releases are recorded in it at once: a stale one would have us create or count pods twice.
    pods: Cache<Pod>,
}

pub fn spawn(setup: &mut Setup) {
    let queue = Queue::new("job");
    let context = Arc::new(Context {
        client: setup.client.clone(),
        events: setup.recorder("job-controller"),
        jobs: setup.caches.cache_of(Selection::default().packed()),
        pods: setup.caches.cache(),
    });
    let on_job = queue.clone();
    context.jobs.on_change(move |change| {
        if let Some(job) = change.latest() {
            on_job.add(Key::of(job.as_ref()));
        }
    });
    let on_pod = queue.clone();
    context.pods.on_change(move |change| {
        for pod in change.states() {
            if let Some(owner) = controller_of(pod.meta()).filter(|owner| owner.kind == "Job") {
                on_pod.add(Key::new(pod.namespace().unwrap_or_default(), owner.name.clone()));
            }
        }
    });
    let all = context.jobs.clone();
    setup.controller("job", &queue, move || all.keys(), &context, reconcile);
    orphans::spawn(setup, &context);
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    let Some(job) = context.jobs.get(&key) else {
        return Ok(Next::Wait);
    };
    let elsewhere = job
        .spec
        .as_ref()
        .and_then(|spec| spec.managed_by.as_deref())
        .is_some_and(|manager| manager != MANAGER);
    // The pods of a Job that goes are let go by `orphans`.
    if elsewhere || job.meta().deletion_timestamp.is_some() {
        return Ok(Next::Wait);
    }
    let pods = context.pods.controlled_by(&job.uid().unwrap_or_default());
    let Some(facts) = Facts::gather(&job, &pods, jiff::Timestamp::now()) else {
        return Ok(Next::Wait);
    };
    let plan = plan::plan(&facts);
    if plan.remove {
        return remove(&context, &key, &job).await.map(|()| Next::Wait);
    }
    // Before a pod is let go, the status that names it must be stored.
    report(&context, &key, &job, plan.status).await?;
    for (severity, reason, message) in plan.events {
        context
            .events
            .record(reference(job.as_ref()), severity, reason, message);
    }
    for pod in plan.release {
        release(&context, &key.namespace, pod).await?;
    }
    for pod in plan.withdraw {
        // Let go first: what the controller takes back is no failure of the Job.
        release(&context, &key.namespace, pod).await?;
        delete(&context, &key.namespace, &job, pod).await?;
    }
    for pod in plan.end {
        delete(&context, &key.namespace, &job, pod).await?;
    }
    create(&context, &key, &job, &plan.create).await?;
    Ok(plan.recheck.map_or(Next::Wait, Next::After))
}

/// Stores `status`, unless somebody has changed the Job since it was read.
async fn report(context: &Context, key: &Key, job: &Job, status: JobStatus) -> Result<(), kube::Error> {
    if job.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let api: Api<Job> = Api::namespaced(context.client.clone(), &key.namespace);
    let changed = Job {
        status: Some(status),
        ..job.clone()
    };
    let stored = api
        .replace_status(&key.name, &PostParams::default(), &changed)
        .await?;
    context.jobs.record(stored);
    Ok(())
}

/// Takes the finalizer off `pod`.
async fn release(context: &Context, namespace: &str, pod: &PodFacts) -> Result<(), kube::Error> {
    if !pod.tracked {
        return Ok(());
    }
    let kept: Vec<&String> = pod.finalizers.iter().filter(|f| *f != TRACKING).collect();
    // The version keeps a finalizer that somebody adds meanwhile.
    let patch = json!({ "metadata": {
        "uid": pod.uid, "resourceVersion": pod.resource_version, "finalizers": kept,
    }});
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    match api
        .patch(&pod.name, &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Ok(pod) => {
            context.pods.record(pod);
            Ok(())
        }
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn delete(context: &Context, namespace: &str, job: &Job, pod: &PodFacts) -> Result<(), kube::Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(pod.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    match api.delete(&pod.name, &params).await {
        Ok(answer) => {
            let message = format!("Deleted pod: {}", pod.name);
            context
                .events
                .record(reference(job), Severity::Normal, "SuccessfulDelete", message);
            if let Some(pod) = answer.left() {
                context.pods.record(pod);
            }
            Ok(())
        }
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates a pod for each of `indexes`.
async fn create(context: &Context, key: &Key, job: &Job, indexes: &[Option<u32>]) -> Result<(), kube::Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.namespace);
    let pods: Vec<Pod> = indexes
        .iter()
        .filter_map(|index| template::pod_from(job, *index))
        .collect();
    let created = doubling(&pods, async |pod| {
        let pod = api.create(&PostParams::default(), pod).await?;
        let message = format!("Created pod: {}", pod.name_any());
        context
            .events
            .record(reference(job), Severity::Normal, "SuccessfulCreate", message);
        context.pods.record(pod);
        Ok(())
    });
    created.await.inspect_err(|error| {
        let message = format!("Error creating: {error}");
        context
            .events
            .record(reference(job), Severity::Warning, "FailedCreate", message);
    })
}

/// Deletes a Job that has been finished for as long as it is to be kept.
async fn remove(context: &Context, key: &Key, job: &Job) -> Result<(), kube::Error> {
    let api: Api<Job> = Api::namespaced(context.client.clone(), &key.namespace);
    let params = DeleteParams {
        // A changed Job may have been given more time.
        preconditions: Some(Preconditions {
            uid: job.uid(),
            resource_version: job.resource_version(),
        }),
        ..DeleteParams::background()
    };
    match api.delete(&key.name, &params).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(error),
    }
}
