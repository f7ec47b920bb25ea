//! PipelineRun: what has to be done next follows from facts alone.
//!
//! [`decide`] is given the run, its pipeline, its children and the time, and says which children to make, which to
//! end, and what the status is. It remembers nothing: how far the tasks are is read off the children, whose names are
//! functions of the run and the task, so a crash at any point makes nothing twice and forgets nothing.

mod assistants;
mod child;
mod children;
mod metrics;
mod prepare;
mod progress;
mod reconcile;
mod status;
#[cfg(test)]
mod tests;
mod timeouts;

use std::time::Duration;

use crds::conditions::ConditionStatus;
use crds::tekton::reasons::pipeline_run as reasons;
use crds::tekton::{PipelineRun, PipelineRunSpecStatus, PipelineRunStatus, PipelineSpec, RunStatus as _};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

pub use assistants::Assistant;
pub use child::{Child, Kind, Outcome};
pub use children::NewChild;
pub use prepare::{Invalid, Prepared, Task, prepare};
use progress::{Inputs, Mode, Progress};
pub(crate) use reconcile::controller;
pub use reconcile::run;
use status::Summary;
use timeouts::{Budgets, Clocks, sooner};

/// How often the nodes of assistants are looked at while a child waits for one; of nodes no watch tells.
const LOOK_AFTER_NODES: Duration = Duration::from_secs(10);

/// Everything a decision follows from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub run: &'a PipelineRun,
    /// The pipeline as it was found when the run started.
    pub pipeline: &'a PipelineSpec,
    /// The name that labels and variables give to the pipeline.
    pub name: &'a str,
    /// All that the run controls.
    pub children: &'a [Child],
    pub now: Timestamp,
    pub elapsed: Elapsed,
}

/// How long things have taken by a clock that nobody sets; what is `None` is judged by the time of day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elapsed {
    /// Since the run started.
    pub run: Option<Duration>,
    /// Since `finally` started.
    pub finally: Option<Duration>,
}

/// What has to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Claims that have to be there before children.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Affinity assistants that have to be there, too, on nodes that still take pods.
    pub assistants: Vec<Assistant>,
    /// Children to make.
    pub create: Vec<NewChild>,
    /// Children to end, before the status may say that the run is over.
    pub cancel: Vec<Cancellation>,
    pub status: PipelineRunStatus,
    /// When to look again although nothing changed.
    pub next: Option<Duration>,
}

/// A child that has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancellation {
    pub kind: Kind,
    pub name: String,
    /// Why, for its `statusMessage`.
    pub message: &'static str,
}

/// Is there nothing more to do for this run, ever? One whose children could not be ended is not left alone.
pub fn is_done(run: &PipelineRun) -> bool {
    run.status.as_ref().is_some_and(|status| {
        let unfinished = [reasons::COULDNT_CANCEL, reasons::COULDNT_TIME_OUT];
        let reason = status
            .succeeded()
            .and_then(|condition| condition.reason.as_deref());
        status.is_done() && !reason.is_some_and(|reason| unfinished.contains(&reason))
    })
}

/// What has to be done next for a run that is not done.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Facts {
        run, children, now, ..
    } = *facts;
    let mut status = run.status.clone().unwrap_or_default();
    status.observed_generation = run.metadata.generation;
    let wanted = run.spec.status;
    if wanted == Some(PipelineRunSpecStatus::PipelineRunPending)
        && status.start_time.is_none()
        && children.is_empty()
    {
        let message = format!(
            "PipelineRun \"{}\" is pending",
            run.metadata.name.as_deref().unwrap_or_default()
        );
        return finish(facts, status, Summary::unknown(reasons::PENDING, message));
    }
    let start = started(&status, children, now);
    status.start_time = Some(Time(start));
    if wanted == Some(PipelineRunSpecStatus::Cancelled) {
        status::refer_to(&mut status.child_references, children);
        let cancel = end(children, child::CANCELLED, |_| true);
        return Decision {
            cancel,
            ..finish(facts, status, status::cancelled(run))
        };
    }
    status.pipeline_spec = Some(facts.pipeline.clone());
    let prepared = match prepare(run, facts.pipeline, facts.name) {
        Ok(prepared) => prepared,
        Err(invalid) => {
            status::refer_to(&mut status.child_references, children);
            let cancel = end(children, child::CANCELLED, |_| true);
            let summary = Summary::failed(invalid.reason, invalid.message);
            return Decision {
                cancel,
                ..finish(facts, status, summary)
            };
        }
    };
    let finally_start = finally_started(&status, &prepared, children);
    let clocks = Clocks::new(Budgets::of(&run.spec), start, finally_start, now).corrected(facts.elapsed);
    if let Some(budget) = clocks.budgets.pipeline.filter(|_| clocks.pipeline_is_up()) {
        return out_of_time(facts, status, &prepared, clocks, budget);
    }
    go_on(facts, status, &prepared, clocks)
}

