//! What v1beta1 called otherwise.
//!
//! Both versions are stored as v1. An API server turns one into the other by the name of the version alone, so the few
//! fields with other names get those of v1 when they are written; who reads v1beta1 finds the names of v1.

use serde_json::{Map, Value, json};

use crate::resource::tekton::Resource;

/// The version.
pub const VERSION: &str = "v1beta1";

/// Gives the fields of a v1beta1 object the names of v1. A field that has its new name already stays as it is.
pub fn upgrade(resource: Resource, object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    match resource {
        Resource::Task => task(spec),
        Resource::TaskRun => task_run(spec),
        Resource::Pipeline => pipeline(spec),
        Resource::PipelineRun => pipeline_run(spec),
        Resource::StepAction | Resource::CustomRun | Resource::ResolutionRequest => {}
    }
}

type Fields = Map<String, Value>;

fn task(spec: &mut Fields) {
    for list in ["steps", "sidecars"] {
        each(spec, list, |container| {
            rename(container, "resources", "computeResources")
        });
    }
    within(spec, "stepTemplate", |template| {
        rename(template, "resources", "computeResources");
    });
}

fn task_run(spec: &mut Fields) {
    overrides(spec);
    within(spec, "taskRef", |reference| bundle(reference, "task"));
    within(spec, "taskSpec", task);
}

fn pipeline(spec: &mut Fields) {
    for list in ["tasks", "finally"] {
        each(spec, list, |of_pipeline| {
            within(of_pipeline, "taskRef", |reference| bundle(reference, "task"));
            within(of_pipeline, "taskSpec", task);
        });
    }
}

fn pipeline_run(spec: &mut Fields) {
    within(spec, "pipelineRef", |reference| bundle(reference, "pipeline"));
    within(spec, "pipelineSpec", pipeline);
    into(
        spec,
        "serviceAccountName",
        "taskRunTemplate",
        "serviceAccountName",
    );
    into(spec, "podTemplate", "taskRunTemplate", "podTemplate");
    into(spec, "timeout", "timeouts", "pipeline");
    each(spec, "taskRunSpecs", |of_task| {
        rename(of_task, "taskServiceAccountName", "serviceAccountName");
        rename(of_task, "taskPodTemplate", "podTemplate");
        overrides(of_task);
    });
}

fn overrides(holder: &mut Fields) {
    for (old, new) in [
        ("stepOverrides", "stepSpecs"),
        ("sidecarOverrides", "sidecarSpecs"),
    ] {
        rename(holder, old, new);
        each(holder, new, |of_container| {
            rename(of_container, "resources", "computeResources");
        });
    }
}

/// A reference into an image, as the resolver is told it.
fn bundle(reference: &mut Fields, kind: &str) {
    if reference.contains_key("resolver") {
        return;
    }
    let Some(Value::String(image)) = reference.remove("bundle") else {
        return;
    };
    if image.is_empty() {
        return;
    }
    let name = reference.remove("name").unwrap_or(Value::Null);
    reference.remove("kind");
    reference.insert("resolver".to_owned(), json!("bundles"));
    let params = [("bundle", json!(image)), ("name", name), ("kind", json!(kind))];
    let params = params.map(|(name, value)| json!({"name": name, "value": value}));
    reference.insert("params".to_owned(), json!(params));
}

fn rename(holder: &mut Fields, old: &str, new: &str) {
    if !holder.contains_key(new)
        && let Some(value) = holder.remove(old)
    {
        holder.insert(new.to_owned(), value);
    }
}

/// Moves a field into an object beside it.
fn into(holder: &mut Fields, old: &str, object: &str, new: &str) {
    let there = holder.get(object).is_some_and(|found| found.get(new).is_some());
    if there || holder.get(object).is_some_and(|found| !found.is_object()) {
        return;
    }
    if let Some(value) = holder.remove(old) {
        let object = holder.entry(object).or_insert_with(|| json!({}));
        if let Some(object) = object.as_object_mut() {
            object.insert(new.to_owned(), value);
        }
    }
}

fn within(holder: &mut Fields, name: &str, change: impl FnOnce(&mut Fields)) {
    if let Some(found) = holder.get_mut(name).and_then(Value::as_object_mut) {
        change(found);
    }
}

