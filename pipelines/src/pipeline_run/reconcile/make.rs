//! Making claims, assistants and children. Their names are known beforehand: what is there already was made by an
//! earlier look.

use crds::tekton::reasons::pipeline_run as reasons;
use crds::tekton::{PipelineRun, labels};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, PostParams};
use kube::{Resource, ResourceExt};
use reconciler::error::{chain, is_conflict};
use reconciler::object::{api, controller_of, controller_reference, is_controlled_by};
use reconciler::{Applier, Cache, Key, Object, Scoped};

use super::super::Decision;
use super::super::children::NewChild;
use super::assistants;
use crate::shared::Shared;

/// Pipelines that may run in each other.
const NESTED: usize = 16;

#[derive(Debug)]
pub(super) enum Error {
    /// Trying again would not help.
    ForGood {
        reason: &'static str,
        message: String,
    },
    ForNow(reconciler::Error),
}

fn for_good(message: String) -> Error {
    Error::ForGood {
        reason: reasons::CREATE_RUN_FAILED,
        message,
    }
}

/// What became of an attempt that the server did not take.
pub(super) fn refused_or_later(reason: &'static str, doing: String, error: kube::Error) -> Error {
    let refused = is_refused(&error);
    let error = reconciler::Error::api(doing, error);
    if refused {
        let message = chain(&error);
        Error::ForGood { reason, message }
    } else {
        Error::ForNow(error)
    }
}

/// Makes all that was decided: claims, then what holds places beside them, then children.
pub(super) async fn all(
    shared: &Shared,
    applier: &Applier,
    run: &PipelineRun,
    decision: &Decision,
) -> Result<(), Error> {
    for wanted in &decision.claims {
        claim(shared, run, wanted.clone()).await?;
    }
    assistants::ensure(shared, applier, run, &decision.assistants).await?;
    for child in &decision.create {
        match child {
            NewChild::TaskRun(child) => one(shared, applier, run, &shared.task_runs, child.as_ref()).await?,
            NewChild::CustomRun(child) => {
                one(shared, applier, run, &shared.custom_runs, child.as_ref()).await?
            }
            NewChild::PipelineRun(child) => {
                refuse_circle(shared, run, child)?;
                one(shared, applier, run, &shared.pipeline_runs, child.as_ref()).await?;
            }
        }
    }
    Ok(())
}

async fn one<K>(
    shared: &Shared,
    applier: &Applier,
    run: &PipelineRun,
    cache: &Cache<K>,
    child: &K,
) -> Result<(), Error>
where
    K: Object,
    K::Scope: Scoped,
{
    let error = match applier.create(run, cache, child.clone()).await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let reconciler::Error::Api { source, .. } = &error else {
        return Err(Error::ForNow(error));
    };
    if is_conflict(source) {
        let key = Key::of(child);
        let live = api::<K>(&shared.client, &key.namespace).get_opt(&key.name).await;
        return match live {
            Ok(Some(live)) if is_controlled_by(live.meta(), &run.uid().unwrap_or_default()) => {
                cache.record(live);
                Ok(())
            }
            Ok(Some(_)) => {
                let kind = K::kind(&());
                Err(for_good(format!("{kind} {key} exists, and is not of this run")))
            }
            Ok(None) => Err(Error::ForNow(error)),
            Err(source) => Err(Error::ForNow(reconciler::Error::api(
                format!("read {key}"),
                source,
            ))),
        };
    }
    Err(if is_refused(source) {
        for_good(chain(&error))
    } else {
        Error::ForNow(error)
    })
}

/// Will the server never take this object?
fn is_refused(error: &kube::Error) -> bool {
    match error {
        // A quota may have room later, and a namespace that goes away takes the run with it.
        kube::Error::Api(status) => {
            matches!(status.code, 400 | 413 | 422)
                || (status.code == 403
                    && !status.message.contains("quota")
                    && !status.message.contains("being terminated"))
        }
        _ => false,
    }
}

async fn claim(shared: &Shared, run: &PipelineRun, mut claim: PersistentVolumeClaim) -> Result<(), Error> {
    claim.metadata.owner_references = controller_reference(run).map(|reference| vec![reference]);
    let namespace = run.namespace().unwrap_or_default();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(shared.client.clone(), &namespace);
    match claims.create(&PostParams::default(), &claim).await {
        Ok(_) => Ok(()),
        // The name has the run's UID in it.
        Err(error) if is_conflict(&error) => Ok(()),
        Err(error) => {
            let doing = format!("create PersistentVolumeClaim {namespace}/{}", claim.name_any());
            Err(refused_or_later(
                reasons::COULDNT_CREATE_WORKSPACE_PVC,
                doing,
                error,
            ))
        }
    }
}

/// A pipeline must not run itself, by way of others neither: its name is not among those above it.
fn refuse_circle(shared: &Shared, run: &PipelineRun, child: &PipelineRun) -> Result<(), Error> {
    let name_of = |run: &PipelineRun| {
        run.metadata
            .labels
            .as_ref()
            .and_then(|all| all.get(labels::PIPELINE).cloned())
    };
    let wanted = child
        .spec
        .pipeline_ref
        .as_ref()
        .map(|reference| reference.name.as_str());
    let namespace = run.namespace().unwrap_or_default();
    let mut above = Some(std::sync::Arc::new(run.clone()));
    for _ in 0..NESTED {
        let Some(run) = above else { return Ok(()) };
        if let (Some(name), Some(wanted)) = (name_of(&run).filter(|name| !name.is_empty()), wanted)
            && name == wanted
        {
            return Err(for_good(format!("pipeline {name} would run itself")));
        }
        let owner = controller_of(&run.metadata).filter(|owner| owner.kind == PipelineRun::kind(&()));
        above = owner.and_then(|owner| shared.pipeline_runs.named(&namespace, &owner.name));
    }
    Err(for_good(format!(
        "pipelines run in each other more than {NESTED} levels deep"
    )))
}
