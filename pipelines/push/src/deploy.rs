//! Deploy: the custom task that makes a revision of an image.
//!
//! It runs in no pod, so no pod needs a right over Services. What is deployed is what the build made that it is the task
//! of: the custom run is asked for nothing but whose it is. What it does next follows from facts alone (see
//! [`decide`](decide::decide)); whatever it writes to a Service is conditional on the version that the decision was made
//! about, and on that no newer push to the same ref is known.

mod decide;
mod owner;
mod request;
mod service;

use std::sync::Arc;

use crds::conditions::ConditionStatus;
use crds::serving::{Revision, Service};
use crds::spindrift::annotations::GENERATION;
use crds::spindrift::{API_VERSION, DEPLOY_KIND, Deployed, Preview, Repository};
use crds::tekton::reasons::custom_run as reasons;
use crds::tekton::{CustomRun, CustomRunResult, PipelineRun, RunStatus as _, TaskRun, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use reconciler::{Applier, Class, Controller, Error, Key, Next, Reconcile};

use crate::BUILD_TASK;
use crate::repository::image;
use crate::shared::Shared;
use decide::{Facts, Step, Target, decide};
use owner::NotItsOwn;
use request::{Built, Request};

/// Field manager of what is written to Services.
const MANAGER: &str = "spindrift-deploy";

pub(crate) struct Deployments {
    shared: Shared,
    applier: Applier,
}

/// The controller of deployments; Services, Revisions and Repositories wake those that wait.
pub(crate) fn controller(shared: &Shared) -> Controller<Deployments> {
    let reconciler = Deployments {
        shared: shared.clone(),
        applier: shared.applier(MANAGER),
    };
    let (of_services, of_revisions) = (shared.custom_runs.clone(), shared.custom_runs.clone());
    let of_repositories = shared.custom_runs.clone();
    let waiting = |cache: &reconciler::Cache<CustomRun>, namespace: Option<&String>| -> Vec<Key> {
        let namespace = namespace.map(String::as_str).unwrap_or_default();
        let waiting = cache.in_namespace(namespace, |run| is_deployment(run) && !is_done(run));
        waiting.iter().map(|run| Key::of(run.as_ref())).collect()
    };
    Controller::new("deploy", reconciler)
        .watches(&shared.custom_runs)
        .wakes(&shared.services, move |service: &Service| {
            waiting(&of_services, service.metadata.namespace.as_ref())
        })
        .wakes(&shared.revisions, move |revision: &Revision| {
            waiting(&of_revisions, revision.metadata.namespace.as_ref())
        })
        .wakes(&shared.repositories, move |repository: &Repository| {
            waiting(&of_repositories, repository.metadata.namespace.as_ref())
        })
}

fn is_deployment(run: &CustomRun) -> bool {
    let reference = run.spec.custom_ref.as_ref();
    reference.is_some_and(|reference| reference.api_version == API_VERSION && reference.kind == DEPLOY_KIND)
}

fn is_done(run: &CustomRun) -> bool {
    run.status.as_ref().is_some_and(|status| status.is_done())
}

/// How a run goes on.
struct Outcome {
    status: ConditionStatus,
    reason: String,
    message: String,
    results: Vec<(&'static str, String)>,
}

impl Outcome {
    fn failed(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status: ConditionStatus::False,
            reason: reason.into(),
            message: message.into(),
            results: Vec::new(),
        }
    }

    fn running(message: impl Into<String>) -> Self {
        Self {
            status: ConditionStatus::Unknown,
            reason: reasons::RUNNING.to_owned(),
            message: message.into(),
            results: Vec::new(),
        }
    }
}

impl Reconcile for Deployments {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(run) = self.shared.custom_runs.get(key) else {
            return Ok(Next::OnChange);
        };
        if !is_deployment(&run) || is_done(&run) || run.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let outcome = if run.spec.status.is_some() {
            Outcome::failed(reasons::CANCELLED, run.spec.status_message.clone())
        } else {
            self.go_on(&run).await?
        };
        self.store(&run, outcome).await?;
        Ok(Next::OnChange)
    }
}

