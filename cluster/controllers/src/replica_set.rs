//! ReplicaSet: keeps as many pods of a template as asked for.

mod plan;
mod status;

use std::sync::Arc;

use cluster_events::{Recorder, Severity, reference};
use informer::object::controller_of;
use informer::{Cache, Key, Queue, Selection};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};

use crate::batch::doubling;
use crate::pod::is_active;
use crate::worker::{Next, Setup, is_conflict, is_not_found};

/// Most pods created by one reconcile (upstream: BurstReplicas).
const BURST: usize = 500;

struct Context {
    client: Client,
    events: Recorder,
    replica_sets: Cache<ReplicaSet>,
    /// Own creations and deletions are recorded in it at once: a stale one would have us create pods twice.
    pods: Cache<Pod>,
}

pub fn spawn(setup: &mut Setup) {
    let queue = Queue::new("replicaset");
    let context = Arc::new(Context {
        client: setup.client.clone(),
        events: setup.recorder("replicaset-controller"),
        replica_sets: setup.caches.cache_of(Selection::default().packed()),
        pods: setup.caches.cache(),
    });
    let on_set = queue.clone();
    context.replica_sets.on_change(move |change| {
        if let Some(set) = change.latest() {
            on_set.add(Key::of(set.as_ref()));
        }
    });
    let on_pod = queue.clone();
    context.pods.on_change(move |change| {
        for pod in change.states() {
            if let Some(owner) = controller_of(pod.meta()).filter(|owner| owner.kind == "ReplicaSet") {
                on_pod.add(Key::new(pod.namespace().unwrap_or_default(), owner.name.clone()));
            }
        }
    });
    let all = context.replica_sets.clone();
    setup.controller("replicaset", &queue, move || all.keys(), &context, reconcile);
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    let Some(set) = context.replica_sets.get(&key) else {
        return Ok(Next::Wait);
    };
    let uid = set.uid().unwrap_or_default();
    let mut active = context.pods.controlled_by(&uid);
    active.retain(|pod| is_active(pod));

    let mut failure = None;
    if set.meta().deletion_timestamp.is_none() {
        let wanted = usize::try_from(set.spec.replicas.unwrap_or(1)).unwrap_or(0);
        match plan::plan(wanted, &active) {
            plan::Plan::Keep => {}
            plan::Plan::Create(count) => failure = create(&context, &key, &set, count.min(BURST)).await.err(),
            plan::Plan::Delete(pods) => delete(&context, &key, &set, &pods).await?,
        }
    }
    let now = jiff::Timestamp::now();
    let (status, recheck) = status::observe(&set, &active, failure.as_ref(), now);
    report(&context, &key, &set, status).await?;
    match (failure, recheck) {
        (Some(error), _) => Err(error),
        (None, Some(delay)) => Ok(Next::After(delay)),
        (None, None) => Ok(Next::Wait),
    }
}

/// Creates `count` pods.
async fn create(context: &Context, key: &Key, set: &ReplicaSet, count: usize) -> Result<(), kube::Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.namespace);
    let Some(pod) = plan::pod_from(set) else {
        return Ok(());
    };
    let each = vec![(); count];
    let created = doubling(&each, async |()| {
        let pod = api.create(&PostParams::default(), &pod).await?;
        let message = format!("Created pod: {}", pod.name_any());
        context
            .events
            .record(reference(set), Severity::Normal, "SuccessfulCreate", message);
        context.pods.record(pod);
        Ok(())
    });
    created.await.inspect_err(|error| {
        let message = format!("Error creating: {error}");
        context
            .events
            .record(reference(set), Severity::Warning, "FailedCreate", message);
    })
}

async fn delete(
    context: &Context,
    key: &Key,
    set: &ReplicaSet,
    pods: &[Arc<Pod>],
) -> Result<(), kube::Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.namespace);
    for pod in pods {
        let name = pod.name_any();
        // The uid keeps us from deleting a namesake that replaced the pod we chose.
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        match api.delete(&name, &params).await {
            // Marked as going. One that is gone at once takes the watch to forget; asked for again, it is not found.
            Ok(answer) => {
                let message = format!("Deleted pod: {name}");
                context
                    .events
                    .record(reference(set), Severity::Normal, "SuccessfulDelete", message);
                if let Some(pod) = answer.left() {
                    context.pods.record(pod);
                }
            }
            Err(error) if is_not_found(&error) || is_conflict(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn report(
    context: &Context,
    key: &Key,
    set: &ReplicaSet,
    status: serde_json::Value,
) -> Result<(), kube::Error> {
    if !status::differs(set, &status) {
        return Ok(());
    }
    let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), &key.namespace);
    let patch = serde_json::json!({ "metadata": { "uid": set.uid() }, "status": status });
    match api
        .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Ok(set) => {
            context.replica_sets.record(set);
            Ok(())
        }
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
        Err(error) => Err(error),
    }
}
