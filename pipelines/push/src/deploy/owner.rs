//! Whose task a deployment is: only the build of a Repository deploys it, and it has one deployment.
//!
//! Whoever may make runs of tasks may not therefore change what a Service runs.

use std::sync::Arc;

use crds::spindrift::{API_VERSION, PushRecord, Repository};
use crds::tekton::{CustomRun, PipelineRun, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, ResourceExt};
use reconciler::Error;
use reconciler::object::controller_of;

use super::Deployments;
use crate::{DEPLOY_TASK, queue};

/// Why a run deploys nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotItsOwn {
    #[error("only the task {DEPLOY_TASK} of a PipelineRun deploys, and this run is that of none")]
    NoRun,
    #[error("PipelineRun {0}, whose task this is, is gone")]
    RunGone(String),
    #[error("PipelineRun {0} builds nothing of a Repository: none owns it")]
    OfNone(String),
    #[error("PipelineRun {run} builds nothing of Repository {repository}: it does not own it")]
    OfAnother { run: String, repository: String },
    #[error("PipelineRun {0} is over, or is that of no push that its Repository remembers")]
    NotThisPush(String),
}

impl Deployments {
    /// The PipelineRun whose deployment it is.
    pub(super) async fn build_of(
        &self,
        run: &CustomRun,
    ) -> Result<Result<Arc<PipelineRun>, NotItsOwn>, Error> {
        let Some(owner) = pipeline_run_of(run) else {
            return Ok(Err(NotItsOwn::NoRun));
        };
        let namespace = run.namespace().unwrap_or_default();
        let is_owner = |known: &Arc<PipelineRun>| known.metadata.uid.as_ref() == Some(&owner.uid);
        let known = self.shared.runs.named(&namespace, &owner.name);
        let build = match known.filter(is_owner) {
            Some(known) => Some(known),
            // The cache may not have it yet.
            None => {
                let api: Api<PipelineRun> = Api::namespaced(self.shared.client.clone(), &namespace);
                let found = api.get_opt(&owner.name).await;
                let found = found.map_err(|error| {
                    Error::api(format!("read PipelineRun {namespace}/{}", owner.name), error)
                })?;
                found.map(Arc::new).filter(is_owner)
            }
        };
        Ok(build.ok_or_else(|| NotItsOwn::RunGone(owner.name.clone())))
    }
}

/// The PipelineRun that controls a run, if that is its deployment: of the name there is one.
fn pipeline_run_of(run: &CustomRun) -> Option<&OwnerReference> {
    let owner = controller_of(&run.metadata)?;
    let is_run = owner.kind == "PipelineRun" && owner.api_version.starts_with("tekton.dev/");
    let name = names::run_of_task(&owner.name, DEPLOY_TASK, None);
    (is_run && run.name_any() == name).then_some(owner)
}

/// The Repository that a build says it is of.
pub(super) fn repository_of(build: &PipelineRun) -> Result<&OwnerReference, NotItsOwn> {
    controller_of(&build.metadata)
        .filter(|owner| owner.kind == "Repository" && owner.api_version == API_VERSION)
        .ok_or_else(|| NotItsOwn::OfNone(build.name_any()))
}

/// The push that a build is of, as its Repository remembers it: others may write to the build.
pub(super) fn push_of<'r>(
    build: &PipelineRun,
    repository: &'r Repository,
) -> Result<&'r PushRecord, NotItsOwn> {
    if repository.metadata.uid.as_ref() != Some(&repository_of(build)?.uid) {
        return Err(NotItsOwn::OfAnother {
            run: build.name_any(),
            repository: repository.name_any(),
        });
    }
    let name = build.name_any();
    let mut pushes = repository.status.iter().flat_map(|status| &status.pushes);
    pushes
        .find(|push| push.run == name && !queue::is_done(build))
        .ok_or(NotItsOwn::NotThisPush(name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
        json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true}])
    }

    #[test]
    fn a_build_has_one_deployment() {
        let of = |name: &str, owners: Value| -> Option<String> {
            let run: CustomRun = serde_json::from_value(json!({
                "apiVersion": "tekton.dev/v1beta1", "kind": "CustomRun",
                "metadata": {"name": name, "ownerReferences": owners}, "spec": {},
            }))
            .unwrap();
            pipeline_run_of(&run).map(|owner| owner.uid.clone())
        };
        let build = || owner("tekton.dev/v1", "PipelineRun", "web-1", "b");
        assert_eq!(of("web-1-deploy", build()).as_deref(), Some("b"));
        for (name, owners) in [
            ("web-1-deploy", json!([])),
            ("web-1-deploy", owner("tekton.dev/v1", "TaskRun", "web-1", "b")),
            ("web-1-deploy", owner("apps/v1", "PipelineRun", "web-1", "b")),
            ("mine", build()),
            ("web-1-deploy-0", build()),
        ] {
            assert_eq!(of(name, owners), None, "{name}");
        }
    }

    #[test]
    fn only_builds_of_pushes_that_the_repository_remembers_deploy_it() {
        let repository: Repository = serde_json::from_value(json!({
            "apiVersion": API_VERSION, "kind": "Repository", "metadata": {"name": "web", "uid": "w"}, "spec": {},
            "status": {"pushes": [{"sequence": 3, "ref": "refs/heads/main", "run": "web-1"}]},
        }))
        .unwrap();
        let good = || owner(API_VERSION, "Repository", "web", "w");
        let late = |name: &str| Err(NotItsOwn::NotThisPush(name.to_owned()));
        let another = || {
            Err(NotItsOwn::OfAnother {
                run: "web-1".to_owned(),
                repository: "web".to_owned(),
            })
        };
        let none = || Err(NotItsOwn::OfNone("web-1".to_owned()));
        for (name, owners, succeeded, expected) in [
            ("web-1", good(), "Unknown", Ok(3)),
            ("web-1", good(), "False", late("web-1")),
            ("web-2", good(), "Unknown", late("web-2")),
            ("web-1", json!([]), "Unknown", none()),
            (
                "web-1",
                owner("apps/v1", "Repository", "web", "w"),
                "Unknown",
                none(),
            ),
            (
                "web-1",
                owner(API_VERSION, "Repository", "web", "old"),
                "Unknown",
                another(),
            ),
        ] {
            let build: PipelineRun = serde_json::from_value(json!({
                "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
                // What is written here, anybody may have written.
                "metadata": {
                    "name": name, "ownerReferences": owners, "annotations": {"spindrift.dev/sequence": "99"},
                },
                "spec": {}, "status": {"conditions": [{"type": "Succeeded", "status": succeeded}]},
            }))
            .unwrap();
            let found = push_of(&build, &repository).map(|push| push.sequence);
            assert_eq!(found, expected, "{name} {owners} {succeeded}");
        }
    }
}
