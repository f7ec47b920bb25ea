//! Carries out what is decided about TaskRuns.

use std::sync::{Arc, OnceLock};

use crds::conditions::ConditionStatus;
use crds::config::tekton::{Defaults, Features};
use crds::tekton::reasons::task_run as reasons;
use crds::tekton::{
    ResolutionRequest, RunStatus, StepActionSpec, TaskRun, TaskRunStatus, TaskSpec, annotations, labels,
    names,
};
use k8s_openapi::api::core::v1::{LimitRange, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};
use reconciler::object::{controller_of, is_controlled_by};
use reconciler::{Applier, Cache, Clock, ConfigStore, Controller, Error, Key, Next, Reconcile, Recorder};
use registries::Registry;
use serde_json::json;

use super::decide::{Decision, decide, timeout};
use super::ending::{Ending, end};
use super::patience::Patience;
use super::progress::{Progress, may_begin, progress};
use super::refusal::{self, Refusal};
use super::rerun;
use super::spec::{Found, Invalid, Unready, begun};
use super::{artifacts, claims, credentials, images, logs, results, steps};
use crate::pod::requirements::{self, Limits};
use crate::pod::workspaces::with_default;
use crate::pod::{self, Attempt, Settings};
use crate::resolve::{self, Resolver};
use crate::stopwatch::Stopwatch;

/// The collaborators of the reconciler.
#[derive(Clone)]
pub(crate) struct Shared {
    pub client: kube::Client,
    pub config: ConfigStore,
    pub events: Recorder,
    pub clock: Clock,
    /// The image of the entrypoint.
    pub entrypoint_image: String,
    pub task_runs: Cache<TaskRun>,
    /// The pods of TaskRuns.
    pub pods: Cache<Pod>,
    /// The questions to resolvers.
    pub requests: Cache<ResolutionRequest>,
    /// What namespaces say about containers that say nothing.
    pub limit_ranges: Cache<LimitRange>,
}

pub(crate) struct TaskRuns {
    shared: Shared,
    applier: Applier,
    stopwatch: Stopwatch,
    resolver: Resolver,
    /// Made when the first step leaves its command to its image.
    registry: OnceLock<Registry>,
}

pub(crate) fn controller(shared: &Shared) -> Controller<TaskRuns> {
    let applier = Applier::new(shared.client.clone(), "spindrift-taskrun");
    let reconciler = TaskRuns {
        shared: shared.clone(),
        resolver: Resolver::new(applier.clone(), shared.requests.clone(), shared.config.clone()),
        applier,
        stopwatch: Stopwatch::new(),
        registry: OnceLock::new(),
    };
    Controller::new("pipelines-taskrun", reconciler)
        .watches(&shared.task_runs)
        .owns::<TaskRun, Pod>(&shared.pods)
        .owns::<TaskRun, ResolutionRequest>(&shared.requests)
}

impl Reconcile for TaskRuns {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(run) = self.shared.task_runs.get(key) else {
            return Ok(Next::OnChange);
        };
        let now = (self.shared.clock)();
        let defaults = self.shared.config.get::<Defaults>();
        let mut status = run.status.clone().unwrap_or_default();
        status.observed_generation = run.metadata.generation;
        let time = Time(now);
        let (run, next) = match decide(
            &run,
            default_timeout(&defaults),
            self.by_stopwatch(&run, &status, now),
        ) {
            Decision::Leave => {
                self.stopwatch.forget(&run.uid().unwrap_or_default());
                self.pack(key, &run);
                return Ok(Next::OnChange);
            }
            Decision::Hold => {
                let (reason, message) = (reasons::TASK_RUN_PENDING, "TaskRun is pending");
                status.set_succeeded(ConditionStatus::Unknown, reason, message, &time);
                (run, Next::OnChange)
            }
            Decision::Cancel => {
                self.cancel(&run, &mut status).await?;
                end(&run, &mut status, Ending::cancelled(&run), &time);
                (run, Next::OnChange)
            }
            Decision::TimeOut(limit) => {
                self.stop(&run, &mut status).await?;
                end(&run, &mut status, Ending::timed_out(&run, limit), &time);
                (run, Next::OnChange)
            }
            Decision::Run(_) => self.run(run, &mut status, now).await?,
        };
        self.tell(&run, &status);
        let next = next.sooner(until_deadline(
            &run,
            &status,
            &defaults,
            self.by_stopwatch(&run, &status, now),
        ));
        let mut updated = (*run).clone();
        updated.status = Some(status);
        self.applier
            .update_status(&self.shared.task_runs, &run, &updated)
            .await?;
        Ok(next)
    }
}

