//! A pipeline as one run of it sees it: checked, with the variables replaced that do not depend on other tasks.

use std::collections::{BTreeMap, BTreeSet};

use crds::tekton::reasons::pipeline_run as reasons;
use crds::tekton::{
    EmbeddedTask, Param, ParamValue, PipelineResult, PipelineRun, PipelineSpec, PipelineTask,
};
use kube::ResourceExt;
use serde_json::Value;

use crate::graph::{self, Graph, ReferenceKind, ResultReference};
use crate::params::{self, Values};
use crate::substitution::{self, Scope, pipeline, task};

/// A run that cannot go on, and the reason and message that its condition gets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Invalid {
    pub reason: &'static str,
    pub message: String,
}

impl Invalid {
    pub fn new(reason: &'static str, message: impl ToString) -> Self {
        let message = message.to_string();
        Self { reason, message }
    }
}

/// A pipeline, ready to be scheduled.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The run itself, with the variables in its workspaces and pod templates replaced.
    pub run: PipelineRun,
    pub tasks: Vec<Task>,
    pub finally: Vec<Task>,
    pub graph: Graph,
    pub results: Vec<PipelineResult>,
}

/// A task of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub spec: PipelineTask,
    /// The results of other tasks that it needs.
    pub references: Vec<ResultReference>,
}

/// Prepares `pipeline` for `run`; `name` is that of the pipeline, as `$(context.pipeline.name)` says it.
///
/// # Errors
/// If the run does not fit the pipeline, or the pipeline makes no sense.
pub fn prepare(run: &PipelineRun, pipeline: &PipelineSpec, name: &str) -> Result<Prepared, Invalid> {
    check_lists(pipeline)?;
    let values = params::resolve(&pipeline.params, &run.spec.params)
        .map_err(|error| Invalid::new(error.pipeline_run_reason(), error))?;
    check_workspaces(run, pipeline)?;
    check_task_run_specs(run, pipeline)?;
    let variables = Variables::new(run, pipeline, name, values);
    let tasks = variables.fill_all(&pipeline.tasks)?;
    let finally = variables.fill_all(&pipeline.finally)?;
    let specs: Vec<PipelineTask> = tasks.iter().map(|task| task.spec.clone()).collect();
    let references: Vec<Vec<ResultReference>> = tasks.iter().map(|task| task.references.clone()).collect();
    let graph =
        Graph::of(&specs, &references).map_err(|error| Invalid::new(reasons::INVALID_GRAPH, error))?;
    check_references(&tasks, &finally)?;
    Ok(Prepared {
        run: variables.fill_run(run)?,
        tasks,
        finally,
        graph,
        results: variables.fill_results(&pipeline.results)?,
    })
}

fn check_lists(pipeline: &PipelineSpec) -> Result<(), Invalid> {
    let invalid = |message: String| Err(Invalid::new(reasons::VALIDATION_FAILED, message));
    if pipeline.tasks.is_empty() {
        return invalid("the pipeline has no tasks".to_owned());
    }
    let mut names = BTreeSet::new();
    for task in pipeline.tasks.iter().chain(&pipeline.finally) {
        if !names.insert(&task.name) {
            return Err(Invalid::new(
                reasons::INVALID_GRAPH,
                graph::Error::SameName(task.name.clone()),
            ));
        }
        let sources = [
            task.task_ref.is_some(),
            task.task_spec.is_some(),
            task.pipeline_ref.is_some(),
            task.pipeline_spec.is_some(),
        ];
        if sources.iter().filter(|&&there| there).count() != 1 {
            let name = &task.name;
            return invalid(format!(
                "task {name} needs exactly one of taskRef, taskSpec, pipelineRef and pipelineSpec"
            ));
        }
        let matrix = task.matrix.iter().flat_map(|matrix| &matrix.params);
        for param in matrix {
            if task.params.iter().any(|other| other.name == param.name) {
                return invalid(format!(
                    "task {}: {} is both in params and in matrix",
                    task.name, param.name
                ));
            }
        }
    }
    if let Some(task) = pipeline.finally.iter().find(|task| !task.run_after.is_empty()) {
        return invalid(format!(
            "task {} of finally has runAfter, which only tasks may have",
            task.name
        ));
    }
    Ok(())
}

