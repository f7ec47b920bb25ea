//! Where things are in the pod of a TaskRun. Users' scripts know these paths.

/// Shared by the steps.
pub const WORKSPACE: &str = "/workspace";
/// Holds this program.
pub const BIN: &str = "/tekton/bin";
/// This program as steps run it.
pub const ENTRYPOINT: &str = "/tekton/bin/entrypoint";
/// This program in its own image.
pub const IN_IMAGE: &str = "/entrypoint";
/// One folder per step, `0`, `1` and so on: its post file, and `status/`.
pub const RUN: &str = "/tekton/run";
/// Links by number and by name of the step to its `status/`.
pub const STEPS: &str = "/tekton/steps";
/// One file per result of the Task.
pub const RESULTS: &str = "/tekton/results";
/// What the Task took in and made.
pub const ARTIFACTS: &str = "/tekton/artifacts";
/// The file in it, and in the folder `artifacts` of each step.
pub const PROVENANCE: &str = "provenance.json";
/// Deprecated home of steps.
pub const HOME: &str = "/tekton/home";
/// Credentials in files.
pub const CREDENTIALS: &str = "/tekton/creds";
/// The secrets with credentials, one folder each.
pub const CREDENTIAL_SECRETS: &str = "/tekton/creds-secrets";
/// One file per script.
pub const SCRIPTS: &str = "/tekton/scripts";
/// Annotations of the pod as files.
pub const DOWNWARD: &str = "/tekton/downward";
/// Gets content when the first step may begin.
pub const READY: &str = "/tekton/downward/ready";
/// Gets content when the run is cancelled and its pod stays.
pub const CANCEL: &str = "/tekton/downward/cancel";
/// What the pod's annotation says of steps that are held by a breakpoint.
pub const DEBUG: &str = "/tekton/downward/debug";
/// Holds one folder, whose name is the number of the step.
pub const DEBUG_INFO: &str = "/tekton/debug/info";
/// The scripts that let a step go on which a breakpoint holds.
pub const DEBUG_SCRIPTS: &str = "/tekton/debug/scripts";
/// Behind the name of a step's post file: the exit code that a step which failed is to have instead.
pub const BREAKPOINT_EXIT: &str = ".breakpointexit";
/// Behind the name of a step's post file: the step may begin; with `.err` behind it, it fails instead.
pub const BEFORE_STEP_EXIT: &str = ".beforestepexit";
/// Where the records of [`crate::message`] are written.
pub const TERMINATION: &str = "/tekton/termination";

/// The file of step `index` that says it is over; with `.err` behind it, that it failed.
pub fn post_file(index: usize) -> String {
    format!("{RUN}/{index}/out")
}

/// What step `index` tells about itself: `exitCode`, `results/`.
pub fn metadata(index: usize) -> String {
    format!("{RUN}/{index}/status")
}
