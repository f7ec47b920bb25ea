//! Tasks and the steps in them.

use serde_json::Value;

use super::super::build::*;
use super::{declared_params, duration, given_params, properties, reference, type_, when};

/// What a task is, without what is around it.
pub(super) fn task_spec() -> Value {
    object([
        ("params", declared_params()),
        ("displayName", described("A name for people.", string())),
        ("description", described("Words for people.", string())),
        ("steps", described("What runs, in order.", list(step()))),
        (
            "volumes",
            described("Volumes that steps and sidecars may mount.", list(anything())),
        ),
        (
            "stepTemplate",
            described("What every step has unless it says otherwise.", container()),
        ),
        (
            "sidecars",
            described("What runs beside the steps.", list(sidecar())),
        ),
        ("workspaces", workspaces()),
        ("results", results("What comes out.", true)),
    ])
}

/// What steps, sidecars and templates of steps have in common.
fn container() -> Value {
    object([
        ("image", string()),
        ("command", list(string())),
        ("args", list(string())),
        ("workingDir", string()),
        ("envFrom", list(anything())),
        ("env", list(anything())),
        (
            "computeResources",
            described("What it needs, and may use at most.", anything()),
        ),
        ("volumeMounts", list(anything())),
        ("volumeDevices", list(anything())),
        ("imagePullPolicy", string()),
        ("securityContext", anything()),
    ])
}

/// The same with a name, a script and workspaces of its own.
fn scripted() -> Value {
    let usage = object([("name", string()), ("mountPath", string())]);
    with_fields(
        container(),
        [
            ("name", string()),
            (
                "script",
                described("A script that runs instead of a program.", string()),
            ),
            (
                "workspaces",
                described("Workspaces that only those see which name them.", list(usage)),
            ),
        ],
    )
}

fn step() -> Value {
    let output = || described("File that also gets the output.", object([("path", string())]));
    with_fields(
        scripted(),
        [
            ("displayName", described("A name for people.", string())),
            ("timeout", duration("How long it may take.")),
            (
                "onError",
                described(
                    "What an exit code other than 0 means: stopAndFail or continue.",
                    string(),
                ),
            ),
            ("stdoutConfig", output()),
            ("stderrConfig", output()),
            ("ref", reference("A StepAction that says what runs.", [])),
            ("params", given_params("What the StepAction is told.")),
            ("results", results("What comes out of this step.", false)),
            ("when", when()),
        ],
    )
}

fn sidecar() -> Value {
    with_fields(
        scripted(),
        [
            ("ports", list(anything())),
            ("livenessProbe", anything()),
            ("readinessProbe", anything()),
            ("startupProbe", anything()),
            ("lifecycle", anything()),
            ("terminationMessagePath", string()),
            ("terminationMessagePolicy", string()),
            ("stdin", boolean()),
            ("stdinOnce", boolean()),
            ("tty", boolean()),
            ("restartPolicy", string()),
        ],
    )
}

fn workspaces() -> Value {
    described(
        "Directories that it is given.",
        list(object([
            ("name", string()),
            ("description", string()),
            (
                "mountPath",
                described("Where steps see it, /workspace/<name> if absent.", string()),
            ),
            ("readOnly", boolean()),
            ("optional", described("May it stay unbound?", boolean())),
        ])),
    )
}

fn results(description: &str, with_value: bool) -> Value {
    let mut result = object([
        ("name", string()),
        ("type", type_()),
        ("properties", properties()),
        ("description", string()),
    ]);
    if with_value {
        let value = super::value("The result of a step that it is.");
        result = with_fields(result, [("value", value)]);
    }
    described(description, list(result))
}

pub(in super::super) fn task() -> Value {
    resource(
        "Steps that run one after the other in one pod.",
        task_spec(),
        None,
    )
}

pub(in super::super) fn step_action() -> Value {
    let spec = object([
        ("description", described("Words for people.", string())),
        ("image", string()),
        ("command", list(string())),
        ("args", list(string())),
        ("env", list(anything())),
        (
            "script",
            described(
                "A script that runs instead of a program; params reach it by the environment only.",
                string(),
            ),
        ),
        ("workingDir", string()),
        ("params", declared_params()),
        ("results", results("What comes out.", false)),
        ("securityContext", anything()),
        ("volumeMounts", list(anything())),
    ]);
    resource("A step that tasks refer to.", spec, None)
}
