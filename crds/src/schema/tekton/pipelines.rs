//! Pipelines and the tasks in them.

use serde_json::Value;

use super::super::build::*;
use super::tasks::task_spec;
use super::{
    declared_params, duration, given_params, pipeline_reference, run_metadata, task_reference, type_, when,
};

/// What a pipeline is, without what is around it.
pub(super) fn pipeline_spec() -> Value {
    let workspace = object([
        ("name", string()),
        ("description", string()),
        ("optional", described("May it stay unbound?", boolean())),
    ]);
    let result = object([
        ("name", string()),
        ("type", type_()),
        ("description", string()),
        (
            "value",
            super::value("The value, with references to results of tasks."),
        ),
    ]);
    object([
        ("displayName", described("A name for people.", string())),
        ("description", described("Words for people.", string())),
        ("params", declared_params()),
        (
            "tasks",
            described(
                "What runs, in an order that follows from what tasks need of each other.",
                list(pipeline_task()),
            ),
        ),
        (
            "workspaces",
            described("Directories that it is given.", list(workspace)),
        ),
        ("results", described("What comes out.", list(result))),
        (
            "finally",
            described("What runs at the end, however it went.", list(pipeline_task())),
        ),
    ])
}

fn pipeline_task() -> Value {
    let workspace = object([
        ("name", described("The task's name for it.", string())),
        (
            "workspace",
            described("The pipeline's name for it; absent: the same.", string()),
        ),
        (
            "subPath",
            described("Directory inside of it that the task gets.", string()),
        ),
    ]);
    let embedded = with_fields(
        task_spec(),
        [
            ("apiVersion", described("API version of a custom task.", string())),
            ("kind", described("Kind of a custom task.", string())),
            ("spec", described("Spec of a custom task.", anything())),
            ("metadata", run_metadata()),
        ],
    );
    object([
        ("name", string()),
        ("displayName", described("A name for people.", string())),
        ("description", described("Words for people.", string())),
        ("taskRef", task_reference("The task, elsewhere.")),
        ("taskSpec", described("The task, here.", embedded)),
        ("when", when()),
        ("retries", described("Attempts after the first one.", int64())),
        (
            "runAfter",
            described("Tasks that it comes after.", list(string())),
        ),
        ("params", given_params("What it is told.")),
        ("matrix", matrix()),
        (
            "workspaces",
            described("Directories that it is given.", list(workspace)),
        ),
        ("timeout", duration("How long it may take.")),
        (
            "onError",
            described("What its failure means: stopAndFail or continue.", string()),
        ),
        ("pipelineRef", pipeline_reference()),
        // A schema cannot be recursive; admission looks inside.
        ("pipelineSpec", described("A pipeline, here.", anything())),
    ])
}

fn matrix() -> Value {
    let include = object([("name", string()), ("params", given_params("Its values."))]);
    described(
        "Values of which each combination is a run of its own.",
        object([
            ("params", given_params("Lists of values.")),
            (
                "include",
                described("Combinations that get more params, or are added.", list(include)),
            ),
        ]),
    )
}

pub(in super::super) fn pipeline() -> Value {
    resource(
        "Tasks in an order that follows from what they need of each other.",
        pipeline_spec(),
        None,
    )
}
