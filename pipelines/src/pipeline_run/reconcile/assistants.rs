//! Has the affinity assistants that were decided, on nodes that take pods, and takes away what a run leaves.
//!
//! Nothing of this is watched: runs that need no assistant cost nothing, and those that do ask when they make children
//! or when these wait.

use crds::config::tekton::{Defaults, Features};
use crds::tekton::PipelineRun;
use crds::tekton::reasons::pipeline_run as reasons;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use reconciler::error::{chain, is_not_found};
use reconciler::object::{controller_of, controller_reference, is_controlled_by};
use reconciler::{Applier, Error};
use serde_json::json;

use super::super::assistants::{Assistant, Leftovers, Setup, leftovers, stateful_set};
use super::make;
use crate::shared::Shared;

/// Keeps a claim while there are pods that have had it, though they have ended.
const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Has `wanted`.
pub(super) async fn ensure(
    shared: &Shared,
    applier: &Applier,
    run: &PipelineRun,
    wanted: &[Assistant],
) -> Result<(), make::Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    let namespace = run.namespace().unwrap_or_default();
    let sets: Api<StatefulSet> = Api::namespaced(shared.client.clone(), &namespace);
    let (defaults, features) = (shared.config.get::<Defaults>(), shared.config.get::<Features>());
    let setup = Setup {
        image: &shared.entrypoint_image,
        defaults: &defaults,
        features: &features,
    };
    for assistant in wanted {
        let name = &assistant.name;
        let doing = |verb: &str| format!("{verb} StatefulSet {namespace}/{name}");
        let live = sets.get_opt(name).await;
        let live = live.map_err(|error| make::Error::ForNow(Error::api(doing("read"), error)))?;
        match live.map(|live| (whose(run, &live), live)) {
            Some((Whose::Own, live)) => {
                if let Err(error) = leave_closed_node(shared, applier, &live).await {
                    // What waits looks again, and may be lucky meanwhile.
                    shared.events.warning(run, "Error", chain(&error));
                }
                continue;
            }
            Some((Whose::Other, _)) => {
                return Err(make::Error::ForGood {
                    reason: reasons::COULDNT_CREATE_AFFINITY_ASSISTANT,
                    message: format!(
                        "StatefulSet {namespace}/{name} exists, and is not of this run: delete it, or give the run \
                         another name"
                    ),
                });
            }
            // The names of runs come again, and with them those of their assistants. Created below, which says when the
            // name is free.
            Some((Whose::Earlier, live)) => applier.delete(&live).await.map_err(make::Error::ForNow)?,
            None => {}
        }
        let mut set = stateful_set(run, assistant, setup);
        set.metadata.owner_references = controller_reference(run).map(|reference| vec![reference]);
        if let Err(error) = sets.create(&PostParams::default(), &set).await {
            let reason = reasons::COULDNT_CREATE_AFFINITY_ASSISTANT;
            return Err(make::refused_or_later(reason, doing("create"), error));
        }
    }
    Ok(())
}

enum Whose {
    Own,
    /// Of a run that is gone, or going away by somebody's hand.
    Earlier,
    Other,
}

fn whose(run: &PipelineRun, live: &StatefulSet) -> Whose {
    let uid = run.uid().unwrap_or_default();
    let of_namesake = controller_of(&live.metadata)
        .is_some_and(|owner| owner.kind == PipelineRun::kind(&()) && owner.name == run.name_any());
    match (
        is_controlled_by(&live.metadata, &uid),
        live.metadata.deletion_timestamp.is_some(),
    ) {
        (true, false) => Whose::Own,
        (true, true) => Whose::Earlier,
        (false, _) if of_namesake => Whose::Earlier,
        (false, _) => Whose::Other,
    }
}

