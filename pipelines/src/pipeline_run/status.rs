//! What a run says about itself.

use crds::conditions::ConditionStatus;
use crds::tekton::reasons::{custom_run, pipeline_run as reasons, task_run};
use crds::tekton::{ChildStatusReference, PipelineRun, PipelineRunResult, PipelineTask, SkippedTask, names};
use kube::ResourceExt;
use serde_json::json;

use super::child::{Child, Kind, Outcome};
use super::children::NewChild;
use super::prepare::Task;
use super::progress::{Inputs, Mode, Progress, State, Variables};
use crate::graph;
use crate::substitution::{Scope, pipeline};

/// Longest text about what was not valid, in bytes (as upstream).
const DETAILS: usize = 1024;

/// Status, reason and message of the condition `Succeeded`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub status: ConditionStatus,
    pub reason: &'static str,
    pub message: String,
}

impl Summary {
    pub fn failed(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: ConditionStatus::False,
            reason,
            message: message.into(),
        }
    }

    pub fn unknown(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: ConditionStatus::Unknown,
            reason,
            message: message.into(),
        }
    }
}

/// How many tasks went how.
#[derive(Debug, Default)]
struct Counts {
    succeeded: usize,
    failed: usize,
    ignored: usize,
    cancelled: usize,
    incomplete: usize,
    skipped: usize,
    /// What is wrong with tasks that could never begin.
    invalid: Vec<String>,
}

impl Counts {
    fn of(progress: &Progress) -> Self {
        let mut counts = Self::default();
        for state in progress.tasks.iter().chain(&progress.finally) {
            match state {
                State::Waiting | State::Running => counts.incomplete += 1,
                State::Succeeded => counts.succeeded += 1,
                State::Failed => counts.failed += 1,
                State::Ignored => counts.ignored += 1,
                State::Cancelled => counts.cancelled += 1,
                State::Skipped(_) => counts.skipped += 1,
                State::Invalid(invalid) => counts.invalid.push(invalid.message.clone()),
            }
        }
        counts
    }

    fn message(&self, over: bool) -> String {
        let completed = self.succeeded + self.failed + self.ignored + self.cancelled;
        let failed = self.failed + self.ignored;
        let ignored = if self.ignored > 0 {
            format!(" (Ignored: {})", self.ignored)
        } else {
            String::new()
        };
        let incomplete = if over {
            String::new()
        } else {
            format!(" Incomplete: {},", self.incomplete)
        };
        let mut message = format!(
            "Tasks Completed: {completed} (Failed: {failed}{ignored}, Cancelled {}),{incomplete} Skipped: {}",
            self.cancelled, self.skipped
        );
        if !self.invalid.is_empty() {
            let mut details = self.invalid.join("; ");
            let end = (0..=details.len().min(DETAILS))
                .rev()
                .find(|&end| details.is_char_boundary(end));
            details.truncate(end.unwrap_or_default());
            message.push_str(&format!(
                ", Failed Validation: {} ({details})",
                self.invalid.len()
            ));
        }
        message
    }
}

/// What the condition says of a run that goes its way.
pub fn summary(progress: &Progress, inputs: &Inputs<'_>) -> Summary {
    let counts = Counts::of(progress);
    let over = progress.is_over();
    let message = counts.message(over);
    let timed_out = timed_out(progress, inputs);
    if !over {
        let reason = match inputs.mode {
            _ if timed_out => reasons::TIMEOUT_RUNNING_FINALLY,
            Mode::Cancel => reasons::CANCELLED_RUNNING_FINALLY,
            Mode::Stop => reasons::STOPPED_RUNNING_FINALLY,
            Mode::Run if counts.failed + counts.cancelled + counts.invalid.len() > 0 => reasons::STOPPING,
            Mode::Run => reasons::RUNNING,
        };
        return Summary::unknown(reason, message);
    }
    let invalid = progress
        .tasks
        .iter()
        .chain(&progress.finally)
        .find_map(|state| match state {
            State::Invalid(invalid) => Some(invalid.reason),
            _ => None,
        });
    match () {
        () if timed_out => Summary::failed(reasons::TIMED_OUT, message),
        () if let Some(reason) = invalid => Summary::failed(reason, message),
        () if counts.failed > 0 => Summary::failed(reasons::FAILED, message),
        () if inputs.mode != Mode::Run || counts.cancelled > 0 => {
            Summary::failed(reasons::CANCELLED, message)
        }
        () => Summary {
            status: ConditionStatus::True,
            reason: if counts.skipped > 0 {
                reasons::COMPLETED
            } else {
                reasons::SUCCEEDED
            },
            message,
        },
    }
}

