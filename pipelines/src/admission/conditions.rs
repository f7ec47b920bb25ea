//! Conditions in CEL that are no expressions.

use crds::resource::tekton::Resource;
use crds::validation::{FieldError, FieldErrors};
use serde_json::Value;

use super::variables::list;
use crate::cel;
use crate::substitution::with_literals;

/// What is wrong with the form of conditions; what variables stand for is not known yet.
pub(super) fn problems(resource: Resource, object: &Value) -> FieldErrors {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let mut errors = match resource {
        Resource::Task => of_task(spec),
        Resource::Pipeline => of_pipeline(spec),
        Resource::TaskRun => embedded(spec, "taskSpec", of_task),
        Resource::PipelineRun => embedded(spec, "pipelineSpec", of_pipeline),
        _ => return FieldErrors::default(),
    };
    let found = std::mem::take(&mut errors);
    found.via_field("spec")
}

fn embedded(holder: &Value, name: &str, check: fn(&Value) -> FieldErrors) -> FieldErrors {
    holder
        .get(name)
        .map(|spec| check(spec).via_field(name))
        .unwrap_or_default()
}

fn of_task(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (index, step) in list(spec, "steps").iter().enumerate() {
        errors.also(of_holder(step).via_field_index("steps", index));
    }
    errors
}

fn of_pipeline(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for tasks in ["tasks", "finally"] {
        for (index, task) in list(spec, tasks).iter().enumerate() {
            let mut found = of_holder(task);
            found.also(embedded(task, "taskSpec", of_task));
            errors.also(found.via_field_index(tasks, index));
        }
    }
    errors
}

fn of_holder(holder: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (index, condition) in list(holder, "when").iter().enumerate() {
        let expression = condition.get("cel").and_then(Value::as_str).unwrap_or_default();
        if expression.is_empty() {
            continue;
        }
        if let Err(error) = cel::check(&with_literals(expression)) {
            errors.also(FieldErrors::from(FieldError::invalid(error, "cel")).via_field_index("when", index));
        }
    }
    errors
}
