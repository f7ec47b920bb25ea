//! What tasks, pipelines and their runs get where they say nothing.

use formats::quantity::Quantity;
use serde_json::{Map, Value, json};

use super::{is_absent, list_in, map_in, object_at, set_text};
use crate::config::tekton::Defaults;

use crate::resource::tekton::{Context, Resource};
use crate::tekton::{ParamValue, TaskRef, labels};

/// Fills in the defaults of an object.
pub fn apply(resource: Resource, object: &mut Value, context: &Context<'_>) {
    // An update of the status keeps the rest as it is stored, whatever is sent.
    if !object.is_object() || context.status_only {
        return;
    }
    let defaults = &context.configs.defaults;
    if resource == Resource::TaskRun
        && let Some(meta) = object_at(object, "metadata")
        && let Some(marks) = map_in(meta, "labels")
    {
        set_text(Some(marks), labels::MANAGED_BY, &defaults.managed_by_label_value);
    }
    let Some(spec) = object_at(object, "spec") else {
        return;
    };
    match resource {
        Resource::Task => task_spec(spec, defaults),
        Resource::TaskRun => task_run(spec, defaults),
        Resource::Pipeline => pipeline_spec(spec, defaults, DEPTH),
        Resource::PipelineRun => pipeline_run(spec, defaults),
        Resource::StepAction => {
            params(spec);
            results(spec);
        }
        Resource::CustomRun => {
            set_text(Some(spec), "serviceAccountName", &defaults.service_account);
        }
        Resource::ResolutionRequest => {}
    }
    amounts(spec);
}

/// Pipelines inside of pipelines that are looked into.
const DEPTH: usize = 10;

fn task_run(spec: &mut Map<String, Value>, defaults: &Defaults) {
    task_reference(spec, "taskRef", defaults);
    if is_absent(spec, "timeout") {
        spec.insert("timeout".to_owned(), json!(defaults.timeout()));
    }
    set_text(Some(spec), "serviceAccountName", &defaults.service_account);
    if is_absent(spec, "podTemplate")
        && let Some(template) = defaults.pod_template.as_ref().and_then(json_of)
    {
        spec.insert("podTemplate".to_owned(), template);
    }
    if let Some(task) = spec.get_mut("taskSpec").and_then(Value::as_object_mut) {
        task_spec(task, defaults);
    }
}

fn pipeline_run(spec: &mut Map<String, Value>, defaults: &Defaults) {
    resolver(spec, "pipelineRef", defaults);
    if let Some(timeouts) = map_in(spec, "timeouts")
        && is_absent(timeouts, "pipeline")
    {
        timeouts.insert("pipeline".to_owned(), json!(defaults.timeout()));
    }
    if let Some(template) = map_in(spec, "taskRunTemplate") {
        set_text(Some(template), "serviceAccountName", &defaults.service_account);
        if is_absent(template, "podTemplate")
            && let Some(pod) = defaults.pod_template.as_ref().and_then(json_of)
        {
            template.insert("podTemplate".to_owned(), pod);
        }
    }
    if let Some(pipeline) = spec.get_mut("pipelineSpec").and_then(Value::as_object_mut) {
        pipeline_spec(pipeline, defaults, DEPTH);
    }
}

fn pipeline_spec(spec: &mut Map<String, Value>, defaults: &Defaults, depth: usize) {
    params(spec);
    for name in ["tasks", "finally"] {
        for task in list_in(spec, name) {
            if let Some(task) = task.as_object_mut() {
                pipeline_task(task, defaults, depth);
            }
        }
    }
}

fn pipeline_task(task: &mut Map<String, Value>, defaults: &Defaults, depth: usize) {
    task_reference(task, "taskRef", defaults);
    resolver(task, "pipelineRef", defaults);
    if let Some(spec) = task.get_mut("taskSpec").and_then(Value::as_object_mut) {
        task_spec(spec, defaults);
    }
    if depth > 0
        && let Some(spec) = task.get_mut("pipelineSpec").and_then(Value::as_object_mut)
    {
        pipeline_spec(spec, defaults, depth - 1);
    }
}

fn task_spec(spec: &mut Map<String, Value>, defaults: &Defaults) {
    params(spec);
    results(spec);
    for step in list_in(spec, "steps") {
        if let Some(step) = step.as_object_mut() {
            resolver(step, "ref", defaults);
            results(step);
        }
    }
}

/// A reference that says nothing of a kind means a Task, unless a resolver finds it.
fn task_reference(holder: &mut Map<String, Value>, name: &str, defaults: &Defaults) {
    resolver(holder, name, defaults);
    if let Some(reference) = holder.get_mut(name).and_then(Value::as_object_mut) {
        let typed: TaskRef = serde_json::from_value(Value::Object(reference.clone())).unwrap_or_default();
        if typed.resolver.is_empty() && !typed.name.is_empty() {
            set_text(Some(reference), "kind", "Task");
        }
    }
}

/// A reference without a name needs a resolver.
fn resolver(holder: &mut Map<String, Value>, name: &str, defaults: &Defaults) {
    if defaults.resolver_type.is_empty() {
        return;
    }
    if let Some(reference) = holder.get_mut(name).and_then(Value::as_object_mut) {
        let named = reference
            .get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| !name.is_empty());
        if !named {
            set_text(Some(reference), "resolver", &defaults.resolver_type);
        }
    }
}

/// The types of params: `object` with properties, else that of the default, else `string`.
fn params(spec: &mut Map<String, Value>) {
    for param in list_in(spec, "params") {
        let Some(param) = param.as_object_mut() else {
            continue;
        };
        let has_properties = param
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|map| !map.is_empty());
        let default = param.get("default").filter(|value| !value.is_null());
        let type_ = match default {
            _ if has_properties => "object",
            Some(default) => ParamValue::from_json(default).type_().as_str(),
            None => "string",
        };
        set_text(Some(param), "type", type_);
        properties(param);
    }
}

/// The types of results: `object` with properties, else `string`.
fn results(spec: &mut Map<String, Value>) {
    for result in list_in(spec, "results") {
        let Some(result) = result.as_object_mut() else {
            continue;
        };
        let has_properties = result
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|map| !map.is_empty());
        set_text(
            Some(result),
            "type",
            if has_properties { "object" } else { "string" },
        );
        properties(result);
    }
}

fn properties(holder: &mut Map<String, Value>) {
    let properties = holder.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flatten().map(|(_, property)| property) {
        if property.is_null() {
            *property = json!({});
        }
        set_text(property.as_object_mut(), "type", "string");
    }
}

/// Amounts that were written as numbers (`cpu: 1`) become texts, as which they are read everywhere.
fn amounts(spec: &mut Map<String, Value>) {
    for (name, value) in spec {
        match value {
            Value::Object(inner) if matches!(name.as_str(), "limits" | "requests") => {
                for amount in inner.values_mut() {
                    if amount.is_number() && amount.to_string().parse::<Quantity>().is_ok() {
                        *amount = Value::String(amount.to_string());
                    }
                }
            }
            // What is given to params is nobody's amount.
            _ if matches!(name.as_str(), "params" | "matrix") => {}
            Value::Object(inner) => amounts(inner),
            Value::Array(entries) => entries
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(amounts),
            _ => {}
        }
    }
}

fn json_of(value: &impl serde::Serialize) -> Option<Value> {
    serde_json::to_value(value).ok()
}

#[cfg(test)]
mod tests;
