//! Runs of tasks and pipelines, and questions to resolvers.

use serde_json::Value;

use super::super::build::*;
use super::super::status::status;
use super::pipelines::pipeline_spec;
use super::tasks::task_spec;
use super::{duration, given_params, pipeline_reference, run_metadata, task_reference, value, when};

fn workspace_bindings() -> Value {
    described(
        "Directories that it is given: exactly one volume each.",
        list(object([
            ("name", string()),
            ("subPath", described("Directory inside of the volume.", string())),
            (
                "volumeClaimTemplate",
                described("A claim that is made for the run.", anything()),
            ),
            ("persistentVolumeClaim", anything()),
            ("emptyDir", anything()),
            ("configMap", anything()),
            ("secret", anything()),
            ("projected", anything()),
            ("csi", anything()),
        ])),
    )
}

fn pod_template() -> Value {
    described("Fields of the pods.", anything())
}

/// What containers need, by their names.
fn resources_by_name(description: &str) -> Value {
    described(
        description,
        list(object([("name", string()), ("computeResources", anything())])),
    )
}

fn managed_by() -> Value {
    described(
        "The controller whose run it is; absent: tekton.dev/pipeline.",
        string(),
    )
}

fn provenance() -> Value {
    described(
        "Where the spec came from, and the flags when the run started.",
        object([("refSource", ref_source()), ("featureFlags", anything())]),
    )
}

fn ref_source() -> Value {
    object([
        ("uri", string()),
        ("digest", string_map()),
        ("entryPoint", string()),
    ])
}

fn results() -> Value {
    described(
        "What came out.",
        list(object([
            ("name", string()),
            ("type", string()),
            ("value", value("The value.")),
        ])),
    )
}

/// When a run started and ended, beside `fields`.
fn run_status<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let times = status([
        ("startTime", described("When it started.", string())),
        ("completionTime", described("When it ended.", string())),
    ]);
    with_fields(times, fields)
}

pub(in super::super) fn task_run() -> Value {
    let breakpoints = object([("onFailure", string()), ("beforeSteps", list(string()))]);
    let spec = object([
        (
            "debug",
            described(
                "Where it stops for people to look.",
                object([("breakpoints", breakpoints)]),
            ),
        ),
        ("params", given_params("What the task is told.")),
        (
            "serviceAccountName",
            described("Who the pod is; default if absent.", string()),
        ),
        ("taskRef", task_reference("The task, elsewhere.")),
        ("taskSpec", described("The task, here.", task_spec())),
        (
            "status",
            described(
                "What a person wants of the run: TaskRunCancelled or TaskRunPending.",
                string(),
            ),
        ),
        ("statusMessage", described("Why.", string())),
        ("retries", described("Attempts after the first one.", int64())),
        (
            "timeout",
            duration("How long an attempt may take; 0s: as long as it likes."),
        ),
        ("podTemplate", pod_template()),
        ("workspaces", workspace_bindings()),
        ("stepSpecs", resources_by_name("What single steps need.")),
        ("sidecarSpecs", resources_by_name("What single sidecars need.")),
        (
            "computeResources",
            described("What all steps together need.", anything()),
        ),
        ("managedBy", managed_by()),
    ]);
    let observed = run_status([
        ("podName", string()),
        ("steps", described("The steps, in order.", list(anything()))),
        ("sidecars", described("The sidecars.", list(anything()))),
        (
            "retriesStatus",
            described("The attempts before the present one.", list(anything())),
        ),
        ("results", results()),
        ("artifacts", anything()),
        (
            "taskSpec",
            described(
                "The task as it was found, with its variables replaced.",
                anything(),
            ),
        ),
        ("provenance", provenance()),
        ("spanContext", string_map()),
    ]);
    resource("One run of a task.", spec, Some(observed))
}

