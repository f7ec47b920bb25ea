//! How far the tasks of a run are: recomputed from its children each time, so a status that got lost changes nothing.
//!
//! A task without children is looked at by rules in a fixed order, each a reason to skip it; see [`Inputs::judge`]. A
//! reason that has been reported stays.

mod rerun;
mod variables;

use std::collections::{BTreeMap, HashMap};

use crds::tekton::reasons::{pipeline_run as reasons, skipped};
use crds::tekton::{Param, PipelineTask, SkippedTask, names};

use super::child::{Child, Outcome};
use super::prepare::{Invalid, Prepared, Task};
use super::timeouts::Clocks;
use crate::{matrix, when};

pub use variables::Variables;

/// What somebody wants of a run, other than that it ends at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Run,
    /// Its tasks end at once, `finally` runs.
    Cancel,
    /// No further tasks begin, `finally` runs.
    Stop,
}

/// How far a task is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It waits for others.
    Waiting,
    /// It has children, and not all of them are over, or it will have some now.
    Running,
    Succeeded,
    Failed,
    /// It failed, and the pipeline goes on regardless.
    Ignored,
    Cancelled,
    Skipped(SkippedTask),
    /// It can never begin.
    Invalid(Invalid),
}

impl State {
    pub fn is_over(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    fn is_skipped_for(&self, reason: &str) -> bool {
        matches!(self, Self::Skipped(skipped) if skipped.reason == reason)
    }
}

/// A child that has to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub name: String,
    pub finally: bool,
    /// Which one of a matrix.
    pub combination: Option<usize>,
    /// The child of an earlier run whose results it has if they are of the same task.
    pub rerun_of: Option<String>,
    /// The task with all variables replaced; params of its combination included.
    pub task: PipelineTask,
}

/// How far all tasks are, in the order of the pipeline's lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub tasks: Vec<State>,
    pub finally: Vec<State>,
    pub planned: Vec<Planned>,
}

impl Progress {
    /// Are all tasks but those of `finally` over?
    pub fn tasks_are_over(&self) -> bool {
        self.tasks.iter().all(State::is_over)
    }

    pub fn is_over(&self) -> bool {
        self.tasks_are_over() && self.finally.iter().all(State::is_over)
    }
}

/// What progress follows from.
pub struct Inputs<'a> {
    pub run: &'a str,
    pub prepared: &'a Prepared,
    /// The children of each task; those of a matrix in the order of their combinations.
    pub children: HashMap<&'a str, Vec<&'a Child>>,
    pub mode: Mode,
    pub clocks: Clocks,
    /// The tasks whose skipping has been reported.
    pub skipped: BTreeMap<&'a str, &'a SkippedTask>,
}

/// The children of each task, in the order of their combinations.
pub fn by_task<'a>(
    run: &str,
    prepared: &'a Prepared,
    children: &'a [Child],
) -> HashMap<&'a str, Vec<&'a Child>> {
    let mut all: HashMap<&str, Vec<&Child>> = HashMap::new();
    for child in children {
        all.entry(child.task.as_str()).or_default().push(child);
    }
    for task in prepared.tasks.iter().chain(&prepared.finally) {
        // Names do not sort like numbers: -10 comes before -2.
        if let Some(of_task) = all
            .get_mut(task.spec.name.as_str())
            .filter(|_| task.spec.is_matrixed())
        {
            let name = |index| names::run_of_task(run, &task.spec.name, Some(index));
            let order: HashMap<String, usize> = (0..matrix::MAX_COMBINATIONS)
                .map(|index| (name(index), index))
                .collect();
            of_task.sort_by_key(|child| order.get(&child.name).copied());
        }
    }
    all
}

/// What is left of a task once its variables are replaced.
enum Judged {
    State(State),
    Begins(Box<PipelineTask>),
}

