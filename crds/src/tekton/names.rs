//! Names of what runs make. They are functions of their parent's name, so that making something twice collides.

use crate::names::child_name;

/// Namespace of the ConfigMaps that steer tasks and pipelines.
pub const NAMESPACE: &str = "tekton-pipelines";
/// Prefix of the containers of steps.
pub const STEP_PREFIX: &str = "step-";
/// Prefix of the containers of sidecars.
pub const SIDECAR_PREFIX: &str = "sidecar-";

/// The TaskRun, CustomRun or PipelineRun of a pipeline's task; with a matrix, that of a combination counted from 0.
pub fn run_of_task(pipeline_run: &str, task: &str, combination: Option<usize>) -> String {
    match combination {
        Some(index) => child_name(pipeline_run, &format!("-{task}-{index}")),
        None => child_name(pipeline_run, &format!("-{task}")),
    }
}

/// The pod of a TaskRun; `retry` counts the attempts before it.
pub fn pod(task_run: &str, retry: usize) -> String {
    match retry {
        0 => child_name(task_run, "-pod"),
        retry => child_name(task_run, &format!("-pod-retry{retry}")),
    }
}

/// The container of a step, which is counted from 0.
pub fn step_container(name: &str, index: usize) -> String {
    if name.is_empty() {
        format!("{STEP_PREFIX}unnamed-{index}")
    } else {
        format!("{STEP_PREFIX}{name}")
    }
}

/// The container of a sidecar.
pub fn sidecar_container(name: &str) -> String {
    format!("{SIDECAR_PREFIX}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_have_their_names() {
        assert_eq!(run_of_task("run", "build", None), "run-build");
        assert_eq!(run_of_task("run", "build", Some(10)), "run-build-10");
        assert_eq!(pod("run-build", 0), "run-build-pod");
        assert_eq!(pod("run-build", 2), "run-build-pod-retry2");
        assert_eq!(step_container("clone", 3), "step-clone");
        assert_eq!(step_container("", 3), "step-unnamed-3");
        assert_eq!(sidecar_container("db"), "sidecar-db");
        assert!(run_of_task(&"r".repeat(60), "a-task", None).len() <= 63);
    }
}