/// Has time cut the run short? Not if all was done before.
pub fn timed_out(progress: &Progress, inputs: &Inputs<'_>) -> bool {
    use crds::tekton::reasons::skipped;
    let short = |state: &State| match state {
        State::Skipped(task) => [
            skipped::PIPELINE_TIMED_OUT,
            skipped::TASKS_TIMED_OUT,
            skipped::FINALLY_TIMED_OUT,
        ]
        .contains(&task.reason.as_str()),
        _ => false,
    };
    let states = || progress.tasks.iter().chain(&progress.finally);
    let told = |child: &&Child| {
        // A pipeline has no message to be told why.
        let pipeline =
            child.kind == Kind::PipelineRun && inputs.mode == Mode::Run && inputs.clocks.tasks_are_up();
        child.cancelled && child.outcome != Outcome::Succeeded && (child.timed_out || pipeline)
    };
    states().any(short)
        || inputs.children.values().flatten().any(told)
        || inputs
            .children
            .values()
            .flatten()
            .any(|child| ran_out(child, inputs))
        || (inputs.clocks.tasks_are_up() && !progress.tasks_are_over())
        || (inputs.clocks.finally_is_up() && !progress.is_over())
}

/// Was a child's time up that was nothing but what its parent had left? Then both clocks are up, and the child may
/// have looked at its own first.
fn ran_out(child: &Child, inputs: &Inputs<'_>) -> bool {
    let timed_out = [task_run::TIMEOUT, custom_run::TIMED_OUT, reasons::TIMED_OUT];
    let prepared = inputs.prepared;
    let mut tasks = prepared.tasks.iter().chain(&prepared.finally);
    let mut specs = prepared.run.spec.task_run_specs.iter();
    let own = tasks.any(|task| task.spec.name == child.task && task.spec.timeout.is_some())
        || specs.any(|spec| spec.pipeline_task_name == child.task && spec.timeout.is_some());
    child.outcome == Outcome::Failed && timed_out.contains(&child.reason.as_str()) && !own
}

/// The tasks that were skipped, in the order of the pipeline.
pub fn skipped_tasks(progress: &Progress) -> Vec<SkippedTask> {
    let skipped = |state: &State| match state {
        State::Skipped(task) => Some(task.clone()),
        _ => None,
    };
    progress
        .tasks
        .iter()
        .chain(&progress.finally)
        .filter_map(skipped)
        .collect()
}