/// How long an attempt may take that does not say; zero is as long as it likes.
fn default_timeout(defaults: &Defaults) -> std::time::Duration {
    defaults.timeout().timeout().unwrap_or_default()
}

/// When the time of the attempt is up, which no watch tells.
fn until_deadline(run: &TaskRun, status: &TaskRunStatus, defaults: &Defaults, now: Timestamp) -> Next {
    let mut shown = run.clone();
    shown.status = Some(status.clone());
    match decide(&shown, default_timeout(defaults), now) {
        Decision::Run(Some(deadline)) => {
            let left = std::time::Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
            Next::After(left)
        }
        _ => Next::OnChange,
    }
}

impl TaskRuns {
    /// What is over is kept for whoever asks, but nobody works with it. The PipelineRun that made a run still does.
    fn pack(&self, key: &Key, run: &TaskRun) {
        let shared = &self.shared;
        let of_pipeline = controller_of(&run.metadata).is_some_and(|owner| owner.kind == "PipelineRun");
        if !of_pipeline {
            shared.task_runs.pack(key);
        }
        let pod = run.status.as_ref().map(|status| status.pod_name.as_str());
        if let Some(pod) = pod.filter(|pod| !pod.is_empty()) {
            shared.pods.pack(&Key::new(&key.namespace, pod));
        }
    }

    /// The time as the present attempt sees it: nobody sets its clock.
    fn by_stopwatch(&self, run: &TaskRun, status: &TaskRunStatus, now: Timestamp) -> Timestamp {
        let Some(start) = status.start_time.as_ref().map(|time| time.0) else {
            return now;
        };
        let gone = self.stopwatch.since(&run.uid().unwrap_or_default(), start, now);
        start.checked_add(gone).unwrap_or(Timestamp::MAX)
    }

    /// Has the pod of the present attempt, and shows how it is.
    async fn run(
        &self,
        run: Arc<TaskRun>,
        status: &mut TaskRunStatus,
        now: Timestamp,
    ) -> Result<(Arc<TaskRun>, Next), Error> {
        let time = Time(now);
        let pod = match self.pod(&run, status).await? {
            Some(pod) => pod,
            None => {
                if !status.pod_name.is_empty() {
                    self.shared.events.warning(
                        run.as_ref(),
                        "PodVanished",
                        format!(
                            "pod {:?} is gone: its steps run again from the first",
                            status.pod_name
                        ),
                    );
                }
                match self.create(run.clone(), status, now).await? {
                    Created::Pod(run, pod) => {
                        return Ok((run.clone(), self.show(&run, status, &pod, now).await?));
                    }
                    Created::Not(run, next) => return Ok((run, next)),
                }
            }
        };
        if status.start_time.is_none() {
            // Made before a status could be written.
            status.start_time = pod.metadata.creation_timestamp.clone().or(Some(time));
        }
        if status.task_spec.is_none() {
            match self.spec(&run, status).await? {
                Ok((_, spec)) => status.task_spec = Some(spec),
                Err(unready) => {
                    let next = unready_yet(&run, status, unready, now);
                    return Ok((run, next));
                }
            }
        }
        let next = self.show(&run, status, &pod, now).await?;
        Ok((run, next))
    }

    /// The pod of the present attempt, if there is one. Its name is a function of the run and the attempt, so that a
    /// crash between its creation and the status makes no second one.
    async fn pod(&self, run: &TaskRun, status: &TaskRunStatus) -> Result<Option<Arc<Pod>>, Error> {
        let name = names::pod(&run.name_any(), status.retries_status.len());
        let namespace = run.namespace().unwrap_or_default();
        let uid = run.uid().unwrap_or_default();
        let ours = |pod: &Pod| is_controlled_by(&pod.metadata, &uid);
        if let Some(pod) = self.shared.pods.named(&namespace, &name).filter(|pod| ours(pod)) {
            return Ok(Some(pod));
        }
        if status.start_time.is_none() {
            // A new attempt: the API server says so if there is one already.
            return Ok(None);
        }
        let pods: Api<Pod> = Api::namespaced(self.shared.client.clone(), &namespace);
        let found = pods
            .get_opt(&name)
            .await
            .map_err(|error| Error::api(format!("read pod {name}"), error))?;
        Ok(found.filter(ours).map(Arc::new))
    }