impl Deployments {
    async fn go_on(&self, run: &CustomRun) -> Result<Outcome, Error> {
        let namespace = run.namespace().unwrap_or_default();
        let not_its_own = |why: NotItsOwn| Ok(Outcome::failed("NotOfABuild", why.to_string()));
        let build = match self.build_of(run).await? {
            Ok(build) => build,
            Err(why) => return not_its_own(why),
        };
        let repository_name = match owner::repository_of(&build) {
            Ok(owner) => owner.name.as_str(),
            Err(why) => return not_its_own(why),
        };
        let missing = |what: &str| {
            let message = format!("Repository {repository_name} {what}");
            Ok(Outcome::failed("RepositoryMissing", message))
        };
        let known = self.shared.repositories.named(&namespace, repository_name);
        let Some(name) = known.map(|repository| repository.spec.service.clone()) else {
            return missing("is not there");
        };
        // First the Service, then what is known of newer pushes: so one that is known later conflicts with ours.
        let service = self.shared.services.named(&namespace, &name);
        let repositories: Api<Repository> = Api::namespaced(self.shared.client.clone(), &namespace);
        let repository = repositories
            .get_opt(repository_name)
            .await
            .map_err(|error| Error::api(format!("read Repository {repository_name}"), error))?;
        let Some(repository) = repository else {
            return missing("is not there");
        };
        if repository.metadata.deletion_timestamp.is_some() {
            return missing("is being deleted");
        }
        let push = match owner::push_of(&build, &repository) {
            Ok(push) => push,
            Err(why) => return not_its_own(why),
        };
        let task_run_name = names::run_of_task(&build.name_any(), BUILD_TASK, None);
        let task_runs: Api<TaskRun> = Api::namespaced(self.shared.client.clone(), &namespace);
        let task_run = task_runs
            .get_opt(&task_run_name)
            .await
            .map_err(|error| Error::api(format!("read TaskRun {namespace}/{task_run_name}"), error))?;
        let built = Built {
            uid: build.metadata.uid.as_deref().unwrap_or_default(),
            name: &task_run_name,
            task_run: task_run.as_ref(),
            image: &image(&repository, &self.shared.config.registry),
        };
        let request = &match Request::of(push, &built) {
            Ok(request) => request,
            Err(why) => return Ok(Outcome::failed("NothingBuilt", why.to_string())),
        };
        let created = service
            .as_ref()
            .and_then(|service| service.status.as_ref()?.latest_created_revision_name.clone());
        let revision = created.and_then(|created| self.shared.revisions.named(&namespace, &created));
        let facts = Facts {
            repository: &repository,
            service: service.as_deref(),
            revision: revision.as_deref(),
            request,
        };
        match decide(&facts) {
            Step::Fail { reason, message } => Ok(Outcome::failed(reason, message)),
            Step::Wait(message) => Ok(Outcome::running(message)),
            Step::Create(service) => self.create(&namespace, &service).await,
            Step::Change { change, doing } => {
                let Some(service) = service else {
                    return Ok(Outcome::running("waits for the Service"));
                };
                self.change(&service, &change, doing).await
            }
            Step::Done { revision } => {
                let live = Arc::new(repository.clone());
                self.done(live, service.as_deref(), request, &build, revision)
                    .await
            }
        }
    }

    async fn create(&self, namespace: &str, service: &Service) -> Result<Outcome, Error> {
        let name = service.name_any();
        let api: Api<Service> = Api::namespaced(self.shared.client.clone(), namespace);
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        match api.create(&params, service).await {
            Ok(stored) => {
                self.shared.services.record(stored);
                Ok(Outcome::running(format!("Service {name} is created")))
            }
            Err(error) => refused(format!("create Service {namespace}/{name}"), error),
        }
    }