/// A run that has time left.
fn go_on(facts: &Facts<'_>, mut status: PipelineRunStatus, prepared: &Prepared, clocks: Clocks) -> Decision {
    let before = status.clone();
    let mut inputs = inputs(facts, prepared, &before, clocks);
    let mut progress = inputs.progress();
    let over = progress.tasks_are_over() && !prepared.finally.is_empty();
    if over && inputs.clocks.finally_elapsed.is_none() {
        // The clock of `finally` starts with it, and what its children are given is counted from then.
        status.finally_start_time = Some(Time(second(facts.now)));
        inputs.clocks.finally_elapsed = Some(Duration::ZERO);
        progress = inputs.progress();
    } else if let (Some(elapsed), None) = (inputs.clocks.finally_elapsed, &status.finally_start_time) {
        let began = facts
            .now
            .checked_sub(k8s_openapi::jiff::SignedDuration::try_from(elapsed).unwrap_or_default());
        status.finally_start_time = began.ok().map(|began| Time(second(began)));
    }
    let create: Vec<NewChild> = progress
        .planned
        .iter()
        .map(|planned| children::child(&prepared.run, facts.name, planned, &inputs.clocks))
        .collect();
    let cancel = cancellations(&inputs, prepared, facts.children);
    let summary = status::summary(&progress, &inputs);
    let goes_on = summary.status == ConditionStatus::Unknown;
    let may_wait = goes_on && assistants::may_wait(&prepared.run, facts.children);
    fill(&mut status, &inputs, &progress, &create);
    if !goes_on {
        status.results = status::results(&inputs);
    }
    Decision {
        claims: if create.is_empty() {
            Vec::new()
        } else {
            children::claims(&prepared.run)
        },
        assistants: if create.is_empty() && !may_wait {
            Vec::new()
        } else {
            assistants::of_run(&prepared.run)
        },
        create,
        cancel,
        next: sooner(inputs.clocks.next(), may_wait.then_some(LOOK_AFTER_NODES)).filter(|_| goes_on),
        ..finish(facts, status, summary)
    }
}

/// A run whose whole budget is spent: nothing begins any more, and what runs is told to end.
fn out_of_time(
    facts: &Facts<'_>,
    mut status: PipelineRunStatus,
    prepared: &Prepared,
    clocks: Clocks,
    budget: Duration,
) -> Decision {
    let before = status.clone();
    let inputs = inputs(facts, prepared, &before, clocks);
    let progress = inputs.progress();
    if progress.is_over()
        && !status::timed_out(&progress, &inputs)
        && progress.planned.is_empty()
        && status::skipped_tasks(&progress) == before.skipped_tasks
    {
        // All was done in time; only nobody had noticed yet.
        return go_on(facts, status, prepared, clocks);
    }
    fill(&mut status, &inputs, &progress, &[]);
    Decision {
        cancel: end(facts.children, child::TIMED_OUT, |_| true),
        ..finish(facts, status, status::timed_out_at_once(facts.run, budget))
    }
}

fn inputs<'a>(
    facts: &Facts<'a>,
    prepared: &'a Prepared,
    before: &'a PipelineRunStatus,
    clocks: Clocks,
) -> Inputs<'a> {
    let run = facts.run.metadata.name.as_deref().unwrap_or_default();
    Inputs {
        run,
        prepared,
        children: progress::by_task(run, prepared, facts.children),
        mode: match facts.run.spec.status {
            Some(PipelineRunSpecStatus::CancelledRunFinally) => Mode::Cancel,
            Some(PipelineRunSpecStatus::StoppedRunFinally) => Mode::Stop,
            _ => Mode::Run,
        },
        clocks,
        skipped: before
            .skipped_tasks
            .iter()
            .map(|task| (task.name.as_str(), task))
            .collect(),
    }
}

fn fill(status: &mut PipelineRunStatus, inputs: &Inputs<'_>, progress: &Progress, create: &[NewChild]) {
    status.skipped_tasks = status::skipped_tasks(progress);
    status.child_references = status::child_references(inputs, create, progress);
}

/// The children that have to end while others go on.
fn cancellations(inputs: &Inputs<'_>, prepared: &Prepared, children: &[Child]) -> Vec<Cancellation> {
    let of_finally = |child: &Child| prepared.finally.iter().any(|task| task.spec.name == child.task);
    match () {
        () if inputs.clocks.tasks_are_up() || inputs.clocks.finally_is_up() => {
            end(children, child::TIMED_OUT, |child| {
                if of_finally(child) {
                    inputs.clocks.finally_is_up()
                } else {
                    inputs.clocks.tasks_are_up()
                }
            })
        }
        () if inputs.mode == Mode::Cancel => end(children, child::CANCELLED, |child| !of_finally(child)),
        () => Vec::new(),
    }
}

fn end(children: &[Child], message: &'static str, which: impl Fn(&Child) -> bool) -> Vec<Cancellation> {
    let running = children
        .iter()
        .filter(|child| child.outcome == Outcome::Running && !child.cancelled);
    running
        .filter(|child| which(child))
        .map(|child| Cancellation {
            kind: child.kind,
            name: child.name.clone(),
            message,
        })
        .collect()
}

/// Puts the summary into the status; with it, a run may be over.
fn finish(facts: &Facts<'_>, mut status: PipelineRunStatus, summary: Summary) -> Decision {
    let now = Time(second(facts.now));
    status.set_succeeded(summary.status, summary.reason, &summary.message, &now);
    if summary.status != ConditionStatus::Unknown && status.completion_time.is_none() {
        status.completion_time = Some(now);
    }
    Decision {
        status,
        ..Decision::default()
    }
}

/// When the run started; if that got lost, when its first child was made.
fn started(status: &PipelineRunStatus, children: &[Child], now: Timestamp) -> Timestamp {
    let noted = status.start_time.as_ref().map(|time| time.0);
    let first = || children.iter().filter_map(|child| child.created).min();
    noted.or_else(first).unwrap_or(second(now))
}

fn finally_started(status: &PipelineRunStatus, prepared: &Prepared, children: &[Child]) -> Option<Timestamp> {
    let of_finally = |child: &&Child| prepared.finally.iter().any(|task| task.spec.name == child.task);
    let noted = status.finally_start_time.as_ref().map(|time| time.0);
    noted.or_else(|| {
        children
            .iter()
            .filter(of_finally)
            .filter_map(|child| child.created)
            .min()
    })
}

/// Times in a status are whole seconds.
fn second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
