//! What a run does: its task, with StepActions and everything else put in.

use std::sync::Arc;

use crds::config::tekton::Defaults;
use crds::tekton::reasons::task_run as reasons;
use crds::tekton::{StepActionSpec, TaskRun, TaskRunStatus, TaskSpec};
use kube::ResourceExt;
use reconciler::Error;

use super::super::rerun;
use super::super::spec::{Found, Invalid, Unready, begun};
use super::TaskRuns;
use crate::pod::workspaces::with_default;
use crate::resolve;

impl TaskRuns {
    /// The name and the spec of the task, with everything put in. Asked for anew with each attempt, as the number of
    /// the attempt is one of the variables.
    pub(super) async fn spec(
        &self,
        run: &TaskRun,
        status: &mut TaskRunStatus,
    ) -> Result<Result<(Found, TaskSpec), Unready>, Error> {
        let found = match self.found(run, status).await? {
            Ok(found) => found,
            Err(unready) => return Ok(Err(unready)),
        };
        let spec = self.resolved(run, &found, status.retries_status.len()).await?;
        Ok(spec.map(|spec| (found, spec)))
    }

    /// The earlier run that did the same with the same task, if this one asks for that.
    pub(super) async fn done_before(
        &self,
        run: &TaskRun,
        status: &TaskRunStatus,
        found: &Found,
    ) -> Result<Option<Arc<TaskRun>>, Error> {
        let namespace = run.namespace().unwrap_or_default();
        let earlier = rerun::earlier(run, status)
            .and_then(|name| self.shared.task_runs.named(&namespace, name))
            .filter(|earlier| rerun::did_the_same(earlier, run));
        let Some(earlier) = earlier else { return Ok(None) };
        let before = earlier.status.as_ref();
        let retries = before.map_or(0, |status| status.retries_status.len());
        // The task as it is now, as if the earlier run were resolved today.
        let today = self.resolved(&earlier, found, retries).await?;
        let same = today.is_ok_and(|spec| before.and_then(|status| status.task_spec.as_ref()) == Some(&spec));
        Ok(same.then_some(earlier))
    }

    /// The spec of an attempt, with what StepActions do in it.
    async fn resolved(
        &self,
        run: &TaskRun,
        found: &Found,
        retries: usize,
    ) -> Result<Result<TaskSpec, Unready>, Error> {
        let defaults = self.shared.config.get::<Defaults>();
        let run = &*with_default(run, &found.spec, defaults.task_run_workspace_binding.as_ref());
        let begun = match begun(run, found, retries) {
            Ok(begun) => begun,
            Err(invalid) => return Ok(Err(Unready::Never(invalid))),
        };
        let mut resolving = 0;
        let mut actions: Vec<Option<StepActionSpec>> = Vec::with_capacity(begun.spec.steps.len());
        for (index, step) in begun.spec.steps.iter().enumerate() {
            let Some(reference) = &step.ref_ else {
                actions.push(None);
                continue;
            };
            // Tasks like to use the same action more than once.
            let mut before = begun.spec.steps.iter().zip(&actions);
            let known = before.find(|(other, _)| other.ref_.as_ref() == Some(reference));
            let action = match known {
                Some((_, action)) => action.clone(),
                None => match self
                    .resolver
                    .step_action(run, reference, (self.shared.clock)())
                    .await
                {
                    Ok(resolve::Found::There { object, .. }) => Some(object.spec),
                    Ok(resolve::Found::Resolving) => {
                        resolving += 1;
                        None
                    }
                    Err(error) => {
                        let message = format!("steps[{index}].ref: {}", error.into_fault()?);
                        let invalid = Invalid::new(reasons::RESOLUTION_FAILED, message);
                        return Ok(Err(Unready::Never(invalid)));
                    }
                },
            };
            actions.push(action);
            // The others are asked for when answers come.
            if resolving >= defaults.step_ref_concurrency_limit {
                break;
            }
        }
        if resolving > 0 {
            return Ok(Err(Unready::StepActions));
        }
        Ok(begun.with(&actions).map_err(Unready::Never))
    }

    async fn found(
        &self,
        run: &TaskRun,
        status: &mut TaskRunStatus,
    ) -> Result<Result<Found, Unready>, Error> {
        if let Some(spec) = &run.spec.task_spec {
            let (name, spec) = (String::new(), spec.clone());
            return Ok(Ok(Found { name, spec }));
        }
        let unresolved = |message: String| {
            let invalid = Invalid::new(reasons::RESOLUTION_FAILED, message);
            Ok(Err(Unready::Never(invalid)))
        };
        let Some(reference) = &run.spec.task_ref else {
            return unresolved("neither taskRef nor taskSpec is set".to_owned());
        };
        if !matches!(reference.kind.as_str(), "" | "Task") {
            return unresolved(format!(
                "taskRef.kind: {:?} is not supported, use Task",
                reference.kind
            ));
        }
        match self.resolver.task(run, reference, (self.shared.clock)()).await {
            Ok(resolve::Found::There { object, source }) => {
                if source.is_some() {
                    status.provenance.get_or_insert_default().ref_source = source;
                }
                Ok(Ok(Found {
                    name: object.name_any(),
                    spec: object.spec,
                }))
            }
            Ok(resolve::Found::Resolving) => Ok(Err(Unready::Task)),
            Err(resolve::Error::NotFound { key, .. }) => unresolved(format!(
                "error when listing tasks for taskRun {}: tasks.tekton.dev {:?} not found",
                run.name_any(),
                key.name
            )),
            Err(error) => unresolved(error.into_fault()?.to_string()),
        }
    }
}
