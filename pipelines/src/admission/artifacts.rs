//! Variables of artifacts where artifacts are off.

use crds::resource::tekton::Resource;
use crds::validation::{FieldError, FieldErrors};
use serde_json::Value;

use super::variables::list;
use crate::substitution::{Field, Variable, each_variable, pipeline, step_action, task};

/// Upstream's words.
const OFF: &str = "feature flag enable-artifacts should be set to true to use artifacts feature.";

/// What speaks of artifacts; to be asked only where the flag is off.
pub(super) fn problems(resource: Resource, object: &Value) -> FieldErrors {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    match resource {
        Resource::Task => of_fields(spec, &task::FIELDS),
        // Of its script only params are kept out.
        Resource::StepAction => of_fields(spec, &[step_action::FIELDS, &[Field::Text("script")]].concat()),
        Resource::TaskRun => embedded(spec, "taskSpec", |spec| of_fields(spec, &task::FIELDS)),
        Resource::Pipeline => of_pipeline(spec),
        Resource::PipelineRun => embedded(spec, "pipelineSpec", of_pipeline),
        _ => return FieldErrors::default(),
    }
    .via_field("spec")
}

fn embedded(holder: &Value, name: &str, check: impl Fn(&Value) -> FieldErrors) -> FieldErrors {
    let spec = holder.get(name).filter(|spec| spec.is_object());
    spec.map(|spec| check(spec).via_field(name)).unwrap_or_default()
}

fn of_pipeline(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for tasks in ["tasks", "finally"] {
        for (index, task) in list(spec, tasks).iter().enumerate() {
            let mut found = of_fields(task, pipeline::TASK);
            found.also(embedded(task, "taskSpec", |spec| of_fields(spec, &task::FIELDS)));
            errors.also(found.via_field_index(tasks, index));
        }
    }
    errors.also(of_fields(spec, pipeline::RESULTS));
    errors
}

fn of_fields(spec: &Value, fields: &[Field]) -> FieldErrors {
    let mut errors = FieldErrors::default();
    each_variable(spec, fields, &mut |variable, field| {
        if is_of_artifacts(variable) {
            errors.also(FieldError::new(OFF, field));
        }
    });
    errors
}

fn is_of_artifacts(variable: &Variable<'_>) -> bool {
    matches!(
        variable.path.as_slice(),
        ["artifacts", "path"]
            | ["step", "artifacts", "path"]
            // Those without a name are none to upstream's admission.
            | ["steps" | "tasks", _, "inputs" | "outputs", _, ..]
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_speaks_of_artifacts_is_told_with_its_field() {
        let task = |script: &str| json!({"steps": [{"image": "i", "script": script}]});
        let pipeline = |task: Value| json!({"tasks": [task]});
        for (resource, spec, field) in [
            (
                Resource::Task,
                task("> $(artifacts.path)"),
                Some("spec.steps[0].script"),
            ),
            (
                Resource::Task,
                task("> $(step.artifacts.path)"),
                Some("spec.steps[0].script"),
            ),
            (
                Resource::Task,
                task("$(steps.a.outputs.image)"),
                Some("spec.steps[0].script"),
            ),
            (
                Resource::Task,
                task("$(steps.a.results.image) $(params.inputs)"),
                None,
            ),
            (Resource::Task, task("$(steps.a.outputs)"), None),
            (
                Resource::StepAction,
                json!({"image": "i", "args": ["a"], "script": "$(step.artifacts.path)"}),
                Some("spec.script"),
            ),
            (
                Resource::TaskRun,
                json!({"taskSpec": task("$(artifacts.path)")}),
                Some("spec.taskSpec.steps[0].script"),
            ),
            (
                Resource::Pipeline,
                pipeline(json!({"params": [{"name": "p", "value": "$(tasks.a.outputs.image)"}]})),
                Some("spec.tasks[0].params[0].value"),
            ),
            (
                Resource::PipelineRun,
                json!({"pipelineSpec": pipeline(json!({"taskSpec": task("$(tasks.a.inputs.s)")}))}),
                Some("spec.pipelineSpec.tasks[0].taskSpec.steps[0].script"),
            ),
            (
                Resource::Pipeline,
                pipeline(json!({"taskSpec": task("echo")})),
                None,
            ),
        ] {
            let found = problems(resource, &json!({"spec": spec})).to_string();
            let expected = field.map_or(String::new(), |field| format!("{OFF}: {field}"));
            assert_eq!(found, expected, "{spec}");
        }
    }
}
