//! Runs of pipelines.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::Value;

use super::{
    DEPTH, FieldError, FieldErrors, duration, one_of, params, pipeline, references, task_run, workspaces,
};
use crate::resource::tekton::Context;
use crate::resource::{get, list, text};

pub(super) fn pipeline_run(spec: &Value, context: &Context<'_>) -> FieldErrors {
    let configs = context.configs;
    let mut errors = FieldErrors::from(references::exactly_one(spec, &["pipelineRef", "pipelineSpec"]));
    if let Some(reference) = get(spec, "pipelineRef") {
        errors.also(references::reference(reference, configs).via_field("pipelineRef"));
    }
    if let Some(inline) = get(spec, "pipelineSpec") {
        if configs.features.is_inline_disabled("pipelinerun") {
            errors.also(
                FieldError::disallowed("pipelineSpec")
                    .with_details("\"disable-inline-spec\" in feature-flags forbids it"),
            );
        }
        errors.also(
            pipeline::pipeline_of_run(inline, list(spec, "workspaces"), configs, DEPTH)
                .via_field("pipelineSpec"),
        );
    }
    errors.also(params::given(spec));
    errors.also(workspaces::bindings(spec));
    errors.also(one_of(
        spec,
        "status",
        &[
            "Cancelled",
            "CancelledRunFinally",
            "StoppedRunFinally",
            "PipelineRunPending",
        ],
    ));
    if let Some(given) = get(spec, "timeouts") {
        errors.also(timeouts(given, configs.defaults.timeout().0).via_field("timeouts"));
    }
    errors.also(task_run_specs(spec));
    errors
}

/// The parts fit into the whole, which is `default` if it is not given; zero is no limit.
fn timeouts(given: &Value, default: SignedDuration) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let mut read = |name: &str| match duration(given, name) {
        Ok(duration) => duration,
        Err(error) => {
            errors.also(error);
            None
        }
    };
    let (pipeline, tasks, finally) = (read("pipeline"), read("tasks"), read("finally"));
    let whole = pipeline.unwrap_or(default);
    if !errors.is_empty() || whole.is_zero() {
        return errors;
    }
    for (name, part) in [("tasks", tasks), ("finally", finally)] {
        let Some(part) = part else { continue };
        if part.is_zero() {
            errors.also(FieldError::invalid(
                "0s (no timeout) should be <= pipeline duration",
                name,
            ));
        } else if part > whole {
            let part = formats::duration::format(part);
            errors.also(FieldError::invalid(
                format_args!("{part} should be <= pipeline duration"),
                name,
            ));
        }
    }
    if let (true, Some(tasks), Some(finally)) = (errors.is_empty(), tasks, finally)
        && tasks.saturating_add(finally) > whole
    {
        let (tasks, finally) = (
            formats::duration::format(tasks),
            formats::duration::format(finally),
        );
        errors.also(FieldError {
            paths: vec!["finally".to_owned(), "tasks".to_owned()],
            ..FieldError::without_path(format!(
                "invalid value: {tasks} + {finally} should be <= pipeline duration"
            ))
        });
    }
    errors
}

fn task_run_specs(spec: &Value) -> FieldErrors {
    let mut seen = BTreeSet::new();
    let mut errors = FieldErrors::default();
    for (index, of_task) in list(spec, "taskRunSpecs").iter().enumerate() {
        let name = text(of_task, "pipelineTaskName");
        let mut found = task_run::resources(of_task);
        if name.is_empty() {
            found.also(FieldError::missing("pipelineTaskName"));
        } else if !seen.insert(name) {
            found.also(FieldError::multiple_one_of(&["pipelineTaskName"]));
        }
        found.also(duration(of_task, "timeout").err());
        errors.also(found.via_index(index));
    }
    errors.via_field("taskRunSpecs")
}