    async fn create(
        &self,
        run: Arc<TaskRun>,
        status: &mut TaskRunStatus,
        now: Timestamp,
    ) -> Result<Created, Error> {
        let retry = status.retries_status.len();
        let (found, spec) = match self.spec(&run, status).await? {
            Ok(found) => found,
            Err(unready) => {
                let next = unready_yet(&run, status, unready, now);
                return Ok(Created::Not(run, next));
            }
        };
        let run = self.label(run, &found.name).await?;
        if let Some(earlier) = self.done_before(&run, status, &found).await? {
            *status = rerun::taken_over(&earlier, status, spec, &Time(now));
            return Ok(Created::Not(run, Next::OnChange));
        }
        let defaults = self.shared.config.get::<Defaults>();
        let settings = self.settings(&defaults);
        let default_binding = defaults.task_run_workspace_binding.as_ref();
        let bound = with_default(&run, &found.spec, default_binding);
        let features = self.shared.config.get::<Features>();
        if let Err(message) = claims::fit(&bound, features.coschedule) {
            refuse(
                &run,
                status,
                Invalid::new(reasons::VALIDATION_FAILED, message),
                now,
            );
            return Ok(Created::Not(run, Next::OnChange));
        }
        if let Err(message) = claims::make(&self.shared.client, &bound).await? {
            let reason = reasons::COULDNT_CREATE_WORKSPACE_PVC;
            refuse(&run, status, Invalid::new(reason, message), now);
            return Ok(Created::Not(run, Next::OnChange));
        }
        let images = match images::look_up(&self.shared.client, &self.registry, &run, &spec).await {
            Ok(images) => images,
            Err(message) => {
                let reason = reasons::TASK_RUN_IMAGE_PULL_FAILED;
                status.start_time.get_or_insert(Time(now));
                end(&run, status, Ending::Failed { reason, message }, &Time(now));
                return Ok(Created::Not(run, Next::OnChange));
            }
        };
        let credentials = match credentials::look_up(&self.shared.client, &features, &run).await? {
            Ok(found) => found,
            Err(message) => {
                refuse(
                    &run,
                    status,
                    Invalid::new(reasons::VALIDATION_FAILED, message),
                    now,
                );
                return Ok(Created::Not(run, Next::OnChange));
            }
        };
        for secret in &credentials.missing {
            let message = format!("secret {secret:?} of the service account does not exist");
            self.shared
                .events
                .warning(run.as_ref(), "FailedToRetrieveSecret", message);
        }
        let wanted = pod::desired(&Attempt {
            run: &bound,
            spec: &spec,
            settings: &settings,
            retry,
            timeout: timeout(&run, default_timeout(&defaults)),
            credentials: &credentials.credentials,
            images: &images,
        });
        let wanted = match wanted {
            Ok(mut wanted) => {
                requirements::by_name(&mut wanted, &defaults.container_resource_requirements);
                self.limits(&run).fill(&mut wanted);
                wanted
            }
            Err(error) => {
                refuse(
                    &run,
                    status,
                    Invalid::new(reasons::VALIDATION_FAILED, error.to_string()),
                    now,
                );
                return Ok(Created::Not(run, Next::OnChange));
            }
        };
        let name = wanted.name_any();
        let created = self.applier.create(run.as_ref(), &self.shared.pods, wanted).await;
        let pod = match created {
            Ok(pod) => {
                if let Some(message) = pod::changed_affinity(&run, &name) {
                    self.shared
                        .events
                        .warning(run.as_ref(), "PodAffinityOverwrite", message);
                }
                pod
            }
            Err(error) => {
                let Error::Api { source, .. } = &error else {
                    return Err(error);
                };
                match refusal::of(source, &name) {
                    Refusal::Fault => return Err(error),
                    Refusal::Exists => match self.adopted(&run, &name).await? {
                        Some(pod) => pod,
                        None => {
                            let message = format!("there is a pod {name:?} that is not of this TaskRun");
                            refuse(
                                &run,
                                status,
                                Invalid::new(reasons::POD_CREATION_FAILED, message),
                                now,
                            );
                            return Ok(Created::Not(run, Next::OnChange));
                        }
                    },
                    Refusal::Later {
                        reason,
                        message,
                        pause,
                    } => {
                        status.start_time = None;
                        status.set_succeeded(ConditionStatus::Unknown, reason, &message, &Time(now));
                        return Ok(Created::Not(run, Next::After(pause)));
                    }
                    Refusal::Never { reason, message } => {
                        refuse(&run, status, Invalid::new(reason, message), now);
                        return Ok(Created::Not(run, Next::OnChange));
                    }
                }
            }
        };
        status.start_time.get_or_insert(Time(now));
        status.pod_name = name;
        status.task_spec = Some(spec);
        Ok(Created::Pod(run, pod))
    }

