//! The reconciler of PipelineRuns: gathers the facts, and does what follows from them.

mod assistants;
mod make;
mod start;

use std::sync::Arc;

use crds::conditions::{Condition, ConditionStatus};
use crds::tekton::reasons::pipeline_run as reasons;
use crds::tekton::{
    CustomRun, PipelineRun, PipelineRunSpecStatus, ResolutionRequest, RunStatus as _, TaskRun, is_ours,
    labels, names,
};
use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use reconciler::error::{chain, is_not_found};
use reconciler::{
    Applier, Caches, Class, Clock, ConfigStore, Controller, Error, Key, Leadership, Next, Reconcile, Recorder,
};

use super::{Cancellation, Child, Decision, Elapsed, Facts, Kind, child, decide, is_done, metrics, second};
use crate::resolve::{RECHECK, Resolver};
use crate::shared::Shared;
use crate::stopwatch::Stopwatch;

/// Keeps PipelineRuns.
pub(crate) struct PipelineRuns {
    shared: Shared,
    applier: Applier,
    stopwatch: Stopwatch,
    resolver: Resolver,
}

/// The controller of PipelineRuns; its children wake it.
pub(crate) fn controller(shared: &Shared) -> Controller<PipelineRuns> {
    let applier = shared.applier("spindrift-pipelinerun");
    let reconciler = PipelineRuns {
        shared: shared.clone(),
        resolver: Resolver::new(applier.clone(), shared.requests.clone(), shared.config.clone()),
        applier,
        stopwatch: Stopwatch::new(),
    };
    Controller::new("pipelines-pipelinerun", reconciler)
        .watches(&shared.pipeline_runs)
        .owns::<PipelineRun, TaskRun>(&shared.task_runs)
        .owns::<PipelineRun, CustomRun>(&shared.custom_runs)
        .owns::<PipelineRun, PipelineRun>(&shared.pipeline_runs)
        .owns::<PipelineRun, ResolutionRequest>(&shared.requests)
}

/// Keeps PipelineRuns alone, until the future is dropped: for processes that leave TaskRuns to others. Assistants have
/// the image of the entrypoint.
pub fn run(caches: Caches, clock: Clock, entrypoint_image: String) -> BoxFuture<'static, ()> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(async move {
        let events = Recorder::new(caches.client().clone(), "pipelines-controller");
        let config = ConfigStore::start(&caches, names::NAMESPACE);
        let shared = Shared::new(&caches, config, events, clock, entrypoint_image);
        let controller = controller(&shared);
        // Everything that reads has subscribed by now; writing begins when the caches are complete.
        caches.synced().await;
        controller.run(Leadership::always()).await;
    })
}

impl Reconcile for PipelineRuns {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(run) = self.shared.pipeline_runs.get(key) else {
            return Ok(Next::OnChange);
        };
        let left_alone =
            run.metadata.deletion_timestamp.is_some() || !is_ours(run.spec.managed_by.as_deref());
        if left_alone || is_done(&run) {
            self.stopwatch.forget(&run.uid().unwrap_or_default());
            if is_done(&run) {
                self.pack(key, &run);
            }
            return Ok(Next::OnChange);
        }
        let children = self.children(&run);
        let begun = match start::begin(self, run, &children).await? {
            start::Begun::With(begun) => begun,
            start::Begun::Not { run, reason, message } => {
                return self.fail(&run, reason, &message).await;
            }
            start::Begun::Resolving { run, reason, message } => {
                let mut status = run.status.clone().unwrap_or_default();
                status.observed_generation = run.metadata.generation;
                let now = Time(second(self.shared.now()));
                status.set_succeeded(ConditionStatus::Unknown, reason, &message, &now);
                let decision = Decision {
                    status,
                    ..Decision::default()
                };
                return self.store(&run, decision, Ok(Next::After(RECHECK))).await;
            }
        };
        let now = self.shared.now();
        let elapsed = self.elapsed(&begun.run, now);
        let mut decision = decide(&Facts {
            run: &begun.run,
            pipeline: &begun.pipeline,
            name: &begun.name,
            children: &children,
            now,
            elapsed,
        });
        if begun.source.is_some() {
            decision.status.provenance.get_or_insert_default().ref_source = begun.source;
        }
        let next = decision.next.map_or(Next::OnChange, Next::After);
        let done = self.carry_out(&begun.run, &mut decision).await;
        self.store(&begun.run, decision, done.map(|()| next)).await
    }
}

