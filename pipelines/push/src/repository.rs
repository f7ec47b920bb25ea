//! Repository: makes a PipelineRun of each push that was noted, ends those that newer ones overtook, and tells the
//! Service how its build went.

mod last_build;
mod plan;
mod previews;
mod run;
mod status;

pub(crate) use plan::is_preview_wanted;
pub(crate) use run::image;

use std::sync::Arc;
use std::time::Duration;

use crds::annotations::EXTERNAL_URL;
use crds::serving::Service;
use crds::spindrift::annotations::{LAST_BUILD, SUPERSEDED_BY};
use crds::spindrift::{PushRecord, PushState, Repository};
use crds::tekton::{PipelineRun, RunStatus as _, TaskRun};
use k8s_openapi::api::core::v1::{Secret, Service as CoreService};
use kube::api::{Api, PostParams};
use kube::{Resource as _, ResourceExt};
use reconciler::error::{is_conflict, is_not_found};
use reconciler::{Applier, Controller, Error, Key, Next, Reconcile};
use serde_json::{Value, json};

use crate::ledger::is_at;
use crate::run::{Job, Unbuildable};
use crate::shared::{Shared, repository_of};

/// When a pipeline is asked for again that was not there.
const RETRY: Duration = Duration::from_secs(2);

pub(crate) struct Repositories {
    shared: Shared,
    applier: Applier,
}

/// The controller of Repositories; their runs and Services wake it.
pub(crate) fn controller(shared: &Shared) -> Controller<Repositories> {
    let reconciler = Repositories {
        shared: shared.clone(),
        applier: shared.applier("spindrift-repository"),
    };
    let (of_services, of_addresses) = (shared.repositories.clone(), shared.repositories.clone());
    Controller::new("repository", reconciler)
        .watches(&shared.repositories)
        .wakes(&shared.runs, |run: &PipelineRun| {
            let namespace = run.metadata.namespace.clone().unwrap_or_default();
            repository_of(run)
                .map(|name| Key::new(namespace, name))
                .into_iter()
                .collect()
        })
        .wakes(&shared.services, move |service: &Service| {
            let namespace = service.metadata.namespace.clone().unwrap_or_default();
            let name = service.name_any();
            let all = of_services.in_namespace(&namespace, |repository| repository.spec.service == name);
            all.iter()
                .map(|repository| Key::of(repository.as_ref()))
                .collect()
        })
        .wakes(&shared.core_services, move |service: &CoreService| {
            if service.name_any() == crate::SERVICE {
                of_addresses.keys()
            } else {
                Vec::new()
            }
        })
}

impl Reconcile for Repositories {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(repository) = self.shared.repositories.get(key) else {
            return Ok(Next::OnChange);
        };
        if repository.metadata.deletion_timestamp.is_some() {
            return self.finish(&repository).await.map(Next::from);
        }
        // What nobody pushed is noted like a push, and stored before anything is made of it.
        let repository = self.note(repository).await?;
        let repository = self.keep(repository).await?;
        let runs = self.runs(&repository);
        self.end_overtaken(&repository, &runs).await?;
        let started = self.start(&repository, &runs).await?;
        let runs = self.runs(&repository);
        let service = self.service(&repository);
        let mut updated = (*repository).clone();
        status::observe(
            &mut updated,
            &status::Observed {
                runs: &runs,
                service: service.as_deref(),
                started: &started,
                url: &repository.spec.url,
                external: self.external().as_deref(),
                now: self.shared.now(),
            },
        );
        if let Some(service) = &service {
            self.mark(service, &repository).await?;
            self.remove_previews(service, &mut updated).await?;
        }
        self.applier
            .update_status(&self.shared.repositories, &repository, &updated)
            .await?;
        if let Some(service) = &service {
            self.tell(service, &updated, &runs).await?;
            self.adopt(service, &repository).await?;
        }
        // What is missing, such as the image that builds run in, may be there soon; nobody tells.
        Ok(match started.problem {
            Some(_) => Next::After(RETRY),
            None => Next::OnChange,
        })
    }
}

/// What became of the pushes whose runs were to be made.
#[derive(Debug, Default)]
struct Started {
    /// Names of the runs that are there now.
    runs: Vec<String>,
    /// Why there is no pipeline to run.
    problem: Option<Unbuildable>,
}