    /// What the LimitRanges of the namespace say.
    fn limits(&self, run: &TaskRun) -> Limits {
        let namespace = run.namespace().unwrap_or_default();
        let ranges = self.shared.limit_ranges.in_namespace(&namespace, |_| true);
        Limits::of(ranges.iter().map(AsRef::as_ref))
    }

    async fn adopted(&self, run: &TaskRun, name: &str) -> Result<Option<Arc<Pod>>, Error> {
        let namespace = run.namespace().unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(self.shared.client.clone(), &namespace);
        let found = pods
            .get_opt(name)
            .await
            .map_err(|error| Error::api(format!("read pod {name}"), error))?;
        let uid = run.uid().unwrap_or_default();
        Ok(found
            .filter(|pod| is_controlled_by(&pod.metadata, &uid))
            .map(Arc::new))
    }

    fn settings(&self, defaults: &Defaults) -> Settings {
        let flags = self.shared.config.get::<Features>();
        Settings {
            entrypoint_image: self.shared.entrypoint_image.clone(),
            pod_template: defaults.pod_template.clone(),
            managed_by: defaults.managed_by_label_value.clone(),
            await_sidecars: flags.await_sidecar_readiness,
            injected_sidecars: flags.running_in_environment_with_injected_sidecars,
            secure_init: flags.set_security_context,
            read_only_init: flags.set_security_context_read_only_root_filesystem,
            keep_cancelled: flags.keep_pod_on_cancel,
            artifacts: flags.enable_artifacts,
            forbidden_env: defaults.forbidden_env.clone(),
        }
    }