/// Lets the pod of an assistant be made again, elsewhere, if its node takes no more pods: those that have to be beside
/// it could never be.
async fn leave_closed_node(shared: &Shared, applier: &Applier, set: &StatefulSet) -> Result<(), Error> {
    let namespace = set.namespace().unwrap_or_default();
    let name = format!("{}-0", set.name_any());
    let pods: Api<Pod> = Api::namespaced(shared.client.clone(), &namespace);
    let pod = pods.get_opt(&name).await;
    let pod = pod.map_err(|error| Error::api(format!("read pod {namespace}/{name}"), error))?;
    let uid = set.uid().unwrap_or_default();
    let ours = |pod: &Pod| is_controlled_by(&pod.metadata, &uid) && pod.metadata.deletion_timestamp.is_none();
    let Some(pod) = pod.filter(ours) else {
        return Ok(());
    };
    let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) else {
        return Ok(());
    };
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let found = nodes.get_opt(node).await;
    let found = found.map_err(|error| Error::api(format!("read node {node}"), error))?;
    let closed = found
        .and_then(|node| node.spec?.unschedulable)
        .unwrap_or_default();
    if closed {
        tracing::info!(pod = %name, %namespace, %node, "Affinity assistant leaves a node that takes no more pods");
        applier.delete(&pod).await?;
    }
    Ok(())
}

/// Takes away what a run leaves that is over, before its status says so: afterwards nobody looks at it any more. What
/// may not be taken away is told, and goes with the run.
pub(super) async fn clean(shared: &Shared, applier: &Applier, run: &PipelineRun) -> Result<(), Error> {
    let Leftovers {
        stateful_sets,
        claims,
    } = leftovers(run);
    for name in &stateful_sets {
        tolerate(shared, run, without_set(shared, applier, run, name).await)?;
    }
    for name in &claims {
        tolerate(shared, run, without_claim(shared, run, name).await)?;
    }
    Ok(())
}

fn tolerate(shared: &Shared, run: &PipelineRun, done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(
            ref error @ Error::Api {
                source: kube::Error::Api(ref status),
                ..
            },
        ) if status.code == 403 => {
            shared.events.warning(run, "Error", chain(error));
            Ok(())
        }
        done => done,
    }
}

async fn without_set(shared: &Shared, applier: &Applier, run: &PipelineRun, name: &str) -> Result<(), Error> {
    let namespace = run.namespace().unwrap_or_default();
    let sets: Api<StatefulSet> = Api::namespaced(shared.client.clone(), &namespace);
    let live = sets.get_opt(name).await;
    let live = live.map_err(|error| Error::api(format!("read StatefulSet {namespace}/{name}"), error))?;
    match live.filter(|live| is_controlled_by(&live.metadata, &run.uid().unwrap_or_default())) {
        Some(live) => applier.delete(&live).await,
        None => Ok(()),
    }
}

/// The name of the claim has the run's UID in it, so it is this run's.
async fn without_claim(shared: &Shared, run: &PipelineRun, name: &str) -> Result<(), Error> {
    let namespace = run.namespace().unwrap_or_default();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(shared.client.clone(), &namespace);
    let failed =
        |verb: &str, error| Error::api(format!("{verb} PersistentVolumeClaim {namespace}/{name}"), error);
    let claim = match claims.delete(name, &DeleteParams::background()).await {
        Ok(answer) => answer.left(),
        Err(error) if is_not_found(&error) => None,
        Err(error) => return Err(failed("delete", error)),
    };
    let Some(claim) = claim.filter(|claim| claim.finalizers().iter().any(|name| name == CLAIM_PROTECTION))
    else {
        return Ok(());
    };
    // The pods of the run have ended, and stay to be read.
    let finalizers: Vec<&String> = claim
        .finalizers()
        .iter()
        .filter(|name| *name != CLAIM_PROTECTION)
        .collect();
    let change = json!({"metadata": {"finalizers": finalizers, "resourceVersion": claim.resource_version()}});
    match claims
        .patch(name, &PatchParams::default(), &Patch::Merge(&change))
        .await
    {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(failed("release", error)),
    }
}