/// The children that there are and those that are about to be made, in the order of the pipeline.
pub fn child_references(
    inputs: &Inputs<'_>,
    created: &[NewChild],
    progress: &Progress,
) -> Vec<ChildStatusReference> {
    let mut references = Vec::new();
    let tasks = inputs.prepared.tasks.iter().map(|task| (task, false));
    let finally = inputs.prepared.finally.iter().map(|task| (task, true));
    for (task, finally) in tasks.chain(finally) {
        let name = task.spec.name.as_str();
        let there = inputs
            .children
            .get(name)
            .into_iter()
            .flatten()
            .map(|child| (child.kind, child.name.as_str()));
        let new = created
            .iter()
            .zip(&progress.planned)
            .filter(|(_, planned)| planned.task.name == name);
        let new = new.map(|(child, _)| (child.kind(), child.name()));
        let mut all: Vec<_> = there.chain(new).collect();
        if all.is_empty() {
            continue;
        }
        if task.spec.is_matrixed() {
            let position = |child: &str| {
                (0..all.len()).find(|&index| names::run_of_task(inputs.run, name, Some(index)) == child)
            };
            let mut sorted: Vec<_> = all
                .iter()
                .map(|&(kind, child)| (position(child), kind, child))
                .collect();
            sorted.sort_by_key(|(position, ..)| *position);
            all = sorted.into_iter().map(|(_, kind, child)| (kind, child)).collect();
        }
        let filled = shown(inputs, task, finally, progress);
        references.extend(all.into_iter().map(|(kind, child)| ChildStatusReference {
            api_version: kind.type_().0.to_owned(),
            kind: kind.type_().1.to_owned(),
            name: child.to_owned(),
            display_name: filled.display_name.clone(),
            pipeline_task_name: name.to_owned(),
            when_expressions: filled.when.clone(),
        }));
    }
    references
}

/// Refers to all children that are not referred to yet, for runs whose pipeline is of no interest any more.
pub fn refer_to(references: &mut Vec<ChildStatusReference>, children: &[Child]) {
    for child in children {
        if references.iter().all(|known| known.name != child.name) {
            references.push(ChildStatusReference {
                api_version: child.kind.type_().0.to_owned(),
                kind: child.kind.type_().1.to_owned(),
                name: child.name.clone(),
                pipeline_task_name: child.task.clone(),
                ..ChildStatusReference::default()
            });
        }
    }
}

/// The task as children show it: only what is shown has to be filled in.
fn shown(inputs: &Inputs<'_>, task: &Task, finally: bool, progress: &Progress) -> PipelineTask {
    if task.spec.when.is_empty() && !task.spec.display_name.contains("$(") {
        return task.spec.clone();
    }
    let shared = finally.then(|| Variables::for_finally(inputs, &progress.tasks));
    let variables = Variables::of(inputs, task, shared.as_ref());
    variables.fill(task).unwrap_or_else(|_| task.spec.clone())
}

/// The results of a run that is over. Those that need what is not there are left out.
pub fn results(inputs: &Inputs<'_>) -> Vec<PipelineRunResult> {
    let mut all = Vec::new();
    for result in &inputs.prepared.results {
        let json = json!({"results": [result]});
        let mut scope = Scope::new();
        let complete = ["tasks", "finally"].iter().all(|list| {
            graph::references_in(&json, pipeline::RESULTS, list)
                .iter()
                .all(|reference| {
                    let value = inputs.result(reference);
                    let there = value.is_some();
                    if let Some(value) = value {
                        let kind = reference.kind.word();
                        scope.set(&[list, &reference.task, kind, &reference.result], value);
                    }
                    there
                })
        });
        if let (true, Ok(value)) = (complete, scope.value(&result.value)) {
            all.push(PipelineRunResult {
                name: result.name.clone(),
                value,
            });
        }
    }
    all
}

/// The message of a run that somebody ended at once.
pub fn cancelled(run: &PipelineRun) -> Summary {
    let message = format!("PipelineRun \"{}\" was cancelled", run.name_any());
    Summary::failed(reasons::CANCELLED, message)
}

/// The message of a run that took longer than it may.
pub fn timed_out_at_once(run: &PipelineRun, budget: std::time::Duration) -> Summary {
    let budget = k8s_openapi::jiff::SignedDuration::try_from(budget).unwrap_or_default();
    let budget = crds::tekton::Duration(budget);
    let message = format!(
        "PipelineRun \"{}\" failed to finish within \"{budget}\"",
        run.name_any()
    );
    Summary::failed(reasons::TIMED_OUT, message)
}