    /// The name and the spec of the task, with everything put in. Asked for anew with each attempt, as the number of
    /// the attempt is one of the variables.
    async fn spec(
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
    async fn done_before(
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

    /// Clients find the runs of a Task by this label; the pod inherits it.
    async fn label(&self, run: Arc<TaskRun>, task: &str) -> Result<Arc<TaskRun>, Error> {
        if task.is_empty() || run.labels().get(labels::TASK).is_some_and(|label| label == task) {
            return Ok(run);
        }
        let changes = json!({"metadata": {"labels": {labels::TASK: task}}});
        let key = Key::of(run.as_ref());
        self.applier.merge(&self.shared.task_runs, &key, &changes).await
    }

    /// Shows the pod in the status, and lets the first step begin when it may.
    async fn show(
        &self,
        run: &TaskRun,
        status: &mut TaskRunStatus,
        pod: &Arc<Pod>,
        now: Timestamp,
    ) -> Result<Next, Error> {
        let time = Time(now);
        let task = status.task_spec.clone().unwrap_or_default();
        status.pod_name = pod.name_any();
        steps::show(status, &task, pod);
        let patience = Patience::of(&self.shared.config.get::<Defaults>());
        let (progress, again) = patience.with(progress(pod), pod, now);
        let over = !matches!(progress, Progress::Unknown { .. });
        let pod = &match over && logs::any(pod) {
            false => pod.clone(),
            true => match logs::completed(&self.shared.client, pod).await? {
                Ok(pod) => Arc::new(pod),
                Err(lost) => {
                    let ending = match lost {
                        logs::Lost::TooLarge(size) => Ending::Refused {
                            reason: reasons::RESULT_LARGER_THAN_ALLOWED_LIMIT,
                            message: format!(
                                "the results of all steps have {size} bytes, and {} are allowed; large data belongs \
                                 into a workspace",
                                entrypoint::message::MOST
                            ),
                        },
                        logs::Lost::Unreadable(why) => Ending::Failed {
                            reason: reasons::FAILED,
                            message: format!("results could not be read from {why}"),
                        },
                    };
                    end(run, status, ending, &time);
                    return Ok(Next::OnChange);
                }
            },
        };
        if over {
            steps::show(status, &task, pod);
        }
        match progress {
            Progress::Unknown { reason, message } => {
                status.set_succeeded(ConditionStatus::Unknown, reason, &message, &time);
                self.open_gate(pod).await?;
            }
            Progress::Succeeded => {
                let (shown, wrong) = results::of_task(&task, pod);
                let (made, strange) = artifacts::of_task(&task, pod);
                let most = self.shared.config.get::<Features>().most_of_a_result();
                let ending = match results::too_large(&shown, most) {
                    Some(message) => Ending::Refused {
                        reason: reasons::RESULT_LARGER_THAN_ALLOWED_LIMIT,
                        message,
                    },
                    None if !strange.is_empty() => Ending::Refused {
                        reason: reasons::VALIDATION_FAILED,
                        message: format!("provenance.json cannot be read: {}", strange.join(", ")),
                    },
                    None if wrong.is_empty() => Ending::Succeeded,
                    None => Ending::Refused {
                        reason: reasons::VALIDATION_FAILED,
                        message: format!(
                            "Provided results don't match declared results; may be invalid JSON or missing result \
                             declaration: {}",
                            wrong.join(", ")
                        ),
                    },
                };
                (status.results, status.artifacts) = (shown, made);
                end(run, status, ending, &time);
            }
            Progress::Failed(verdict) => {
                status.results = results::of_task(&task, pod).0;
                status.artifacts = artifacts::of_task(&task, pod).0;
                if verdict.delete_pod {
                    self.applier.delete(pod.as_ref()).await?;
                    steps::end(status, verdict.reason, &time);
                }
                let (reason, message) = (verdict.reason, verdict.message);
                end(run, status, Ending::Failed { reason, message }, &time);
            }
        }
        Ok(again.map_or(Next::OnChange, Next::After))
    }

    async fn open_gate(&self, pod: &Arc<Pod>) -> Result<(), Error> {
        if pod.annotations().contains_key(annotations::READY) || !may_begin(pod) {
            return Ok(());
        }
        let changes = json!({"metadata": {"annotations": {annotations::READY: annotations::READY_VALUE}}});
        let key = Key::of(pod.as_ref());
        self.applier.merge(&self.shared.pods, &key, &changes).await?;
        Ok(())
    }

    /// Ends the steps: with their pod, or in it if it is to stay.
    async fn cancel(&self, run: &TaskRun, status: &mut TaskRunStatus) -> Result<(), Error> {
        let pod = self.pod(run, status).await?.filter(|pod| cancels_itself(pod));
        let Some(pod) = pod else {
            return self.stop(run, status).await;
        };
        if let Some(task) = status.task_spec.clone() {
            steps::show(status, &task, &pod);
        }
        let changes = json!({"metadata": {"annotations": {annotations::CANCEL: annotations::CANCEL_VALUE}}});
        let key = Key::of(pod.as_ref());
        self.applier.merge(&self.shared.pods, &key, &changes).await?;
        Ok(())
    }

    /// Takes the pod away.
    async fn stop(&self, run: &TaskRun, status: &mut TaskRunStatus) -> Result<(), Error> {
        if let Some(pod) = self.pod(run, status).await? {
            if let Some(task) = status.task_spec.clone() {
                steps::show(status, &task, &pod);
            }
            self.applier.delete(pod.as_ref()).await?;
        }
        Ok(())
    }

    /// Events about what has changed.
    fn tell(&self, run: &TaskRun, status: &TaskRunStatus) {
        let before = run
            .status
            .as_ref()
            .and_then(RunStatus::succeeded)
            .and_then(|condition| condition.reason.clone());
        let Some(condition) = status.succeeded() else {
            return;
        };
        if before == condition.reason {
            return;
        }
        let message = condition.message.clone().unwrap_or_default();
        match condition.status {
            ConditionStatus::True => self.shared.events.normal(run, "Succeeded", message),
            ConditionStatus::False => self.shared.events.warning(run, "Failed", message),
            ConditionStatus::Unknown if before.is_none() => {
                self.shared.events.normal(run, "Started", message)
            }
            ConditionStatus::Unknown => {}
        }
    }
}

/// Do the steps of this pod end when they are told to? Those that have not started might never.
fn cancels_itself(pod: &Pod) -> bool {
    let told = |argument: &String| argument == "-cancel_file";
    let mut steps = pod.spec.iter().flat_map(|spec| &spec.containers);
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Running") && steps.any(|step| step.args.iter().flatten().any(told))
}

enum Created {
    Pod(Arc<TaskRun>, Arc<Pod>),
    Not(Arc<TaskRun>, Next),
}

/// Says what is missing, and when to look again.
fn unready_yet(run: &TaskRun, status: &mut TaskRunStatus, unready: Unready, now: Timestamp) -> Next {
    let (reason, message) = match unready {
        Unready::Task => (
            reasons::RESOLVING_TASK_REF,
            "the task is asked for of its resolver",
        ),
        Unready::StepActions => (
            reasons::RESOLVING_STEP_ACTION_REF,
            "the StepActions are asked for of their resolvers",
        ),
        Unready::Never(invalid) => {
            refuse(run, status, invalid, now);
            return Next::OnChange;
        }
    };
    status.set_succeeded(ConditionStatus::Unknown, reason, message, &Time(now));
    Next::After(resolve::RECHECK)
}

fn refuse(run: &TaskRun, status: &mut TaskRunStatus, invalid: Invalid, now: Timestamp) {
    let Invalid { reason, message } = invalid;
    status.start_time.get_or_insert(Time(now));
    end(run, status, Ending::Refused { reason, message }, &Time(now));
}
