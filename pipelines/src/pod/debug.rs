//! Breakpoints of a run, and what lets its steps go on.

use std::borrow::Cow;

use crds::tekton::{TaskRun, TaskSpec, names};
use entrypoint::paths;
use k8s_openapi::api::core::v1::{Volume, VolumeMount};

use super::script::Script;
use super::{PodError, empty_dir, volumes};

pub(super) const SCRIPTS: &str = "tekton-internal-debug-scripts";

/// Where the steps of a run are held.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Breakpoints<'a> {
    on_failure: bool,
    before: &'a [String],
}

impl<'a> Breakpoints<'a> {
    /// # Errors
    /// A step that the task does not have would never be held, and nobody would know why.
    pub fn of(run: &'a TaskRun, task: &TaskSpec) -> Result<Self, PodError> {
        let debug = run.spec.debug.as_ref();
        let Some(breakpoints) = debug.and_then(|debug| debug.breakpoints.as_ref()) else {
            return Ok(Self::default());
        };
        let steps: Vec<String> = (0..task.steps.len()).map(|index| name(task, index)).collect();
        match breakpoints.before_steps.iter().find(|step| !steps.contains(step)) {
            Some(step) => Err(PodError::Breakpoint {
                step: step.clone(),
                steps: steps.join(", "),
            }),
            None => Ok(Self {
                on_failure: breakpoints.on_failure == "enabled",
                before: &breakpoints.before_steps,
            }),
        }
    }

    pub fn any(self) -> bool {
        self.on_failure || !self.before.is_empty()
    }

    /// Those of step `index` for the entrypoint.
    pub fn flags(self, task: &TaskSpec, index: usize) -> Vec<String> {
        let name = name(task, index);
        let mut flags = Vec::new();
        if self.on_failure {
            flags.push("-breakpoint_on_failure".to_owned());
        }
        if self.before.contains(&name) {
            flags.push("-debug_before_step".to_owned());
        }
        if !flags.is_empty() {
            flags.extend(["-debug_file", paths::DEBUG, "-debug_name"].map(str::to_owned));
            flags.push(name);
        }
        flags
    }

    pub fn volumes(self, task: &TaskSpec) -> Vec<Volume> {
        let info = (0..task.steps.len()).map(info);
        let all = [SCRIPTS.to_owned()].into_iter().chain(info);
        all.filter(|_| self.any())
            .map(|name| empty_dir(name, None))
            .collect()
    }

    /// What step `index` sees. The name of the folder tells the scripts which step they are in.
    pub fn mounts(self, index: usize) -> Vec<VolumeMount> {
        let mounts = [
            volumes::read_only(SCRIPTS, paths::DEBUG_SCRIPTS),
            volumes::mount(info(index), format!("{}/{index}", paths::DEBUG_INFO)),
        ];
        mounts.into_iter().filter(|_| self.any()).collect()
    }

    /// What people run in a container whose step is held.
    pub fn scripts(self) -> Vec<Script<'static>> {
        let (failed, before) = (paths::BREAKPOINT_EXIT, paths::BEFORE_STEP_EXIT);
        let scripts = [
            (
                "debug-continue",
                failed.to_owned(),
                0,
                "goes on as if it had succeeded",
            ),
            ("debug-fail-continue", failed.to_owned(), 1, "fails"),
            ("debug-beforestep-continue", before.to_owned(), 0, "begins"),
            (
                "debug-beforestep-fail-continue",
                format!("{before}.err"),
                1,
                "fails without having begun",
            ),
        ];
        scripts
            .into_iter()
            .filter(|_| self.any())
            .map(|(name, mark, code, says)| Script {
                path: format!("{}/{name}", paths::DEBUG_SCRIPTS),
                // Nothing but the shell itself: images may have no other program.
                text: Cow::Owned(format!(
                    "#!/bin/sh\nset -e\nfor step in {info}/*; do step=\"${{step##*/}}\"; done\n\
                     echo {code} > \"{run}/$step/out{mark}\"\necho \"step $step {says}\"\n",
                    info = paths::DEBUG_INFO,
                    run = paths::RUN,
                )),
            })
            .collect()
    }
}

fn info(index: usize) -> String {
    format!("tekton-internal-debug-info-{index}")
}

/// How breakpoints call a step.
fn name(task: &TaskSpec, index: usize) -> String {
    let step = task.steps.get(index).map_or("", |step| step.name.as_str());
    let container = names::step_container(step, index);
    container
        .strip_prefix(names::STEP_PREFIX)
        .unwrap_or(&container)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task() -> TaskSpec {
        let steps = json!([{"name": "a", "image": "i"}, {"image": "i"}]);
        serde_json::from_value(json!({"steps": steps})).unwrap()
    }

    fn run(breakpoints: serde_json::Value) -> TaskRun {
        let spec = json!({"debug": {"breakpoints": breakpoints}});
        serde_json::from_value(json!({"metadata": {"name": "r"}, "spec": spec})).unwrap()
    }

    #[test]
    fn each_step_is_held_where_the_run_says() {
        let task = task();
        for (breakpoints, first, second) in [
            (json!({}), "", ""),
            (
                json!({"beforeSteps": ["unnamed-1"]}),
                "",
                "-debug_before_step -debug_file /tekton/downward/debug -debug_name unnamed-1",
            ),
            (
                json!({"onFailure": "enabled", "beforeSteps": ["a"]}),
                "-breakpoint_on_failure -debug_before_step -debug_file /tekton/downward/debug -debug_name a",
                "-breakpoint_on_failure -debug_file /tekton/downward/debug -debug_name unnamed-1",
            ),
        ] {
            let run = run(breakpoints);
            let breakpoints = Breakpoints::of(&run, &task).unwrap();
            let flags = [0, 1].map(|index| breakpoints.flags(&task, index).join(" "));
            assert_eq!(flags, [first, second]);
            let any = !first.is_empty() || !second.is_empty();
            let made = (
                breakpoints.volumes(&task).len(),
                breakpoints.mounts(1).len(),
                breakpoints.scripts().len(),
            );
            assert_eq!(made, if any { (3, 2, 4) } else { (0, 0, 0) });
        }
    }

    #[test]
    fn a_step_that_is_not_there_is_told() {
        let error = Breakpoints::of(&run(json!({"beforeSteps": ["a", "x"]})), &task()).unwrap_err();
        let expected =
            "debug.breakpoints.beforeSteps: the task has no step \"x\", its steps are: a, unnamed-1";
        assert_eq!(error.to_string(), expected);
    }
}
