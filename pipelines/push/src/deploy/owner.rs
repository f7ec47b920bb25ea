//! Whose task a deployment is: only the build of a Repository deploys it.
//!
//! Whoever may make runs of tasks may not therefore change what a Service runs.

use std::sync::Arc;

use crds::spindrift::{API_VERSION, Repository};
use crds::tekton::{CustomRun, PipelineRun, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, ResourceExt};
use reconciler::Error;
use reconciler::object::controller_of;

use super::Deployments;
use crate::queue;

/// Why a run deploys nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotItsOwn {
    #[error("only a task of a PipelineRun deploys, and none owns this run")]
    NoRun,
    #[error("PipelineRun {0}, whose task this is, is gone")]
    RunGone(String),
    #[error("PipelineRun {run} builds nothing of Repository {repository}: it does not own it")]
    OfAnother { run: String, repository: String },
    #[error("PipelineRun {0} is over, or builds another push than this run would deploy")]
    NotThisPush(String),
}

impl Deployments {
    /// Is it a task of a run that the Repository made?
    pub(super) async fn of_its_build(
        &self,
        run: &CustomRun,
        repository: &Repository,
        sequence: i64,
    ) -> Result<Result<(), NotItsOwn>, Error> {
        let Some(owner) = pipeline_run_of(run) else {
            return Ok(Err(NotItsOwn::NoRun));
        };
        let namespace = run.namespace().unwrap_or_default();
        let known = self.shared.runs.named(&namespace, &owner.name);
        let build = match known.filter(|known| known.metadata.uid.as_ref() == Some(&owner.uid)) {
            Some(known) => Some(known),
            // The cache may not have it yet.
            None => {
                let api: Api<PipelineRun> = Api::namespaced(self.shared.client.clone(), &namespace);
                let found = api.get_opt(&owner.name).await;
                let found = found.map_err(|error| {
                    Error::api(format!("read PipelineRun {namespace}/{}", owner.name), error)
                })?;
                found.map(Arc::new)
            }
        };
        Ok(owned(owner, build.as_deref(), repository, sequence))
    }
}

/// The PipelineRun that controls a run, if the label says the same.
fn pipeline_run_of(run: &CustomRun) -> Option<&OwnerReference> {
    let owner = controller_of(&run.metadata)?;
    let labelled = run.labels().get(labels::PIPELINE_RUN);
    let is_run = owner.kind == "PipelineRun" && owner.api_version.starts_with("tekton.dev/");
    (is_run && labelled == Some(&owner.name)).then_some(owner)
}

fn owned(
    owner: &OwnerReference,
    build: Option<&PipelineRun>,
    repository: &Repository,
    sequence: i64,
) -> Result<(), NotItsOwn> {
    let build = build.filter(|build| build.metadata.uid.as_ref() == Some(&owner.uid));
    let Some(build) = build else {
        return Err(NotItsOwn::RunGone(owner.name.clone()));
    };
    let of_repository = controller_of(&build.metadata).is_some_and(|owner| {
        owner.kind == "Repository"
            && owner.api_version == API_VERSION
            && Some(&owner.uid) == repository.metadata.uid.as_ref()
    });
    if !of_repository {
        return Err(NotItsOwn::OfAnother {
            run: build.name_any(),
            repository: repository.name_any(),
        });
    }
    // What the number decides must not be up to whoever wrote the params.
    if queue::is_done(build) || queue::sequence(build) != sequence {
        return Err(NotItsOwn::NotThisPush(build.name_any()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
        json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true}])
    }

    #[test]
    fn only_builds_of_the_repository_deploy_it() {
        let repository: Repository = serde_json::from_value(json!({
            "apiVersion": API_VERSION, "kind": "Repository", "metadata": {"name": "web", "uid": "w"}, "spec": {},
        }))
        .unwrap();
        let build = |owners: Value| -> PipelineRun {
            serde_json::from_value(json!({
                "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
                "metadata": {
                    "name": "web-1", "uid": "b", "ownerReferences": owners,
                    "annotations": {"spindrift.dev/sequence": "3"},
                },
                "spec": {},
            }))
            .unwrap()
        };
        let run = |owners: Value| -> CustomRun {
            serde_json::from_value(json!({
                "apiVersion": "tekton.dev/v1beta1", "kind": "CustomRun",
                "metadata": {"name": "web-1-deploy", "ownerReferences": owners, "labels": {"tekton.dev/pipelineRun": "web-1"}},
                "spec": {},
            }))
            .unwrap()
        };
        let of_build = |uid: &str| owner("tekton.dev/v1", "PipelineRun", "web-1", uid);
        let good = owner(API_VERSION, "Repository", "web", "w");
        let allowed = |run: CustomRun, build: Option<PipelineRun>| {
            let owner = pipeline_run_of(&run).ok_or(NotItsOwn::NoRun)?;
            owned(owner, build.as_ref(), &repository, 3)
        };
        assert_eq!(allowed(run(of_build("b")), Some(build(good.clone()))), Ok(()));
        let mut over = build(good.clone());
        over.status =
            serde_json::from_value(json!({"conditions": [{"type": "Succeeded", "status": "False"}]}))
                .unwrap();
        let late = Err(NotItsOwn::NotThisPush("web-1".to_owned()));
        assert_eq!(allowed(run(of_build("b")), Some(over)), late);
        let of_build_run = run(of_build("b"));
        let owner_of = pipeline_run_of(&of_build_run).unwrap();
        assert_eq!(
            owned(owner_of, Some(&build(good.clone())), &repository, 999),
            late
        );
        for owners in [
            json!([]),
            owner("tekton.dev/v1", "PipelineRun", "other", "b"),
            owner("tekton.dev/v1", "TaskRun", "web-1", "b"),
        ] {
            assert_eq!(
                allowed(run(owners), Some(build(good.clone()))),
                Err(NotItsOwn::NoRun)
            );
        }
        let gone = Err(NotItsOwn::RunGone("web-1".to_owned()));
        assert_eq!(allowed(run(of_build("old")), Some(build(good))), gone);
        assert_eq!(allowed(run(of_build("b")), None), gone);
        for owners in [
            json!([]),
            owner(API_VERSION, "Repository", "web", "another"),
            owner("apps/v1", "Repository", "web", "w"),
        ] {
            let refused = allowed(run(of_build("b")), Some(build(owners)));
            assert!(matches!(refused, Err(NotItsOwn::OfAnother { .. })), "{refused:?}");
        }
    }
}