fn check_workspaces(run: &PipelineRun, pipeline: &PipelineSpec) -> Result<(), Invalid> {
    let invalid = |message: String| Err(Invalid::new(reasons::INVALID_WORKSPACE_BINDINGS, message));
    let bound: BTreeSet<&str> = run
        .spec
        .workspaces
        .iter()
        .map(|binding| binding.name.as_str())
        .collect();
    for declared in &pipeline.workspaces {
        if !declared.optional && !bound.contains(declared.name.as_str()) {
            return invalid(format!(
                "the pipeline requires workspace {}, and the run does not bind it",
                declared.name
            ));
        }
    }
    for task in pipeline.tasks.iter().chain(&pipeline.finally) {
        for binding in &task.workspaces {
            let name = binding.workspace();
            let declared = pipeline.workspaces.iter().find(|declared| declared.name == name);
            if declared.is_none() && !bound.contains(name) {
                return invalid(format!(
                    "task {} uses workspace {name}, which nobody declares",
                    task.name
                ));
            }
            // A task that is elsewhere checks what it requires itself, when it runs.
            let required = task.task_spec.as_ref().is_some_and(|embedded| {
                let mut of_task = embedded.task_spec.workspaces.iter();
                of_task.any(|of_task| of_task.name == binding.name && !of_task.optional)
            });
            if required && declared.is_some_and(|declared| declared.optional) {
                let message = format!(
                    "task {} requires workspace {name}, which is optional in the pipeline",
                    task.name
                );
                return Err(Invalid::new(reasons::REQUIRED_WORKSPACE_MARKED_OPTIONAL, message));
            }
        }
    }
    Ok(())
}

fn check_task_run_specs(run: &PipelineRun, pipeline: &PipelineSpec) -> Result<(), Invalid> {
    for spec in &run.spec.task_run_specs {
        let mut tasks = pipeline.tasks.iter().chain(&pipeline.finally);
        if !tasks.any(|task| task.name == spec.pipeline_task_name) {
            let message = format!(
                "taskRunSpecs name task {}, which there is not",
                spec.pipeline_task_name
            );
            return Err(Invalid::new(reasons::INVALID_TASK_RUN_SPECS, message));
        }
    }
    Ok(())
}

/// References to results that are known not to be declared, and of `finally` to tasks that there are not.
fn check_references(tasks: &[Task], finally: &[Task]) -> Result<(), Invalid> {
    let by_name: BTreeMap<&str, &PipelineTask> = tasks
        .iter()
        .map(|task| (task.spec.name.as_str(), &task.spec))
        .collect();
    for task in tasks.iter().chain(finally) {
        for reference in &task.references {
            let Some(target) = by_name.get(reference.task.as_str()) else {
                let error = graph::Error::UnknownTask {
                    task: task.spec.name.clone(),
                    unknown: reference.task.clone(),
                    field: reference.field.clone(),
                };
                return Err(Invalid::new(reasons::INVALID_GRAPH, error));
            };
            if !may_have(target, reference) {
                let message = format!(
                    "task {} refers to result {} of task {} in {}, which does not declare it",
                    task.spec.name, reference.result, reference.task, reference.field
                );
                return Err(Invalid::new(reasons::INVALID_TASK_RESULT_REFERENCE, message));
            }
        }
    }
    Ok(())
}

/// May the task have a result of this name? What is elsewhere may have any, and artifacts are not declared.
fn may_have(task: &PipelineTask, reference: &ResultReference) -> bool {
    match &task.task_spec {
        Some(embedded) if !embedded.is_custom() && reference.kind == ReferenceKind::Result => embedded
            .task_spec
            .results
            .iter()
            .any(|declared| declared.name == reference.result),
        _ => true,
    }
}

/// The variables that a run gives to its pipeline.
struct Variables<'a> {
    values: Values,
    params: Scope,
    context: Scope,
    workspaces: Scope,
    pipeline: &'a PipelineSpec,
}

impl<'a> Variables<'a> {
    fn new(run: &PipelineRun, pipeline: &'a PipelineSpec, name: &str, values: Values) -> Self {
        let mut context = Scope::new();
        context.set(&["context", "pipelineRun", "name"], run.name_any());
        context.set(
            &["context", "pipelineRun", "namespace"],
            run.namespace().unwrap_or_default(),
        );
        context.set(&["context", "pipelineRun", "uid"], run.uid().unwrap_or_default());
        context.set(&["context", "pipeline", "name"], name);
        let mut workspaces = Scope::new();
        for declared in &pipeline.workspaces {
            let bound = run
                .spec
                .workspaces
                .iter()
                .any(|binding| binding.name == declared.name);
            workspaces.set(&["workspaces", &declared.name, "bound"], bound.to_string());
        }
        Self {
            params: task::scope_of_params(&values),
            values,
            context,
            workspaces,
            pipeline,
        }
    }