pub(in super::super) fn pipeline_run() -> Value {
    let timeouts = object([
        ("pipeline", duration("In all; 0s: as long as it likes.")),
        ("tasks", duration("Its tasks.")),
        ("finally", duration("Its tasks of finally.")),
    ]);
    let of_task = object([
        ("pipelineTaskName", string()),
        ("serviceAccountName", string()),
        ("podTemplate", pod_template()),
        ("stepSpecs", resources_by_name("What single steps need.")),
        ("sidecarSpecs", resources_by_name("What single sidecars need.")),
        ("metadata", run_metadata()),
        (
            "computeResources",
            described("What all steps together need.", anything()),
        ),
        ("timeout", duration("How long it may take.")),
    ]);
    let spec = object([
        ("pipelineRef", pipeline_reference()),
        ("pipelineSpec", described("The pipeline, here.", pipeline_spec())),
        ("params", given_params("What the pipeline is told.")),
        (
            "status",
            described(
                "What a person wants of the run: Cancelled, CancelledRunFinally, StoppedRunFinally or PipelineRunPending.",
                string(),
            ),
        ),
        ("timeouts", described("How long it may take.", timeouts)),
        (
            "taskRunTemplate",
            described(
                "What all its TaskRuns have.",
                object([("podTemplate", pod_template()), ("serviceAccountName", string())]),
            ),
        ),
        ("workspaces", workspace_bindings()),
        (
            "taskRunSpecs",
            described("What single TaskRuns have.", list(of_task)),
        ),
        ("managedBy", managed_by()),
    ]);
    let skipped = object([
        ("name", string()),
        ("reason", string()),
        ("whenExpressions", when()),
    ]);
    let child = object([
        ("apiVersion", string()),
        ("kind", string()),
        ("name", string()),
        ("displayName", string()),
        ("pipelineTaskName", string()),
        ("whenExpressions", when()),
    ]);
    let observed = run_status([
        ("results", results()),
        (
            "pipelineSpec",
            described("The pipeline as it was found.", anything()),
        ),
        (
            "skippedTasks",
            described("The tasks that did not run, and why.", list(skipped)),
        ),
        (
            "childReferences",
            described("The runs that were made.", list(child)),
        ),
        ("finallyStartTime", described("When finally started.", string())),
        ("provenance", provenance()),
        ("spanContext", string_map()),
    ]);
    resource("One run of a pipeline.", spec, Some(observed))
}

pub(in super::super) fn custom_run() -> Value {
    let embedded = object([
        ("apiVersion", string()),
        ("kind", string()),
        ("metadata", run_metadata()),
        (
            "spec",
            described("Whatever its controller understands.", anything()),
        ),
    ]);
    let spec = object([
        ("customRef", task_reference("The task, elsewhere.")),
        ("customSpec", described("The task, here.", embedded)),
        ("params", given_params("What the task is told.")),
        (
            "status",
            described("What a person wants of the run: RunCancelled.", string()),
        ),
        ("statusMessage", described("Why.", string())),
        ("retries", described("Attempts after the first one.", int64())),
        ("serviceAccountName", string()),
        ("timeout", duration("How long it may take.")),
        ("workspaces", workspace_bindings()),
    ]);
    let observed = run_status([
        ("results", results()),
        (
            "retriesStatus",
            described("The attempts before the present one.", list(anything())),
        ),
        (
            "extraFields",
            described("Whatever else its controller has to say.", anything()),
        ),
    ]);
    resource(
        "A run of a task that a controller of somebody else runs.",
        spec,
        Some(observed),
    )
}

pub(in super::super) fn resolution_request() -> Value {
    let spec = object([
        ("params", given_params("What the resolver is told.")),
        ("url", string()),
    ]);
    let observed = status([
        ("data", described("What was found, in base64.", string())),
        ("refSource", ref_source()),
        ("source", ref_source()),
    ]);
    resource("A question to a resolver.", spec, Some(observed))
}

/// The params of v1alpha1.
pub(in super::super) fn param_map() -> Value {
    described("What the resolver is told.", string_map())
}
