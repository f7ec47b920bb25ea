//! Pipelines.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    FieldError, FieldErrors, duration, on_error, params, references, results, retries, task, unique_names,
    when,
};
use crate::config::tekton::Configs;
use crate::dns;
use crate::resource::{field, get, is_unset, list, text};

mod matrix;

/// What a task of a pipeline can be.
const KINDS: [&str; 4] = ["taskRef", "taskSpec", "pipelineRef", "pipelineSpec"];

/// Checks the spec of a pipeline; the paths begin below it. `depth` is how many more may be nested in it.
pub(super) fn pipeline_spec(spec: &Value, configs: &Configs, depth: usize) -> FieldErrors {
    pipeline_of_run(spec, &[], configs, depth)
}

/// The same in a run, whose workspaces its tasks may use without the pipeline declaring them.
pub(super) fn pipeline_of_run(
    spec: &Value,
    workspaces_of_run: &[Value],
    configs: &Configs,
    depth: usize,
) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let (tasks, finally) = (list(spec, "tasks"), list(spec, "finally"));
    if tasks.is_empty() {
        errors.also(FieldError::missing("tasks"));
        if !finally.is_empty() {
            let message = format!("spec.tasks is empty but spec.finally has {} tasks", finally.len());
            errors.also(FieldError::invalid(message, "finally"));
        }
    }
    errors.also(params::declared(spec, configs));
    errors.also(unique_names(list(spec, "workspaces")).via_field("workspaces"));
    errors.also(task_names(tasks, finally));
    let declared = list(spec, "workspaces").iter().chain(workspaces_of_run);
    let declared: BTreeSet<&str> = declared.map(|workspace| text(workspace, "name")).collect();
    for (name, tasks) in [("tasks", tasks), ("finally", finally)] {
        for (index, value) in tasks.iter().enumerate() {
            let mut found = pipeline_task(value, configs, depth);
            found.also(workspaces(value, &declared));
            errors.also(found.via_field_index(name, index));
        }
    }
    for (index, value) in finally
        .iter()
        .enumerate()
        .filter(|(_, task)| !list(task, "runAfter").is_empty())
    {
        let name = text(value, "name");
        let message =
            format!("no runAfter allowed under spec.finally, final task {name} has runAfter specified");
        errors.also(
            FieldErrors::from(FieldError::invalid(message, "runAfter")).via_field_index("finally", index),
        );
    }
    errors.also(pipeline_results(spec));
    errors
}

/// Names of tasks are unique, in `finally` too: runs are named after them.
fn task_names(tasks: &[Value], finally: &[Value]) -> FieldErrors {
    let mut seen = BTreeSet::new();
    let mut errors = FieldErrors::default();
    for (list, tasks) in [("tasks", tasks), ("finally", finally)] {
        for (index, task) in tasks.iter().enumerate() {
            let name = text(task, "name");
            let error = if name.is_empty() {
                Some(FieldError::missing("name"))
            } else if !dns::label_1123(name).is_empty() {
                Some(
                    FieldError::invalid(format_args!("{name:?}"), "name")
                        .with_details(dns::label_1123(name).join(", ")),
                )
            } else if seen.insert(name) {
                None
            } else {
                Some(FieldError::multiple_one_of(&["name"]))
            };
            errors.also(FieldErrors::from(error).via_field_index(list, index));
        }
    }
    errors
}

fn pipeline_task(value: &Value, configs: &Configs, depth: usize) -> FieldErrors {
    let mut errors = FieldErrors::from(references::exactly_one(value, &KINDS));
    if let Some(reference) = get(value, "taskRef") {
        errors.also(references::task(reference, configs).via_field("taskRef"));
    }
    if let Some(spec) = get(value, "taskSpec") {
        errors.also(embedded(spec, configs).via_field("taskSpec"));
    }
    for name in ["pipelineRef", "pipelineSpec"] {
        errors.also(super::alpha(value, name, configs));
    }
    if let Some(reference) = get(value, "pipelineRef") {
        errors.also(references::reference(reference, configs).via_field("pipelineRef"));
    }
    if let Some(spec) = get(value, "pipelineSpec") {
        let found = match depth.checked_sub(1) {
            Some(depth) => pipeline_spec(spec, configs, depth),
            None => FieldError::invalid("pipelines are nested too deeply", "").into(),
        };
        errors.also(found.via_field("pipelineSpec"));
    }
    errors.also(params::given(value));
    errors.also(matrix::matrix(value, configs));
    errors.also(when::expressions(value, configs));
    errors.also(retries(value));
    errors.also(duration(value, "timeout").err());
    errors.also(on_error(value));
    let retried = value.get("retries").is_some_and(|retries| !is_unset(retries));
    if text(value, "onError") == "continue" && retried {
        errors.also(FieldError::new(
            "PipelineTask OnError cannot be set to \"continue\" when Retries is greater than 0",
            "onError",
        ));
    }
    errors
}

/// A task that is written into the pipeline, ours or a custom one.
fn embedded(spec: &Value, configs: &Configs) -> FieldErrors {
    let (version, kind) = (text(spec, "apiVersion"), text(spec, "kind"));
    match (version.is_empty(), kind.is_empty()) {
        (true, true) if get(spec, "spec").is_some() => FieldError::disallowed("spec")
            .with_details("only custom tasks, with apiVersion and kind, have a spec")
            .into(),
        (true, true) => task::task_spec(spec, configs),
        (false, false) => ["steps", "stepTemplate", "sidecars", "volumes"]
            .into_iter()
            .filter(|name| get(spec, name).is_some_and(|field| !is_unset(field)))
            .map(|name| FieldError::disallowed(name).with_details("custom tasks have a spec instead"))
            .collect(),
        (true, false) => FieldError::missing("apiVersion").into(),
        (false, true) => FieldError::missing("kind").into(),
    }
}

/// Workspaces of a task are among those that are declared.
fn workspaces(task: &Value, declared: &BTreeSet<&str>) -> FieldErrors {
    let given = list(task, "workspaces");
    let mut errors = unique_names(given);
    for (index, binding) in given.iter().enumerate() {
        let (name, workspace) = (text(binding, "name"), text(binding, "workspace"));
        let wanted = if workspace.is_empty() { name } else { workspace };
        if !wanted.is_empty() && !declared.contains(wanted) {
            let message = format!(
                "pipeline task {:?} expects workspace with name {wanted:?} but none exists in pipeline spec",
                text(task, "name")
            );
            errors.also(FieldError::invalid(message, "").via_index(index));
        }
    }
    errors.via_field("workspaces")
}

fn pipeline_results(spec: &Value) -> FieldErrors {
    let declared = list(spec, "results");
    let mut errors = FieldErrors::default();
    let mut seen = BTreeSet::new();
    for (index, result) in declared.iter().enumerate() {
        let name = text(result, "name");
        let mut found = FieldErrors::from(results::name_problem(name));
        if !name.is_empty() && !seen.insert(name) {
            found.also(FieldError::multiple_one_of(&["name"]));
        }
        let type_ = text(result, "type");
        if !type_.is_empty() && !params::TYPES.contains(&type_) {
            found.also(FieldError::invalid(type_, "type").with_details(params::one_of_types()));
        }
        if is_unset(field(result, "value")) {
            found.also(FieldError::missing("value"));
        }
        errors.also(found.via_index(index));
    }
    errors.via_field("results")
}