    fn fill_run(&self, run: &PipelineRun) -> Result<PipelineRun, Invalid> {
        let invalid = |error: &dyn std::fmt::Display| Invalid::new(reasons::VALIDATION_FAILED, error);
        let mut json = serde_json::to_value(&run.spec).map_err(|error| invalid(&error))?;
        for pass in [&self.params, &self.context] {
            substitution::apply(&mut json, pipeline::RUN, pass)
                .map_err(|error| Invalid::new(reasons::PARAM_ARRAY_INDEXING_INVALID, error))?;
        }
        let mut run = run.clone();
        run.spec = serde_json::from_value(json).map_err(|error| invalid(&error))?;
        Ok(run)
    }

    fn fill_all(&self, tasks: &[PipelineTask]) -> Result<Vec<Task>, Invalid> {
        tasks.iter().map(|task| self.fill(task)).collect()
    }

    fn fill(&self, task: &PipelineTask) -> Result<Task, Invalid> {
        let invalid = |error: &dyn std::fmt::Display| {
            Invalid::new(reasons::VALIDATION_FAILED, format!("task {}: {error}", task.name))
        };
        let mut json = serde_json::to_value(task).map_err(|error| invalid(&error))?;
        let indexes = |error: substitution::FieldError| {
            let message = format!("task {}: {error}", task.name);
            Invalid::new(reasons::PARAM_ARRAY_INDEXING_INVALID, message)
        };
        for pass in [&self.params, &self.context, &self.workspaces] {
            substitution::apply(&mut json, pipeline::TASK, pass).map_err(indexes)?;
        }
        let mut inherited = Vec::new();
        if let (Some(spec), Some(embedded)) = (json.get_mut("taskSpec"), &task.task_spec) {
            let (scope, missing) = self.propagated(task, embedded);
            inherited = missing;
            for pass in [&scope, &self.context] {
                substitution::apply(spec, &task::FIELDS, pass).map_err(indexes)?;
            }
        }
        let mut spec: PipelineTask = serde_json::from_value(json).map_err(|error| invalid(&error))?;
        spec.params.extend(inherited);
        Ok(Task {
            references: graph::references(&spec),
            spec,
        })
    }

    /// What an embedded spec sees of the pipeline's params: those that it neither declares with a default nor is
    /// given. Those that it declares without a default are handed to it.
    fn propagated(&self, task: &PipelineTask, embedded: &EmbeddedTask) -> (Scope, Vec<Param>) {
        let (mut scope, mut handed) = (Scope::new(), Vec::new());
        for (name, value) in &self.values {
            let matrix = task.matrix.iter().flat_map(|matrix| {
                matrix
                    .params
                    .iter()
                    .chain(matrix.include.iter().flat_map(|include| &include.params))
            });
            if task.params.iter().chain(matrix).any(|param| param.name == *name) {
                continue;
            }
            match embedded
                .task_spec
                .params
                .iter()
                .find(|declared| declared.name == *name)
            {
                Some(declared) if declared.default.is_none() => {
                    handed.push(Param::new(name.as_str(), value.clone()));
                }
                Some(_) => {}
                None => {
                    scope.set_named(&["params"], name, value);
                    scope.set_named(&["inputs", "params"], name, value);
                }
            }
        }
        (scope, handed)
    }

    fn fill_results(&self, results: &[PipelineResult]) -> Result<Vec<PipelineResult>, Invalid> {
        let of_list = |list: &str| -> &[PipelineTask] {
            if list == "tasks" {
                &self.pipeline.tasks
            } else {
                &self.pipeline.finally
            }
        };
        let json: Value = serde_json::json!({ "results": results });
        for list in ["tasks", "finally"] {
            for reference in graph::references_in(&json, pipeline::RESULTS, list) {
                let target = of_list(list).iter().find(|task| task.name == reference.task);
                if !target.is_some_and(|task| may_have(task, &reference)) {
                    let message = format!(
                        "{} refers to result {} of {list}.{}, which there is not",
                        reference.field, reference.result, reference.task
                    );
                    return Err(Invalid::new(reasons::INVALID_PIPELINE_RESULT_REFERENCE, message));
                }
            }
        }
        let fill = |result: &PipelineResult| {
            let value = self
                .params
                .value(&result.value)
                .and_then(|value| self.context.value(&value));
            let value: ParamValue = value.map_err(|error| {
                let message = format!("result {}: {error}", result.name);
                Invalid::new(reasons::PARAM_ARRAY_INDEXING_INVALID, message)
            })?;
            Ok(PipelineResult {
                value,
                ..result.clone()
            })
        };
        results.iter().map(fill).collect()
    }
}
