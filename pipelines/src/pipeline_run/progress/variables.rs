//! The variables of a task that depend on other tasks: their results, and in `finally` how they went.

use crds::tekton::reasons::pipeline_run as reasons;
use crds::tekton::{ParamValue, PipelineTask};

use super::super::child::{Child, Outcome};
use super::super::prepare::{Invalid, Task};
use super::{Inputs, State};
use crate::graph::{ReferenceKind, ResultReference};
use crate::substitution::{Scope, apply, pipeline, task};

/// What a task's variables stand for.
pub struct Variables {
    statuses: Scope,
    results: Scope,
    missing: Vec<ResultReference>,
}

impl Variables {
    /// Those of one task; in `finally` with the statuses that all of its tasks share.
    pub fn of(inputs: &Inputs<'_>, task: &Task, shared: Option<&Self>) -> Self {
        let (mut results, mut missing) = (Scope::new(), Vec::new());
        for other in inputs
            .prepared
            .tasks
            .iter()
            .filter(|other| other.spec.is_matrixed())
        {
            let name = other.spec.name.as_str();
            let length = inputs.children_of(other).len();
            if length > 0 {
                results.set(&["tasks", name, "matrix", "length"], length.to_string());
            }
        }
        for reference in &task.references {
            match inputs.result(reference) {
                Some(value) => {
                    let mut path = vec!["tasks", reference.task.as_str(), reference.kind.word()];
                    path.extend(Some(reference.result.as_str()).filter(|name| !name.is_empty()));
                    results.set(&path, value);
                }
                None if reference.is_optional() => {}
                None => missing.push(reference.clone()),
            }
        }
        Self {
            statuses: shared.map(|shared| shared.statuses.clone()).unwrap_or_default(),
            results,
            missing,
        }
    }

    /// How all tasks went, when they are over.
    pub fn for_finally(inputs: &Inputs<'_>, states: &[State]) -> Self {
        let mut statuses = Scope::new();
        for (task, state) in inputs.prepared.tasks.iter().zip(states) {
            let name = task.spec.name.as_str();
            statuses.set(&["tasks", name, "status"], status_of(state));
            let decisive = |child: &&&Child| child.outcome != Outcome::Succeeded;
            let children = inputs.children_of(task);
            let reason = children.iter().find(decisive).or(children.first());
            let reason = reason.map_or("None", |child| child.reason.as_str());
            statuses.set(&["tasks", name, "reason"], reason);
        }
        let any = |wanted: fn(&State) -> bool| states.iter().any(wanted);
        let all = match () {
            () if any(|state| matches!(state, State::Failed | State::Cancelled | State::Invalid(_))) => {
                "Failed"
            }
            () if any(|state| matches!(state, State::Skipped(_))) => "Completed",
            () => "Succeeded",
        };
        statuses.set(&["tasks", "status"], all);
        Self {
            statuses,
            results: Scope::new(),
            missing: Vec::new(),
        }
    }

    /// A result that is needed and not there.
    pub fn missing(&self) -> Option<&ResultReference> {
        self.missing.first()
    }

    /// Is a result not there that this field needs?
    pub fn is_missing_in(&self, field: &str) -> bool {
        self.missing
            .iter()
            .any(|reference| reference.field.starts_with(field))
    }

    /// The task with its variables replaced, in the passes in which that is done: statuses, results, context.
    ///
    /// # Errors
    /// If it is no task any more then.
    pub fn fill(&self, task: &Task) -> Result<PipelineTask, Invalid> {
        let invalid = |error: &dyn std::fmt::Display| {
            let message = format!("task {}: {error}", task.spec.name);
            Invalid::new(reasons::VALIDATION_FAILED, message)
        };
        let mut json = serde_json::to_value(&task.spec).map_err(|error| invalid(&error))?;
        let mut context = Scope::new();
        context.set(
            &["context", "pipelineTask", "retries"],
            task.spec.retries.to_string(),
        );
        for pass in [&self.statuses, &self.results, &context] {
            apply(&mut json, pipeline::TASK, pass).map_err(|error| invalid(&error))?;
            if let Some(spec) = json.get_mut("taskSpec") {
                apply(spec, &task::FIELDS, pass).map_err(|error| invalid(&error))?;
            }
        }
        serde_json::from_value(json).map_err(|error| invalid(&error))
    }
}

fn status_of(state: &State) -> &'static str {
    match state {
        State::Succeeded => "Succeeded",
        State::Failed | State::Ignored | State::Cancelled => "Failed",
        State::Waiting | State::Running | State::Skipped(_) | State::Invalid(_) => "None",
    }
}

impl Inputs<'_> {
    /// What a reference stands for, if there is all that it asks for. The results of a matrix are a list, one of each
    /// combination that has it.
    pub(in super::super) fn result(&self, reference: &ResultReference) -> Option<ParamValue> {
        let children = self.children.get(reference.task.as_str())?;
        if children.iter().any(|child| child.outcome == Outcome::Running) {
            return None;
        }
        let mut all = self.prepared.tasks.iter().chain(&self.prepared.finally);
        let task = all.find(|task| task.spec.name == reference.task)?;
        let value = if reference.kind != ReferenceKind::Result {
            children
                .first()?
                .artifact(reference.kind, &reference.result)?
                .into()
        } else if task.spec.is_matrixed() {
            let of_children = children
                .iter()
                .filter_map(|child| child.results.get(&reference.result));
            let texts: Vec<String> = of_children
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect();
            (!texts.is_empty()).then_some(ParamValue::Array(texts))?
        } else {
            children.first()?.results.get(&reference.result)?.clone()
        };
        let has_key = reference
            .key
            .as_ref()
            .is_none_or(|key| value.as_object().is_some_and(|fields| fields.contains_key(key)));
        let has_index = reference
            .index
            .is_none_or(|index| value.as_array().is_some_and(|list| index < list.len()));
        (has_key && has_index).then_some(value)
    }
}