impl Inputs<'_> {
    pub fn progress(&self) -> Progress {
        let failed = self.a_task_failed();
        let (mut tasks, mut planned) = self.judge_all(failed, &BTreeMap::new());
        let invalid: BTreeMap<usize, State> = (0..)
            .zip(&tasks)
            .filter(|(_, state)| matches!(state, State::Invalid(_)))
            .map(|(position, state)| (position, state.clone()))
            .collect();
        if !invalid.is_empty() && !failed {
            (tasks, planned) = self.judge_all(true, &invalid);
        }
        let mut finally = vec![State::Waiting; self.prepared.finally.len()];
        if tasks.iter().all(State::is_over) {
            let variables = Variables::for_finally(self, &tasks);
            for (task, state) in self.prepared.finally.iter().zip(&mut finally) {
                *state = self.judge_finally(task, &variables, &mut planned);
            }
        }
        Progress {
            tasks,
            finally,
            planned,
        }
    }

    /// Has a task failed, so that no others begin? One that ran out of time has not: that is a reason of its own.
    fn a_task_failed(&self) -> bool {
        self.prepared.tasks.iter().any(|task| {
            matches!(self.with_children(task), Some(State::Failed | State::Cancelled))
                && !self.clocks.tasks_are_up()
        })
    }

    fn children_of(&self, task: &Task) -> &[&Child] {
        self.children
            .get(task.spec.name.as_str())
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// How far a task is that has children.
    fn with_children(&self, task: &Task) -> Option<State> {
        let children = self.children_of(task);
        let any = |outcome| children.iter().any(|child| child.outcome == outcome);
        Some(match () {
            () if children.is_empty() => return None,
            () if any(Outcome::Running) => State::Running,
            () if any(Outcome::Failed) && task.spec.on_error == "continue" => State::Ignored,
            () if any(Outcome::Failed) => State::Failed,
            () if any(Outcome::Cancelled) => State::Cancelled,
            () => State::Succeeded,
        })
    }

    fn judge_all(&self, stopping: bool, invalid: &BTreeMap<usize, State>) -> (Vec<State>, Vec<Planned>) {
        let tasks = &self.prepared.tasks;
        let (mut states, mut planned) = (vec![State::Waiting; tasks.len()], Vec::new());
        let finally_began = self
            .prepared
            .finally
            .iter()
            .any(|task| !self.children_of(task).is_empty());
        for &position in self.prepared.graph.order() {
            let Some(task) = tasks.get(position) else { continue };
            let state = if let Some(state) = invalid.get(&position) {
                state.clone()
            } else if let Some(state) = self.with_children(task) {
                let goes_on = self.mode != Mode::Cancel && !self.clocks.tasks_are_up() && !finally_began;
                self.complete(task, state, goes_on, &mut planned)
            } else {
                match self.judge(position, task, stopping, &states) {
                    Judged::State(state) => state,
                    // Whoever takes back a cancellation does not get tasks beside or after `finally`.
                    Judged::Begins(_) if finally_began => skip(task, skipped::STOPPING),
                    Judged::Begins(filled) => self.begin(task, &filled, false, &mut planned),
                }
            };
            if let Some(at) = states.get_mut(position) {
                *at = state;
            }
        }
        (states, planned)
    }

    /// The rules for a task that has no children, in their order.
    fn judge(&self, position: usize, task: &Task, stopping: bool, states: &[State]) -> Judged {
        let done = |reason| Judged::State(skip(task, reason));
        if let Some(reported) = self.skipped.get(task.spec.name.as_str()) {
            return Judged::State(State::Skipped((*reported).clone()));
        }
        match self.mode {
            _ if stopping => return done(skipped::STOPPING),
            Mode::Cancel => return done(skipped::GRACEFULLY_CANCELLED),
            Mode::Stop => return done(skipped::GRACEFULLY_STOPPED),
            Mode::Run => {}
        }
        let parents = || {
            self.prepared
                .graph
                .parents(position)
                .iter()
                .filter_map(|&parent| states.get(parent))
        };
        if !parents().all(State::is_over) {
            return match () {
                // Nothing will begin any more, whatever the parents come to.
                () if self.clocks.pipeline_is_up() => done(skipped::PIPELINE_TIMED_OUT),
                () if self.clocks.tasks_are_up() => done(skipped::TASKS_TIMED_OUT),
                () => Judged::State(State::Waiting),
            };
        }
        let variables = Variables::of(self, task, None);
        let filled = match variables.fill(task) {
            Ok(filled) => filled,
            Err(invalid) => return Judged::State(State::Invalid(invalid)),
        };
        match self.when_fails(&filled, &variables) {
            Ok(false) => {}
            Ok(true) => return Judged::State(skip_when(&filled)),
            Err(invalid) => return Judged::State(State::Invalid(invalid)),
        }
        if parents().any(|state| matches!(state, State::Invalid(_)) || skipped_for_good(state)) {
            return done(skipped::PARENT_TASKS);
        }
        if let Some(missing) = variables.missing() {
            let tasks = &self.prepared.tasks;
            let parent = tasks.iter().position(|other| other.spec.name == missing.task);
            let state = parent.and_then(|parent| states.get(parent));
            if state.is_some_and(|state| state.is_skipped_for(skipped::WHEN_EXPRESSIONS)) {
                return done(skipped::MISSING_RESULTS);
            }
            let message = format!(
                "task {} needs {} in {}, which did not produce it",
                task.spec.name,
                missing.title(),
                missing.field
            );
            return Judged::State(State::Invalid(Invalid::new(reasons::VALIDATION_FAILED, message)));
        }
        match () {
            () if self.clocks.pipeline_is_up() => done(skipped::PIPELINE_TIMED_OUT),
            () if self.clocks.tasks_are_up() => done(skipped::TASKS_TIMED_OUT),
            () => Judged::Begins(Box::new(filled)),
        }
    }

    /// The rules of `finally`, once all other tasks are over.
    fn judge_finally(&self, task: &Task, variables: &Variables, planned: &mut Vec<Planned>) -> State {
        let up = self.clocks.pipeline_is_up() || self.clocks.finally_is_up();
        if let Some(state) = self.with_children(task) {
            return self.complete(task, state, !up, planned);
        }
        if let Some(reported) = self.skipped.get(task.spec.name.as_str()) {
            return State::Skipped((*reported).clone());
        }
        let variables = Variables::of(self, task, Some(variables));
        if variables.missing().is_some() {
            return skip(task, skipped::MISSING_RESULTS);
        }
        let filled = match variables.fill(task) {
            Ok(filled) => filled,
            Err(invalid) => return State::Invalid(invalid),
        };
        match self.when_fails(&filled, &variables) {
            Ok(true) => skip_when(&filled),
            Err(invalid) => State::Invalid(invalid),
            Ok(false) if self.clocks.pipeline_is_up() => skip(task, skipped::PIPELINE_TIMED_OUT),
            Ok(false) if self.clocks.finally_is_up() => skip(task, skipped::FINALLY_TIMED_OUT),
            Ok(false) => self.begin(task, &filled, true, planned),
        }
    }

    /// Do the conditions of a task say that it must not run? Not if they need results that are not there.
    fn when_fails(&self, filled: &PipelineTask, variables: &Variables) -> Result<bool, Invalid> {
        if variables.is_missing_in("when") {
            return Ok(false);
        }
        let held = when::hold(&filled.when);
        let invalid = |error| {
            Invalid::new(
                reasons::CEL_EVALUATION_FAILED,
                format!("task {}: {error}", filled.name),
            )
        };
        held.map(|held| !held).map_err(invalid)
    }

    /// Plans the children of a task that begins.
    fn begin(&self, task: &Task, filled: &PipelineTask, finally: bool, planned: &mut Vec<Planned>) -> State {
        let children = match self.children_to_be(filled, finally) {
            Ok(children) => children,
            Err(invalid) => return State::Invalid(invalid),
        };
        if children.is_empty() {
            return skip(task, skipped::EMPTY_MATRIX);
        }
        planned.extend(children);
        State::Running
    }

    /// Plans what is missing of a task that has begun: a matrix, some of whose runs were not made before a crash.
    fn complete(&self, task: &Task, state: State, goes_on: bool, planned: &mut Vec<Planned>) -> State {
        if !task.spec.is_matrixed() {
            return state;
        }
        let finally = !self
            .prepared
            .tasks
            .iter()
            .any(|other| other.spec.name == task.spec.name);
        let filled = Variables::of(self, task, None).fill(task);
        let Ok(mut children) = filled.and_then(|filled| self.children_to_be(&filled, finally)) else {
            return state;
        };
        children.retain(|wanted| {
            self.children_of(task)
                .iter()
                .all(|child| child.name != wanted.name)
        });
        match () {
            () if children.is_empty() => state,
            () if goes_on => {
                planned.extend(children);
                State::Running
            }
            () if state == State::Succeeded => State::Cancelled,
            () => state,
        }
    }

    fn children_to_be(&self, filled: &PipelineTask, finally: bool) -> Result<Vec<Planned>, Invalid> {
        let planned = |index, params: Vec<Param>| {
            let mut task = filled.clone();
            task.params.extend(params);
            Planned {
                name: names::run_of_task(self.run, &filled.name, index),
                finally,
                combination: index,
                rerun_of: rerun::of(self, &filled.name, finally, index),
                task,
            }
        };
        let Some(matrix) = filled.matrix.as_ref().filter(|_| filled.is_matrixed()) else {
            return Ok(vec![planned(None, Vec::new())]);
        };
        let combinations = matrix::combinations(matrix).map_err(|error| {
            let message = format!("task {}: {error}", filled.name);
            let reason = match error {
                matrix::Error::TooMany => reasons::VALIDATION_FAILED,
                matrix::Error::NotAnArray(_) | matrix::Error::NotAString { .. } => {
                    reasons::INVALID_MATRIX_PARAMETER_TYPES
                }
            };
            Invalid::new(reason, message)
        })?;
        let children = (0..)
            .zip(combinations)
            .map(|(index, params)| planned(Some(index), params));
        Ok(children.collect())
    }
}

/// Takes a skipped task its descendants with it? Not if its own conditions are why.
fn skipped_for_good(state: &State) -> bool {
    matches!(state, State::Skipped(_)) && !state.is_skipped_for(skipped::WHEN_EXPRESSIONS)
}

fn skip(task: &Task, reason: &str) -> State {
    State::Skipped(SkippedTask {
        name: task.spec.name.clone(),
        reason: reason.to_owned(),
        when_expressions: Vec::new(),
    })
}

fn skip_when(filled: &PipelineTask) -> State {
    State::Skipped(SkippedTask {
        name: filled.name.clone(),
        reason: skipped::WHEN_EXPRESSIONS.to_owned(),
        when_expressions: filled.when.clone(),
    })
}
