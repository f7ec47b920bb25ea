//! Annotation keys, and their values where they are fixed.

/// On runs and pods: the build of the controller.
pub const RELEASE: &str = "pipeline.tekton.dev/release";
/// On pods: lets the first step begin; see [`READY_VALUE`].
pub const READY: &str = "tekton.dev/ready";
/// Value of [`READY`].
pub const READY_VALUE: &str = "READY";
/// On pods: asks the running step to end; see [`CANCEL_VALUE`].
pub const CANCEL: &str = "tekton.dev/cancel";
/// Value of [`CANCEL`].
pub const CANCEL_VALUE: &str = "CANCEL";
/// On pods: what becomes of steps that breakpoints hold, as `<step>=<decision>` separated by commas. Decisions are
/// `continue`, `fail-continue`, `beforestep-continue` and `beforestep-fail-continue`.
pub const DEBUG: &str = "spindrift.dev/debug";
/// On TaskRuns: the StatefulSet that they have to be near to.
pub const AFFINITY_ASSISTANT: &str = "pipeline.tekton.dev/affinity-assistant";
/// On TaskRuns: `continue` if a failure of theirs is ignored.
pub const PIPELINE_TASK_ON_ERROR: &str = "pipeline.tekton.dev/pipeline-task-on-error";
/// On PipelineRuns: how its TaskRuns are kept together, as `coschedule` of `feature-flags` was when the run began. What it
/// has made is named by it, so a change of the flag must not change it.
pub const COSCHEDULE: &str = "spindrift.dev/coschedule";
/// On PipelineRuns: `true` deletes the claims made from templates when the run ends.
pub const AUTO_CLEANUP_PVC: &str = "tekton.dev/auto-cleanup-pvc";
/// On TaskRuns: `hermetic` takes the network away from steps.
pub const EXECUTION_MODE: &str = "experimental.tekton.dev/execution-mode";
/// On a new run: the name of an earlier run of the same kind and namespace. What succeeded there with the same spec is
/// taken over with its results instead of being run again.
pub const RERUN_OF: &str = "spindrift.dev/rerun-of";
/// In the status of a TaskRun: the TaskRun whose results it has, as [`RERUN_OF`] asked for.
pub const TAKEN_OVER_FROM: &str = "spindrift.dev/taken-over-from";
/// What kubectl notes about what it applied; never passed on to children.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What the signer of runs notes; never passed on to children.
pub const CHAINS_PREFIX: &str = "chains.tekton.dev/";

/// May a label or annotation be passed on from a run to its children?
pub fn is_inherited(key: &str) -> bool {
    ![LAST_APPLIED, RERUN_OF, COSCHEDULE].contains(&key) && !key.starts_with(CHAINS_PREFIX)
}
