//! ReplicaSet: keeps as many pods of a template as asked for.

mod plan;
mod status;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::informer::{Informer, Key, key_of};
use crate::pod::is_active;
use crate::queue::Queue;
use crate::worker::{self, Next, is_conflict, is_not_found};

/// Most pods created by one reconcile (upstream: BurstReplicas).
const BURST: usize = 500;

/// How long a pod that was just created or deleted may stay unseen in the cache before it is counted as it looks there.
const EXPECTATION_TIMEOUT: Duration = Duration::from_secs(30);

struct Context {
    client: Client,
    replica_sets: Arc<Informer<ReplicaSet>>,
    pods: Arc<Informer<Pod>>,
    expectations: Mutex<HashMap<Key, Expectations>>,
}

/// Writes of ours that the cache does not show yet; without them a stale cache would have us create pods twice.
#[derive(Default)]
struct Expectations {
    created: HashMap<String, Instant>,
    deleted: HashMap<String, Instant>,
}

pub fn spawn(
    tasks: &mut JoinSet<()>,
    client: &Client,
    replica_sets: &Arc<Informer<ReplicaSet>>,
    pods: &Arc<Informer<Pod>>,
) {
    let queue = Arc::new(Queue::new());
    let context = Arc::new(Context {
        client: client.clone(),
        replica_sets: replica_sets.clone(),
        pods: pods.clone(),
        expectations: Mutex::default(),
    });
    let (on_set, on_pod) = (queue.clone(), queue.clone());
    let (seen, forget) = (context.clone(), context.clone());
    replica_sets.on_change(move |change| {
        if let Some(set) = change.latest() {
            if change.new.is_none() {
                forget.expectations.lock().remove(&key_of(set.as_ref()));
            }
            on_set.add(key_of(set.as_ref()));
        }
    });
    pods.on_change(move |change| {
        for pod in [change.old, change.new].into_iter().flatten() {
            if let Some(owner) = owner_key(pod) {
                seen.saw(&owner, &pod.name_any(), change.new.is_none());
                on_pod.add(owner);
            }
        }
    });
    worker::spawn(tasks, "replicaset", &queue, &context, reconcile);
}

/// The ReplicaSet that controls `pod`.
fn owner_key(pod: &Pod) -> Option<Key> {
    let owner = pod
        .owner_references()
        .iter()
        .find(|o| o.controller == Some(true) && o.kind == "ReplicaSet")?;
    Some((pod.namespace()?, owner.name.clone()))
}

impl Context {
    fn saw(&self, owner: &Key, pod: &str, gone: bool) {
        if let Some(expected) = self.expectations.lock().get_mut(owner) {
            expected.created.remove(pod);
            if gone {
                expected.deleted.remove(pod);
            }
        }
    }

    /// Pods created but not in the cache yet, and names of pods whose deletion is not in the cache yet.
    fn pending(&self, owner: &Key, cached: &[Arc<Pod>]) -> (usize, Vec<String>) {
        let mut all = self.expectations.lock();
        let Some(expected) = all.get_mut(owner) else {
            return (0, Vec::new());
        };
        expected.created.retain(|name, since| {
            since.elapsed() < EXPECTATION_TIMEOUT && !cached.iter().any(|pod| pod.name_any() == *name)
        });
        expected.deleted.retain(|name, since| {
            since.elapsed() < EXPECTATION_TIMEOUT
                && cached
                    .iter()
                    .any(|pod| pod.name_any() == *name && pod.meta().deletion_timestamp.is_none())
        });
        (expected.created.len(), expected.deleted.keys().cloned().collect())
    }

    fn expect_created(&self, owner: &Key, pod: String) {
        if self.pods.get(&(owner.0.clone(), pod.clone())).is_none() {
            self.expectations
                .lock()
                .entry(owner.clone())
                .or_default()
                .created
                .insert(pod, Instant::now());
        }
    }

    fn expect_deleted(&self, owner: &Key, pod: String) {
        self.expectations
            .lock()
            .entry(owner.clone())
            .or_default()
            .deleted
            .insert(pod, Instant::now());
    }
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    if !context.pods.synced() {
        return Ok(Next::After(Duration::from_millis(20)));
    }
    let Some(set) = context.replica_sets.get(&key) else {
        return Ok(Next::Wait);
    };
    let uid = set.uid().unwrap_or_default();
    let owned = context.pods.in_namespace(&key.0, |pod| {
        pod.owner_references()
            .iter()
            .any(|owner| owner.controller == Some(true) && owner.uid == uid)
    });
    let (unseen, deleting) = context.pending(&key, &owned);
    let active: Vec<Arc<Pod>> = owned
        .into_iter()
        .filter(|pod| is_active(pod) && !deleting.contains(&pod.name_any()))
        .collect();

    let mut failure = None;
    if set.meta().deletion_timestamp.is_none() {
        let wanted = usize::try_from(set.spec.replicas.unwrap_or(1)).unwrap_or(0);
        match plan::plan(wanted, unseen, &active) {
            plan::Plan::Keep => {}
            plan::Plan::Create(count) => failure = create(&context, &key, &set, count.min(BURST)).await.err(),
            plan::Plan::Delete(pods) => delete(&context, &key, &pods).await?,
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

/// Creates `count` pods in batches that double, so that a quota or admission error is met once, not `count` times.
async fn create(context: &Context, key: &Key, set: &ReplicaSet, count: usize) -> Result<(), kube::Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.0);
    let Some(pod) = plan::pod_from(set) else {
        return Ok(());
    };
    let params = PostParams::default();
    let (mut left, mut batch) = (count, 1);
    while left > 0 {
        let size = batch.min(left);
        let created = join_all((0..size).map(|_| api.create(&params, &pod))).await;
        let mut error = None;
        for result in created {
            match result {
                Ok(pod) => context.expect_created(key, pod.name_any()),
                Err(e) => error = Some(e),
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        left -= size;
        batch *= 2;
    }
    Ok(())
}

async fn delete(context: &Context, key: &Key, pods: &[Arc<Pod>]) -> Result<(), kube::Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.0);
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
            Ok(_) => context.expect_deleted(key, name),
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
    let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), &key.0);
    let patch = serde_json::json!({ "metadata": { "uid": set.uid() }, "status": status });
    match api
        .patch_status(&key.1, &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
        Err(error) => Err(error),
    }
}