fn each(holder: &mut Fields, list: &str, change: impl Fn(&mut Fields)) {
    let elements = holder.get_mut(list).and_then(Value::as_array_mut);
    elements
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
        .for_each(change);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_get_their_new_names() {
        let limits = json!({"limits": {"cpu": "1"}});
        let old_task = json!({
            "steps": [{"image": "i", "resources": limits}], "sidecars": [{"resources": limits}],
            "stepTemplate": {"resources": limits},
        });
        let new_task = json!({
            "steps": [{"image": "i", "computeResources": limits}], "sidecars": [{"computeResources": limits}],
            "stepTemplate": {"computeResources": limits},
        });
        let bundle = |kind: &str| {
            json!({"resolver": "bundles", "params": [
                {"name": "bundle", "value": "b"}, {"name": "name", "value": "n"}, {"name": "kind", "value": kind},
            ]})
        };
        let old_pipeline = json!({
            "tasks": [{"name": "a", "taskRef": {"name": "n", "kind": "Task", "bundle": "b"}}],
            "finally": [{"name": "z", "taskSpec": old_task}],
        });
        let new_pipeline = json!({
            "tasks": [{"name": "a", "taskRef": bundle("task")}], "finally": [{"name": "z", "taskSpec": new_task}],
        });
        for (resource, old, new) in [
            (Resource::Task, old_task.clone(), new_task.clone()),
            (
                Resource::TaskRun,
                json!({
                    "taskSpec": old_task, "timeout": "1m", "stepOverrides": [{"name": "s", "resources": limits}],
                    "sidecarOverrides": [{"name": "s", "resources": limits}],
                }),
                json!({
                    "taskSpec": new_task, "timeout": "1m", "stepSpecs": [{"name": "s", "computeResources": limits}],
                    "sidecarSpecs": [{"name": "s", "computeResources": limits}],
                }),
            ),
            (Resource::Pipeline, old_pipeline.clone(), new_pipeline.clone()),
            (
                Resource::PipelineRun,
                json!({
                    "pipelineSpec": old_pipeline, "serviceAccountName": "s", "podTemplate": {"nodeSelector": {"a": "b"}},
                    "timeout": "5m", "timeouts": {"finally": "1m"},
                    "taskRunSpecs": [{
                        "pipelineTaskName": "a", "taskServiceAccountName": "t", "taskPodTemplate": {},
                        "stepOverrides": [{"name": "s", "resources": limits}],
                    }],
                }),
                json!({
                    "pipelineSpec": new_pipeline,
                    "taskRunTemplate": {"serviceAccountName": "s", "podTemplate": {"nodeSelector": {"a": "b"}}},
                    "timeouts": {"finally": "1m", "pipeline": "5m"},
                    "taskRunSpecs": [{
                        "pipelineTaskName": "a", "serviceAccountName": "t", "podTemplate": {},
                        "stepSpecs": [{"name": "s", "computeResources": limits}],
                    }],
                }),
            ),
            (
                Resource::PipelineRun,
                json!({"pipelineRef": {"name": "n", "bundle": "b"}}),
                json!({"pipelineRef": bundle("pipeline")}),
            ),
            (
                Resource::PipelineRun,
                json!({"timeout": "5m", "timeouts": {"pipeline": "1m"}, "pipelineRef": {"name": "n", "bundle": ""}}),
                json!({"timeout": "5m", "timeouts": {"pipeline": "1m"}, "pipelineRef": {"name": "n"}}),
            ),
        ] {
            let mut object = json!({"apiVersion": "tekton.dev/v1beta1", "spec": old});
            upgrade(resource, &mut object);
            assert_eq!(object["spec"], new, "{resource:?}");
            upgrade(resource, &mut object);
            assert_eq!(object["spec"], new, "{resource:?} twice");
        }
    }

    #[test]
    fn what_is_no_object_stays() {
        for spec in [
            json!(null),
            json!(1),
            json!({"steps": 1, "tasks": [1], "taskRef": [], "timeouts": 3, "timeout": 1}),
        ] {
            for resource in Resource::ALL {
                let mut object = json!({ "spec": spec });
                upgrade(*resource, &mut object);
                assert_eq!(object["spec"], spec);
            }
        }
    }
}