impl Repositories {
    async fn note(&self, repository: Arc<Repository>) -> Result<Arc<Repository>, Error> {
        let Some(status) = plan::noted(&repository, self.shared.now()) else {
            return Ok(repository);
        };
        let mut updated = (*repository).clone();
        updated.status = Some(status);
        self.applier
            .update_status(&self.shared.repositories, &repository, &updated)
            .await
    }

    fn runs(&self, repository: &Repository) -> Vec<Arc<PipelineRun>> {
        let uid = repository.uid().unwrap_or_default();
        self.shared.runs.controlled_by(&uid)
    }

    fn service(&self, repository: &Repository) -> Option<Arc<Service>> {
        let namespace = repository.namespace().unwrap_or_default();
        self.shared.services.named(&namespace, &repository.spec.service)
    }

    /// Where the receiver is reached from outside.
    fn external(&self) -> Option<String> {
        let service = self
            .shared
            .core_services
            .named(&self.shared.config.system_namespace, crate::SERVICE)?;
        service.annotations().get(EXTERNAL_URL).cloned()
    }

    async fn end_overtaken(&self, repository: &Repository, runs: &[Arc<PipelineRun>]) -> Result<(), Error> {
        let pushes = repository.status.iter().flat_map(|status| &status.pushes);
        let pushes: Vec<PushRecord> = pushes.cloned().collect();
        for (run, by) in plan::overtaken(&pushes, runs) {
            let change = json!({
                "metadata": {"annotations": {SUPERSEDED_BY: by.to_string()}},
                "spec": {"status": "CancelledRunFinally"},
            });
            match self
                .applier
                .merge(&self.shared.runs, &Key::of(run), &change)
                .await
            {
                Ok(_) => {
                    let message = format!("push {by} came before {} was done", run.name_any());
                    self.shared.events.normal(repository, "BuildSuperseded", message);
                }
                Err(Error::Api { source, .. }) if is_not_found(&source) => {}
                // It has ended meanwhile: nothing of a run that is done may be changed.
                Err(Error::Api {
                    source: kube::Error::Api(refusal),
                    ..
                }) if refusal.code == 400 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the runs of pushes that were noted. Those that are there already were made by an earlier look.
    async fn start(&self, repository: &Repository, runs: &[Arc<PipelineRun>]) -> Result<Started, Error> {
        let mut started = Started::default();
        let pushes = repository.status.iter().flat_map(|status| &status.pushes);
        let url = &repository.spec.url;
        for push in pushes.filter(|push| push.state == PushState::Accepted && is_at(push, url)) {
            if runs.iter().any(|run| run.name_any() == push.run) {
                started.runs.push(push.run.clone());
                continue;
            }
            let image = run::image(repository, &self.shared.config.registry);
            let job = Job {
                repository,
                push,
                image: &image,
            };
            let pipeline = match (self.shared.config.pipeline)(&job) {
                Ok(pipeline) => pipeline,
                Err(problem) => {
                    started.problem = Some(problem);
                    continue;
                }
            };
            self.provide_secret(repository).await?;
            let run = run::run(repository, push, pipeline);
            match self.applier.create(repository, &self.shared.runs, run).await {
                Ok(run) => {
                    let message = format!("{} builds {}", run.name_any(), run::what(push));
                    self.shared.events.normal(repository, "BuildCreated", message);
                }
                Err(Error::Api { source, .. }) if is_conflict(&source) => {}
                Err(Error::Api {
                    source: kube::Error::Api(refusal),
                    ..
                }) if matches!(refusal.code, 400 | 403 | 422) => {
                    started.problem = Some(Unbuildable::No(refusal.message.clone()));
                    continue;
                }
                Err(error) => return Err(error),
            }
            started.runs.push(push.run.clone());
        }
        Ok(started)
    }

    /// Makes the Secret that pods of builds need; one that is there stays, unless its contents are old.
    async fn provide_secret(&self, repository: &Repository) -> Result<(), Error> {
        let Some(secret) = &self.shared.config.secret else {
            return Ok(());
        };
        let namespace = repository.namespace().unwrap_or_default();
        let secret = secret(&namespace);
        let api: Api<Secret> = Api::namespaced(self.shared.client.clone(), &namespace);
        let name = secret.name_any();
        let failed = |error| Error::api(format!("provide Secret {namespace}/{name}"), error);
        match api.get_opt(&name).await.map_err(failed)? {
            None => match api.create(&PostParams::default(), &secret).await {
                Err(error) if is_conflict(&error) => Ok(()),
                created => created.map(drop).map_err(failed),
            },
            Some(stored) if stored.data == secret.data => Ok(()),
            Some(_) => {
                let change = json!({"data": secret.data});
                let params = kube::api::PatchParams::default();
                let patched = api.patch(&name, &params, &kube::api::Patch::Merge(change)).await;
                patched.map(drop).map_err(failed)
            }
        }
    }

    /// Writes to the Service how its last build went.
    async fn tell(
        &self,
        service: &Service,
        repository: &Repository,
        runs: &[Arc<PipelineRun>],
    ) -> Result<(), Error> {
        let Some(mut told) = last_build::last_build(repository, runs) else {
            return Ok(());
        };
        if told.is_failed() {
            let known = service.annotations().get(LAST_BUILD);
            if known.is_some_and(|known| told.is_told_by(known)) {
                return Ok(());
            }
            let why = self.why(runs, &told.run).await?;
            told.message = why.or(told.message);
        }
        let text = serde_json::to_string(&told).map_err(Error::fault)?;
        let known = service.annotations().get(LAST_BUILD);
        if known == Some(&text) {
            return Ok(());
        }
        let change = json!({"metadata": {"annotations": {LAST_BUILD: text}}});
        self.applier
            .merge(&self.shared.services, &Key::of(service), &change)
            .await?;
        if told.is_failed() {
            let message = format!(
                "build {} failed, what runs stays: {}",
                told.run,
                told.message.as_deref().unwrap_or_default()
            );
            self.shared
                .events
                .warning(service, "BuildFailed", message.clone());
            self.shared.events.warning(repository, "BuildFailed", message);
        }
        Ok(())
    }

    /// What the task that failed says: the run itself only counts its tasks.
    async fn why(&self, runs: &[Arc<PipelineRun>], name: &str) -> Result<Option<String>, Error> {
        let run = runs.iter().find(|run| run.name_any() == name);
        let Some((run, status)) = run.and_then(|run| Some((run, run.status.as_ref()?))) else {
            return Ok(None);
        };
        let namespace = run.namespace().unwrap_or_default();
        let task_runs: Api<TaskRun> = Api::namespaced(self.shared.client.clone(), &namespace);
        for child in &status.child_references {
            let condition = if child.kind == "TaskRun" {
                let found = task_runs
                    .get_opt(&child.name)
                    .await
                    .map_err(|error| Error::api(format!("read TaskRun {namespace}/{}", child.name), error))?;
                found.and_then(|found| found.status?.succeeded().cloned())
            } else {
                let found = self.shared.custom_runs.named(&namespace, &child.name);
                found.and_then(|found| found.status.as_ref()?.succeeded().cloned())
            };
            if let Some(failed) = condition.filter(|condition| condition.is_false()) {
                return Ok(failed.message);
            }
        }
        Ok(None)
    }

    /// After the first deployment the Repository belongs to its Service, so that all of it goes together.
    async fn adopt(&self, service: &Service, repository: &Repository) -> Result<(), Error> {
        let deployed = repository
            .status
            .as_ref()
            .is_some_and(|status| status.deployed.is_some());
        let owned = repository
            .owner_references()
            .iter()
            .any(|owner| Some(&owner.uid) == service.metadata.uid.as_ref());
        let Some(owner) = service.owner_ref(&()).filter(|_| deployed && !owned) else {
            return Ok(());
        };
        let mut owners: Vec<Value> = Vec::new();
        for known in repository.owner_references() {
            // An earlier Service of the same name is gone.
            if known.kind != owner.kind || known.name != owner.name {
                owners.push(serde_json::to_value(known).map_err(Error::fault)?);
            }
        }
        owners.push(serde_json::to_value(owner).map_err(Error::fault)?);
        let change = json!({"metadata": {"ownerReferences": owners}});
        self.applier
            .merge(&self.shared.repositories, &Key::of(repository), &change)
            .await
            .map(drop)
    }
}
