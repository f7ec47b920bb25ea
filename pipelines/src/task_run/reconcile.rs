//! Carries out what is decided about TaskRuns.

mod start;
mod task;

use std::sync::{Arc, OnceLock};

use crds::conditions::ConditionStatus;
use crds::config::tekton::{Defaults, Features};
use crds::tekton::reasons::task_run as reasons;
use crds::tekton::{ResolutionRequest, RunStatus, TaskRun, TaskRunStatus, annotations, names};
use k8s_openapi::api::core::v1::{LimitRange, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};
use reconciler::object::{controller_of, is_controlled_by};
use reconciler::{Applier, Cache, Clock, ConfigStore, Controller, Error, Key, Next, Reconcile, Recorder};
use registries::Registry;
use serde_json::json;

use self::start::Created;
use super::decide::{Decision, decide};
use super::ending::{Ending, end};
use super::patience::Patience;
use super::progress::{Progress, may_begin, progress};
use super::spec::{Invalid, Unready};
use super::{artifacts, logs, results, steps};
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
