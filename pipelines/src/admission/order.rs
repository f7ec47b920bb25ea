//! The order of a pipeline's tasks, and which results they, `finally` and the pipeline itself may refer to.

use std::collections::BTreeSet;

use crds::resource::tekton::Resource;
use crds::tekton::{PipelineSpec, PipelineTask};
use crds::validation::{FieldError, FieldErrors};
use serde_json::Value;

use crate::graph::{Error, Graph, references, references_in};
use crate::substitution::{each_variable, pipeline};

/// What is wrong with the order of the tasks of a pipeline, alone or in a run.
pub(super) fn problems(resource: Resource, object: &Value) -> FieldErrors {
    let (spec, path) = match resource {
        Resource::Pipeline => (object.get("spec"), "spec"),
        Resource::PipelineRun => (object.pointer("/spec/pipelineSpec"), "spec.pipelineSpec"),
        _ => return FieldErrors::default(),
    };
    // Types were checked before.
    let Some(json) = spec.filter(|spec| !spec.is_null()) else {
        return FieldErrors::default();
    };
    match serde_json::from_value::<PipelineSpec>(json.clone()) {
        Ok(spec) => of_spec(&spec, json).via_field(path),
        Err(error) => FieldError::invalid(error, path).into(),
    }
}

fn of_spec(spec: &PipelineSpec, json: &Value) -> FieldErrors {
    let names = |tasks: &[PipelineTask]| {
        tasks
            .iter()
            .map(|task| task.name.clone())
            .collect::<BTreeSet<_>>()
    };
    let (tasks, finally) = (names(&spec.tasks), names(&spec.finally));
    let mut errors = circle(&spec.tasks);
    for (index, task) in spec.tasks.iter().enumerate() {
        errors.also(of_task(task, &tasks).via_field_index("tasks", index));
    }
    for (index, task) in spec.finally.iter().enumerate() {
        errors.also(of_final_task(task, &tasks, &finally).via_field_index("finally", index));
    }
    errors.also(statuses(json, &tasks));
    errors.also(results(json, &tasks, &finally));
    errors
}

/// Tasks that wait for each other. Other faults are told with the task that has them.
fn circle(tasks: &[PipelineTask]) -> FieldErrors {
    let names: BTreeSet<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    if names.len() < tasks.len() {
        return FieldErrors::default();
    }
    // A reference to a task that there is not would hide a circle.
    let mut known = tasks.to_vec();
    let mut needed = Vec::with_capacity(tasks.len());
    for task in &mut known {
        task.run_after.retain(|name| names.contains(name.as_str()));
        let mut found = references(task);
        found.retain(|reference| names.contains(reference.task.as_str()));
        needed.push(found);
    }
    match Graph::of(&known, &needed) {
        Err(error @ Error::Circle(_)) => {
            FieldError::invalid(format_args!("cycle detected: {error}"), "tasks").into()
        }
        _ => FieldErrors::default(),
    }
}

fn of_task(task: &PipelineTask, tasks: &BTreeSet<String>) -> FieldErrors {
    let mut errors = at_run_after(task, tasks);
    for reference in references(task) {
        if !tasks.contains(&reference.task) {
            let message = format!(
                "task {} depends on {} but {} wasn't present in Pipeline",
                task.name, reference.task, reference.task
            );
            errors.also(FieldError::invalid(message, &reference.field));
        }
    }
    errors
}

fn at_run_after(task: &PipelineTask, tasks: &BTreeSet<String>) -> FieldErrors {
    let unknown = task
        .run_after
        .iter()
        .enumerate()
        .filter(|(_, name)| !tasks.contains(*name));
    unknown
        .map(|(index, name)| {
            let message = format!(
                "task {} depends on {name} but {name} wasn't present in Pipeline",
                task.name
            );
            FieldError::invalid(message, &format!("runAfter[{index}]"))
        })
        .collect()
}

fn of_final_task(task: &PipelineTask, tasks: &BTreeSet<String>, finally: &BTreeSet<String>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for reference in references(task) {
        let what = if finally.contains(&reference.task) {
            format!("from another final task {}", reference.task)
        } else if tasks.contains(&reference.task) {
            continue;
        } else {
            format!(
                "from task {} which is not defined in the pipeline",
                reference.task
            )
        };
        let message = format!("invalid task result reference, final task has task result reference {what}");
        errors.also(FieldError::invalid(message, &reference.field));
    }
    errors
}

/// How tasks ended is known in `finally`, and of tasks that there are.
fn statuses(json: &Value, tasks: &BTreeSet<String>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for list in ["tasks", "finally"] {
        for (index, task) in super::variables::list(json, list).iter().enumerate() {
            let mut found = FieldErrors::default();
            each_variable(task, pipeline::TASK, &mut |variable, field| {
                let problem = match variable.path.as_slice() {
                    ["tasks", "status"] | ["tasks", _, "status" | "reason"] if list == "tasks" => {
                        format!("{variable} is known in finally only")
                    }
                    ["tasks", name, "status" | "reason"] if !tasks.contains(*name) => {
                        format!("pipeline task {name} is not defined in the pipeline")
                    }
                    _ => return,
                };
                found.also(FieldError::invalid(problem, field));
            });
            errors.also(found.via_field_index(list, index));
        }
    }
    errors
}

/// Results of a pipeline are made of those of its tasks.
fn results(json: &Value, tasks: &BTreeSet<String>, finally: &BTreeSet<String>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (list, names) in [("tasks", tasks), ("finally", finally)] {
        for reference in references_in(json, pipeline::RESULTS, list) {
            if !names.contains(&reference.task) {
                let message = format!("referencing a nonexistent task: {}", reference.task);
                errors.also(FieldError::invalid(message, &reference.field));
            }
        }
    }
    for (index, result) in super::variables::list(json, "results").iter().enumerate() {
        let mut has_variable = false;
        let one = serde_json::json!({"results": [result]});
        each_variable(&one, pipeline::RESULTS, &mut |variable, _| {
            has_variable |= matches!(variable.path.as_slice(), ["tasks" | "finally", _, "results", ..]);
        });
        if !has_variable && result.get("value").is_some_and(|value| !value.is_null()) {
            let message =
                "expected pipeline results to be task result expressions but no expressions were found";
            let error = FieldErrors::from(FieldError::invalid(message, "value"));
            errors.also(error.via_field_index("results", index));
        }
    }
    errors
}
