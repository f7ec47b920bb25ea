//! Deployment: rolls a pod template out through ReplicaSets.

mod rollout;
mod sets;
mod status;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;

use crate::informer::{Informer, Key, key_of};
use crate::queue::Queue;
use crate::worker::{self, Next, is_conflict, is_not_found};
use rollout::Step;

struct Context {
    client: Client,
    deployments: Arc<Informer<Deployment>>,
    replica_sets: Arc<Informer<ReplicaSet>>,
}

pub fn spawn(
    tasks: &mut JoinSet<()>,
    client: &Client,
    deployments: &Arc<Informer<Deployment>>,
    replica_sets: &Arc<Informer<ReplicaSet>>,
) {
    let queue = Arc::new(Queue::new());
    let (on_deployment, on_set) = (queue.clone(), queue.clone());
    deployments.on_change(move |change| {
        if let Some(deployment) = change.latest() {
            on_deployment.add(key_of(deployment.as_ref()));
        }
    });
    replica_sets.on_change(move |change| {
        for set in [change.old, change.new].into_iter().flatten() {
            let owners = set.owner_references();
            if let Some(owner) = owners
                .iter()
                .find(|o| o.controller == Some(true) && o.kind == "Deployment")
            {
                on_set.add((set.namespace().unwrap_or_default(), owner.name.clone()));
            }
        }
    });
    let context = Arc::new(Context {
        client: client.clone(),
        deployments: deployments.clone(),
        replica_sets: replica_sets.clone(),
    });
    worker::spawn(tasks, "deployment", &queue, &context, reconcile);
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    if !context.replica_sets.synced() {
        return Ok(Next::After(Duration::from_millis(20)));
    }
    let Some(deployment) = context.deployments.get(&key) else {
        return Ok(Next::Wait);
    };
    let uid = deployment.uid().unwrap_or_default();
    let mut owned = context.replica_sets.in_namespace(&key.0, |set| {
        set.meta().deletion_timestamp.is_none()
            && set
                .owner_references()
                .iter()
                .any(|o| o.controller == Some(true) && o.uid == uid)
    });
    owned.sort_by_key(|set| (set.creation_timestamp().map(|t| t.0), set.name_any()));

    let (new, old) = sets::split(&deployment, &owned);
    let mut created = None;
    if deployment.meta().deletion_timestamp.is_none() {
        for step in rollout::steps(&deployment, new.as_deref(), &old) {
            if let Some(set) = carry_out(&context, &key, &deployment, &owned, step).await? {
                created = Some(set);
            }
        }
    }
    let new = new.or(created);
    let now = jiff::Timestamp::now();
    let (status, recheck) = status::observe(&deployment, new.as_deref(), &old, now);
    report(&context, &key, &deployment, new.as_deref(), status).await?;
    Ok(recheck.map_or(Next::Wait, Next::After))
}

/// Carries out one step; returns the ReplicaSet that it made, if it made one.
async fn carry_out(
    context: &Context,
    key: &Key,
    deployment: &Deployment,
    owned: &[Arc<ReplicaSet>],
    step: Step,
) -> Result<Option<Arc<ReplicaSet>>, kube::Error> {
    let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), &key.0);
    match step {
        Step::Create { replicas } => {
            let Some(set) = sets::desired(deployment, owned, replicas) else {
                return Ok(None);
            };
            match api.create(&PostParams::default(), &set).await {
                Ok(set) => Ok(Some(Arc::new(set))),
                // The cache is behind: the set exists already and its event is on the way.
                Err(error) if is_conflict(&error) => Ok(None),
                Err(error) => Err(error),
            }
        }
        Step::Update {
            name,
            replicas,
            annotations,
        } => {
            let patch =
                json!({ "metadata": { "annotations": annotations }, "spec": { "replicas": replicas } });
            ignore_gone(
                api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                    .await,
            )?;
            Ok(None)
        }
        Step::Delete { name } => {
            ignore_gone(api.delete(&name, &DeleteParams::background()).await)?;
            Ok(None)
        }
    }
}

fn ignore_gone<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn report(
    context: &Context,
    key: &Key,
    deployment: &Deployment,
    new: Option<&ReplicaSet>,
    status: serde_json::Value,
) -> Result<(), kube::Error> {
    let api: Api<Deployment> = Api::namespaced(context.client.clone(), &key.0);
    let params = PatchParams::default();
    if let Some(revision) = new.and_then(|set| set.annotations().get(sets::REVISION))
        && deployment.annotations().get(sets::REVISION) != Some(revision)
    {
        let patch = json!({ "metadata": { "annotations": { sets::REVISION: revision } } });
        ignore_gone(api.patch(&key.1, &params, &Patch::Merge(patch)).await)?;
    }
    if status::differs(deployment, &status) {
        let patch = json!({ "metadata": { "uid": deployment.uid() }, "status": status });
        match api.patch_status(&key.1, &params, &Patch::Merge(patch)).await {
            Err(error) if !is_not_found(&error) && !is_conflict(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
