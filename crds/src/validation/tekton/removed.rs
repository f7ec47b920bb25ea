//! Fields that there once were. Who uses them is told what to use instead.

use serde_json::Value;

use super::{FieldError, FieldErrors};
use crate::resource::tekton::Resource;
use crate::resource::{field, get, list};

/// A field that is gone, and what is used instead.
type Gone = (&'static str, &'static str);

const TASK: &[Gone] = &[
    (
        "inputs",
        "use spec.params, and spec.workspaces for what a PipelineResource brought",
    ),
    (
        "outputs",
        "use spec.results, and spec.workspaces for what a PipelineResource took",
    ),
    (
        "resources",
        "PipelineResources were removed: use params, results and workspaces",
    ),
];
const STEP: &[Gone] = &[("resources", "use computeResources")];
const PIPELINE: &[Gone] = &[(
    "resources",
    "PipelineResources were removed: use params, results and workspaces",
)];
const PIPELINE_TASK: &[Gone] = &[
    (
        "resources",
        "PipelineResources were removed: use params, results and workspaces",
    ),
    ("conditions", "use when"),
];
const REFERENCE: &[Gone] = &[("bundle", "use the resolver bundles")];
const TASK_RUN: &[Gone] = &[
    ("inputs", "use spec.params and spec.workspaces"),
    ("outputs", "use spec.workspaces"),
    (
        "resources",
        "PipelineResources were removed: use params and workspaces",
    ),
    ("stepOverrides", "use stepSpecs"),
    ("sidecarOverrides", "use sidecarSpecs"),
];
const PIPELINE_RUN: &[Gone] = &[
    (
        "resources",
        "PipelineResources were removed: use params and workspaces",
    ),
    ("serviceAccountName", "use taskRunTemplate.serviceAccountName"),
    ("serviceAccountNames", "use taskRunSpecs[].serviceAccountName"),
    ("podTemplate", "use taskRunTemplate.podTemplate"),
    ("timeout", "use timeouts.pipeline"),
];
const TASK_RUN_SPEC: &[Gone] = &[
    ("taskServiceAccountName", "use serviceAccountName"),
    ("taskPodTemplate", "use podTemplate"),
    ("stepOverrides", "use stepSpecs"),
    ("sidecarOverrides", "use sidecarSpecs"),
];

/// Variables that are gone. `$(inputs.params.…)` is still known.
const VARIABLES: [&str; 2] = ["$(inputs.resources.", "$(outputs.resources."];

/// Complains about fields and variables of a spec that were removed, and says what to use instead.
pub fn removed(resource: Resource, object: &Value) -> FieldErrors {
    let spec = field(object, "spec");
    let found = match resource {
        Resource::Task => task(spec),
        Resource::TaskRun => {
            let mut errors = gone(spec, TASK_RUN);
            errors.also(gone(field(spec, "taskRef"), REFERENCE).via_field("taskRef"));
            errors.also(task(field(spec, "taskSpec")).via_field("taskSpec"));
            errors
        }
        Resource::Pipeline => pipeline(spec),
        Resource::PipelineRun => {
            let mut errors = gone(spec, PIPELINE_RUN);
            errors.also(gone(field(spec, "pipelineRef"), REFERENCE).via_field("pipelineRef"));
            for (index, of_task) in list(spec, "taskRunSpecs").iter().enumerate() {
                errors.also(gone(of_task, TASK_RUN_SPEC).via_field_index("taskRunSpecs", index));
            }
            errors.also(pipeline(field(spec, "pipelineSpec")).via_field("pipelineSpec"));
            errors
        }
        Resource::StepAction | Resource::CustomRun | Resource::ResolutionRequest => FieldErrors::default(),
    };
    found.via_field("spec")
}

fn gone(holder: &Value, fields: &[Gone]) -> FieldErrors {
    fields
        .iter()
        .filter(|(name, _)| get(holder, name).is_some())
        .map(|(name, instead)| {
            FieldError::disallowed(name).with_details(format!("{name} was removed: {instead}"))
        })
        .collect()
}

fn task(spec: &Value) -> FieldErrors {
    let mut errors = gone(spec, TASK);
    for name in ["steps", "sidecars"] {
        for (index, container) in list(spec, name).iter().enumerate() {
            let mut found = gone(container, STEP);
            found.also(variables(container, ""));
            errors.also(found.via_field_index(name, index));
        }
    }
    errors
}

fn pipeline(spec: &Value) -> FieldErrors {
    let mut errors = gone(spec, PIPELINE);
    for name in ["tasks", "finally"] {
        for (index, value) in list(spec, name).iter().enumerate() {
            let mut found = gone(value, PIPELINE_TASK);
            found.also(gone(field(value, "taskRef"), REFERENCE).via_field("taskRef"));
            found.also(task(field(value, "taskSpec")).via_field("taskSpec"));
            errors.also(found.via_field_index(name, index));
        }
    }
    errors
}

fn variables(value: &Value, path: &str) -> FieldErrors {
    match value {
        Value::String(text) => VARIABLES
            .iter()
            .filter(|variable| text.contains(**variable))
            .map(|variable| {
                FieldError::new(format!("variable {variable}…) was removed"), path)
                    .with_details("PipelineResources were removed: use $(params.…), $(workspaces.….path) or $(results.….path)")
            })
            .collect(),
        Value::Array(entries) => {
            let mut errors = FieldErrors::default();
            for (index, entry) in entries.iter().enumerate() {
                errors.also(variables(entry, "").via_index(index).via_field(path));
            }
            errors
        }
        Value::Object(fields) => {
            let mut errors = FieldErrors::default();
            for (name, field) in fields {
                let found = variables(field, name);
                errors.also(if path.is_empty() { found } else { found.via_field(path) });
            }
            errors
        }
        _ => FieldErrors::default(),
    }
}