impl PipelineRuns {
    /// How long the run and its `finally` have taken, as far as they have begun.
    fn elapsed(&self, run: &PipelineRun, now: Timestamp) -> Elapsed {
        let uid = run.uid().unwrap_or_default();
        let since = |start: Option<&Time>| start.map(|start| self.stopwatch.since(&uid, start.0, now));
        let status = run.status.as_ref();
        Elapsed {
            run: since(status.and_then(|status| status.start_time.as_ref())),
            finally: since(status.and_then(|status| status.finally_start_time.as_ref())),
        }
    }

    /// What is over is kept for whoever asks, but nobody works with it: the run, and what it made.
    fn pack(&self, key: &Key, run: &PipelineRun) {
        let uid = run.uid().unwrap_or_default();
        let shared = &self.shared;
        shared.pipeline_runs.pack(key);
        for child in shared.task_runs.keys_controlled_by(&uid) {
            shared.task_runs.pack(&child);
        }
        for child in shared.pipeline_runs.keys_controlled_by(&uid) {
            shared.pipeline_runs.pack(&child);
        }
    }

    /// All that the run controls, whatever its status knows of.
    fn children(&self, run: &PipelineRun) -> Vec<Child> {
        let uid = run.uid().unwrap_or_default();
        let shared = &self.shared;
        let task_runs = shared.task_runs.controlled_by(&uid);
        let custom_runs = shared.custom_runs.controlled_by(&uid);
        let pipeline_runs = shared.pipeline_runs.controlled_by(&uid);
        let task_runs = task_runs.iter().map(|run| Child::from(run.as_ref()));
        let custom_runs = custom_runs.iter().map(|run| Child::from(run.as_ref()));
        let pipeline_runs = pipeline_runs.iter().map(|run| Child::from(run.as_ref()));
        task_runs.chain(custom_runs).chain(pipeline_runs).collect()
    }

