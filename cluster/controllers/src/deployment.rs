//! Deployment: rolls a pod template out through ReplicaSets.

mod rollout;
mod sets;
mod status;

use std::cmp::Ordering;
use std::sync::Arc;

use cluster_events::{Recorder, Severity};

use crate::worker::{Next, Setup, is_conflict, is_not_found};
use informer::object::controller_of;
use informer::{Cache, Key, Queue, Selection};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use rollout::Step;
use serde_json::json;

struct Context {
    client: Client,
    events: Recorder,
    deployments: Cache<Deployment>,
    replica_sets: Cache<ReplicaSet>,
}

pub fn spawn(setup: &mut Setup) {
    let queue = Queue::new("deployment");
    let context = Arc::new(Context {
        client: setup.client.clone(),
        events: setup.recorder("deployment-controller"),
        deployments: setup.caches.cache_of(Selection::default().packed()),
        replica_sets: setup.caches.cache_of(Selection::default().packed()),
    });
    let on_deployment = queue.clone();
    context.deployments.on_change(move |change| {
        if let Some(deployment) = change.latest() {
            on_deployment.add(Key::of(deployment.as_ref()));
        }
    });
    let on_set = queue.clone();
    context.replica_sets.on_change(move |change| {
        for set in change.states() {
            if let Some(owner) = controller_of(set.meta()).filter(|owner| owner.kind == "Deployment") {
                on_set.add(Key::new(set.namespace().unwrap_or_default(), owner.name.clone()));
            }
        }
    });
    let all = context.deployments.clone();
    setup.controller("deployment", &queue, move || all.keys(), &context, reconcile);
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    let Some(deployment) = context.deployments.get(&key) else {
        return Ok(Next::Wait);
    };
    let uid = deployment.uid().unwrap_or_default();
    let mut owned = context.replica_sets.controlled_by(&uid);
    owned.retain(|set| set.meta().deletion_timestamp.is_none());
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
    let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), &key.namespace);
    match step {
        Step::Create { replicas } => {
            let Some(set) = sets::desired(deployment, owned, replicas) else {
                return Ok(None);
            };
            match api.create(&PostParams::default(), &set).await {
                Ok(set) => {
                    tell_scaled(context, deployment, &set.name_any(), 0, replicas);
                    context.replica_sets.record(set.clone());
                    Ok(Some(Arc::new(set)))
                }
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
            let patched = api
                .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                .await;
            if let Some(set) = unless_gone(patched)? {
                let before = owned.iter().find(|known| known.name_any() == name);
                let before = before.and_then(|known| known.spec.replicas).unwrap_or(1);
                tell_scaled(context, deployment, &name, before, replicas);
                context.replica_sets.record(set);
            }
            Ok(None)
        }
        Step::Delete { name } => {
            unless_gone(api.delete(&name, &DeleteParams::background()).await)?;
            Ok(None)
        }
    }
}

fn tell_scaled(context: &Context, deployment: &Deployment, set: &str, before: i32, after: i32) {
    if let Some(message) = scaled(set, before, after) {
        let about = cluster_events::reference(deployment);
        context
            .events
            .record(about, Severity::Normal, "ScalingReplicaSet", message);
    }
}

/// The words of upstream's deployment controller; `None` if the size stays.
fn scaled(set: &str, before: i32, after: i32) -> Option<String> {
    let direction = match after.cmp(&before) {
        Ordering::Equal => return None,
        Ordering::Greater => "up",
        Ordering::Less => "down",
    };
    Some(format!(
        "Scaled {direction} replica set {set} from {before} to {after}"
    ))
}

fn unless_gone<T>(result: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_not_found(&error) => Ok(None),
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
    let api: Api<Deployment> = Api::namespaced(context.client.clone(), &key.namespace);
    let params = PatchParams::default();
    if let Some(revision) = new.and_then(|set| set.annotations().get(sets::REVISION))
        && deployment.annotations().get(sets::REVISION) != Some(revision)
    {
        let patch = json!({ "metadata": { "annotations": { sets::REVISION: revision } } });
        let patched = api.patch(&key.name, &params, &Patch::Merge(patch)).await;
        if let Some(deployment) = unless_gone(patched)? {
            context.deployments.record(deployment);
        }
    }
    if status::differs(deployment, &status) {
        let patch = json!({ "metadata": { "uid": deployment.uid() }, "status": status });
        match api.patch_status(&key.name, &params, &Patch::Merge(patch)).await {
            Ok(deployment) => context.deployments.record(deployment),
            Err(error) if is_not_found(&error) || is_conflict(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn scaling_is_told_in_the_words_that_scripts_know() {
        let table = [
            (0, 3, Some("Scaled up replica set web-1 from 0 to 3")),
            (3, 1, Some("Scaled down replica set web-1 from 3 to 1")),
            (1, 1, None),
        ];
        for (before, after, expected) in table {
            assert_eq!(scaled("web-1", before, after).as_deref(), expected);
        }
    }
}