    async fn change(
        &self,
        service: &Service,
        change: &serde_json::Value,
        doing: String,
    ) -> Result<Outcome, Error> {
        let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
        let api: Api<Service> = Api::namespaced(self.shared.client.clone(), &namespace);
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match api.patch(&name, &params, &Patch::Merge(change)).await {
            Ok(stored) => {
                self.shared.services.record(stored);
                Ok(Outcome::running(doing))
            }
            Err(error) => refused(format!("patch Service {namespace}/{name}"), error),
        }
    }

    /// Notes in the Repository what runs now.
    async fn done(
        &self,
        live: Arc<Repository>,
        service: Option<&Service>,
        request: &Request,
        build: &PipelineRun,
        revision: String,
    ) -> Result<Outcome, Error> {
        let deployed = Deployed {
            sequence: request.sequence,
            commit: request.commit.clone(),
            git_ref: request.git_ref.clone(),
            tree: request.tree.clone(),
            run: request.run.clone(),
            image: request.image.clone(),
            revision: revision.clone(),
            generation: generation(build).unwrap_or_default(),
            at: Some(Time(self.shared.now())),
        };
        let mut updated = (*live).clone();
        let status = updated.status.get_or_insert_default();
        let target = Target::of(&live, request);
        let same = |known: &Deployed| known.run == deployed.run && known.revision == deployed.revision;
        match &target {
            Target::Branch if status.deployed.as_ref().is_some_and(same) => {}
            Target::Branch => status.deployed = Some(deployed),
            Target::Preview(tag) => {
                let known = status.previews.iter().find(|preview| preview.tag == *tag);
                if !known.is_some_and(|preview| same(&preview.deployed)) {
                    status.previews.retain(|preview| preview.tag != *tag);
                    status.previews.push(Preview {
                        tag: tag.clone(),
                        url: String::new(),
                        deployed,
                    });
                }
            }
        }
        self.applier
            .update_status(&self.shared.repositories, &live, &updated)
            .await?;
        let url = service.and_then(|service| service.status.as_ref()?.url.clone());
        self.shared.events.normal(
            live.as_ref(),
            "Deployed",
            format!("{revision} runs what {} built", request.run),
        );
        Ok(Outcome {
            status: ConditionStatus::True,
            reason: reasons::SUCCEEDED.to_owned(),
            message: format!("Revision {revision} is ready"),
            results: vec![("revision", revision), ("url", url.unwrap_or_default())],
        })
    }

    async fn store(&self, run: &Arc<CustomRun>, outcome: Outcome) -> Result<(), Error> {
        let now = Time(self.shared.now());
        let mut updated = (**run).clone();
        let status = updated.status.get_or_insert_default();
        status.observed_generation = run.metadata.generation;
        status.start_time.get_or_insert_with(|| now.clone());
        status.set_succeeded(outcome.status, &outcome.reason, &outcome.message, &now);
        if outcome.status != ConditionStatus::Unknown {
            status.completion_time = Some(now);
        }
        status.results = outcome
            .results
            .into_iter()
            .map(|(name, value)| CustomRunResult {
                name: name.to_owned(),
                value,
            })
            .collect();
        self.applier
            .update_status(&self.shared.custom_runs, run, &updated)
            .await
            .map(drop)
    }
}

/// The generation of the Repository that a build was made of.
fn generation(build: &PipelineRun) -> Option<i64> {
    build.annotations().get(GENERATION)?.parse().ok()
}

/// What the API server refuses for good fails the run; all else is tried again.
fn refused(doing: String, error: kube::Error) -> Result<Outcome, Error> {
    if let kube::Error::Api(refusal) = &error
        && matches!(refusal.code, 400 | 403 | 422)
    {
        return Ok(Outcome::failed("ServiceRefused", refusal.message.clone()));
    }
    let error = Error::api(doing, error);
    if error.class() == Class::Conflict {
        tracing::debug!(%error, "Somebody else wrote first");
    }
    Err(error)
}