    /// Ends and makes children. What goes wrong for good ends the run, and is part of the decision then.
    async fn carry_out(&self, run: &PipelineRun, decision: &mut Decision) -> Result<(), Error> {
        let now = Time(second(self.shared.now()));
        for told in &decision.cancel {
            if let Err(error) = self.end(run, told).await {
                let timed_out = told.message == child::TIMED_OUT;
                let reason = if timed_out {
                    reasons::COULDNT_TIME_OUT
                } else {
                    reasons::COULDNT_CANCEL
                };
                if decision.status.is_done() {
                    let message = format!(
                        "{} {} could not be ended: {}",
                        told.kind.type_().1,
                        told.name,
                        chain(&error)
                    );
                    decision
                        .status
                        .set_succeeded(ConditionStatus::False, reason, &message, &now);
                    decision.status.completion_time = None;
                }
                return Err(error);
            }
        }
        let made = make::all(&self.shared, &self.applier, run, decision).await;
        match made {
            Err(make::Error::ForGood { reason, message }) => {
                let created = std::mem::take(&mut decision.create);
                let children = self.children(run);
                // Those that were not made are not there to be referred to.
                let missing = |name: &str| {
                    created.iter().any(|child| child.name() == name)
                        && !children.iter().any(|child| child.name == name)
                };
                decision
                    .status
                    .child_references
                    .retain(|reference| !missing(&reference.name));
                decision
                    .status
                    .set_succeeded(ConditionStatus::False, reason, &message, &now);
                decision.status.completion_time = Some(now);
                for told in super::end(&children, child::CANCELLED, |_| true) {
                    self.end(run, &told).await?;
                }
                Ok(())
            }
            Err(make::Error::ForNow(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    /// Tells a child to end. One that is gone has ended.
    async fn end(&self, run: &PipelineRun, told: &Cancellation) -> Result<(), Error> {
        let key = Key::new(run.namespace().unwrap_or_default(), told.name.as_str());
        let change = told.kind.cancellation(told.message);
        let shared = &self.shared;
        let ended = match told.kind {
            Kind::TaskRun => self
                .applier
                .merge(&shared.task_runs, &key, &change)
                .await
                .map(drop),
            Kind::CustomRun => self
                .applier
                .merge(&shared.custom_runs, &key, &change)
                .await
                .map(drop),
            Kind::PipelineRun => self
                .applier
                .merge(&shared.pipeline_runs, &key, &change)
                .await
                .map(drop),
        };
        match ended {
            Err(Error::Api { source, .. }) if is_not_found(&source) => Ok(()),
            ended => ended,
        }
    }

    async fn fail(&self, run: &Arc<PipelineRun>, reason: &'static str, message: &str) -> Result<Next, Error> {
        let now = Time(second(self.shared.now()));
        let mut status = run.status.clone().unwrap_or_default();
        status.observed_generation = run.metadata.generation;
        status.set_succeeded(ConditionStatus::False, reason, message, &now);
        status.start_time.get_or_insert_with(|| now.clone());
        status.completion_time = Some(now);
        let decision = Decision {
            status,
            ..Decision::default()
        };
        self.store(run, decision, Ok(Next::OnChange)).await
    }

    /// Stores the status if it differs, and tells of a new condition. An error from before comes first.
    async fn store(
        &self,
        run: &Arc<PipelineRun>,
        decision: Decision,
        result: Result<Next, Error>,
    ) -> Result<Next, Error> {
        let mut updated = (**run).clone();
        // While something could not be made, the status must not refer to it; what was made is found again.
        if result.is_ok() || decision.status.is_done() {
            updated.status = Some(decision.status);
        }
        if is_done(&updated) {
            assistants::clean(&self.shared, &self.applier, run).await?;
        }
        let stored = self
            .applier
            .update_status(&self.shared.pipeline_runs, run, &updated)
            .await;
        if let Err(error) = &result
            && error.class() == Class::Retry
        {
            self.shared.events.warning(run.as_ref(), "Error", chain(error));
        }
        let stored = match stored {
            Err(error) if is_too_large(&error) => self.give_up(run, &mut updated).await,
            stored => stored,
        };
        if stored.is_ok() {
            self.tell(run, &updated);
            // Once: a run that is done is not looked at again.
            if is_done(&updated) {
                metrics::ended(&updated);
            }
        }
        let next = result?;
        stored.map(|_| next)
    }

    /// Ends a run whose status the server cannot store: it could neither go on nor fail otherwise.
    async fn give_up(
        &self,
        run: &Arc<PipelineRun>,
        updated: &mut PipelineRun,
    ) -> Result<Arc<PipelineRun>, Error> {
        for told in super::end(&self.children(run), child::CANCELLED, |_| true) {
            self.end(run, &told).await?;
        }
        assistants::clean(&self.shared, &self.applier, run).await?;
        let now = Time(second(self.shared.now()));
        let status = updated.status.get_or_insert_default();
        // The children are found by their labels, and the pipeline is where it was.
        status.pipeline_spec = None;
        status.results.clear();
        status.skipped_tasks.clear();
        status.child_references.clear();
        let message = "the status of the run is too large to be stored: use fewer tasks, or smaller results";
        status.set_succeeded(ConditionStatus::False, reasons::FAILED, message, &now);
        status.completion_time = Some(now);
        self.applier
            .update_status(&self.shared.pipeline_runs, run, updated)
            .await
    }

    /// One event for each change of reason.
    fn tell(&self, before: &PipelineRun, after: &PipelineRun) {
        let condition =
            |run: &PipelineRun| run.status.as_ref().and_then(|status| status.succeeded().cloned());
        let reason =
            |condition: &Option<Condition>| condition.as_ref().and_then(|found| found.reason.clone());
        let (old, new) = (condition(before), condition(after));
        let Some(new) = new.filter(|new| reason(&old) != new.reason) else {
            return;
        };
        let message = new.message.clone().unwrap_or_default();
        if old.is_none() {
            self.shared.events.normal(after, "Started", "");
        }
        match new.status {
            ConditionStatus::True => self.shared.events.normal(after, "Succeeded", message),
            ConditionStatus::False => self.shared.events.warning(after, "Failed", message),
            ConditionStatus::Unknown => {
                let reason = match new.reason.as_deref() {
                    Some(reasons::STOPPING) => reasons::STOPPING,
                    Some(reasons::PENDING) => reasons::PENDING,
                    Some(reasons::CANCELLED_RUNNING_FINALLY) => reasons::CANCELLED_RUNNING_FINALLY,
                    Some(reasons::STOPPED_RUNNING_FINALLY) => reasons::STOPPED_RUNNING_FINALLY,
                    Some(reasons::TIMEOUT_RUNNING_FINALLY) => reasons::TIMEOUT_RUNNING_FINALLY,
                    _ => reasons::RUNNING,
                };
                self.shared.events.normal(after, reason, message);
            }
        }
    }
}

/// Has the server no room for an object of this size?
fn is_too_large(error: &Error) -> bool {
    match error {
        Error::Api {
            source: kube::Error::Api(status),
            ..
        } => status.code == 413 || status.message.contains("request is too large"),
        _ => false,
    }
}

/// Does somebody want the run to end at once? Then nothing needs to be found for it.
fn ends_at_once(run: &PipelineRun) -> bool {
    run.spec.status == Some(PipelineRunSpecStatus::Cancelled)
}

/// The name that labels give to the pipeline of a run, if they say.
fn labelled(run: &PipelineRun) -> Option<&str> {
    run.metadata
        .labels
        .as_ref()?
        .get(labels::PIPELINE)
        .map(String::as_str)
}
