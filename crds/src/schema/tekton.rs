//! Schemas of `tekton.dev` and `resolution.tekton.dev`.
//!
//! What Kubernetes defines (environments, volumes, probes) is an object of any shape here; admission reads it by its
//! type and tells what is wrong with it.

mod pipelines;
mod runs;
mod tasks;

use serde_json::{Value, json};

use super::build::*;

pub(super) use pipelines::pipeline;
pub(super) use runs::{custom_run, param_map, pipeline_run, resolution_request, task_run};
pub(super) use tasks::{step_action, task};

/// The value of a param: a text, a list or a map; also a number or whatever else, which is taken for its text.
fn value(description: &str) -> Value {
    described(description, json!({"x-kubernetes-preserve-unknown-fields": true}))
}

fn type_() -> Value {
    described("string, array or object.", string())
}

fn properties() -> Value {
    described(
        "The keys of an object.",
        map_of(object([(
            "type",
            described("Only string is possible.", string()),
        )])),
    )
}

/// Params that are declared.
fn declared_params() -> Value {
    described(
        "What it may be told.",
        list(object([
            ("name", string()),
            ("type", type_()),
            ("description", string()),
            ("properties", properties()),
            (
                "default",
                value("The value when none is given; without it the param must be given."),
            ),
            (
                "enum",
                described("The only values that may be given.", list(string())),
            ),
        ])),
    )
}

/// Params that are given.
fn given_params(description: &str) -> Value {
    described(
        description,
        list(object([
            ("name", string()),
            ("value", value("A text, a list of texts, or a map of texts.")),
        ])),
    )
}

/// What a reference to something elsewhere has, beside `fields`.
fn reference<const N: usize>(description: &str, fields: [(&str, Value); N]) -> Value {
    let common = object([
        ("name", described("Name in the cluster.", string())),
        (
            "resolver",
            described("Who finds it, if it is not in the cluster.", string()),
        ),
        ("params", given_params("What the resolver is told.")),
    ]);
    described(description, with_fields(common, fields))
}

fn task_reference(description: &str) -> Value {
    reference(description, [("kind", string()), ("apiVersion", string())])
}

fn pipeline_reference() -> Value {
    reference("The pipeline, elsewhere.", [("apiVersion", string())])
}

fn when() -> Value {
    described(
        "Conditions without which it is skipped.",
        list(object([
            ("input", described("What is looked for.", string())),
            (
                "operator",
                described("in or notin: whether it has to be there.", string()),
            ),
            ("values", described("Where it is looked for.", list(string()))),
            ("cel", described("An expression in CEL, instead.", string())),
        ])),
    )
}

/// A duration as Go writes it.
fn duration(description: &str) -> Value {
    described(description, string())
}

/// Labels and annotations of a run.
fn run_metadata() -> Value {
    described(
        "Labels and annotations of the run.",
        object([("labels", string_map()), ("annotations", string_map())]),
    )
}
