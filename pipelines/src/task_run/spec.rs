//! From what a run refers to, to what its steps really do: params, workspaces and variables put in.

use crds::tekton::reasons::task_run as reasons;
use crds::tekton::{TaskRun, TaskSpec};
use kube::ResourceExt;

use crate::params;
use crate::pod::workspaces::Workspaces;
use crate::substitution::task::{Run, Variables, substitute};

/// A task as it was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Its name; empty if it is written into the run.
    pub name: String,
    pub spec: TaskSpec,
}

/// Why a run has no steps to do; another attempt would not have either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub reason: &'static str,
    pub message: String,
}

impl Invalid {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// The spec of an attempt, which `retries` others came before.
pub(super) fn resolved(run: &TaskRun, found: &Found, retries: usize) -> Result<TaskSpec, Invalid> {
    supported(&found.spec)?;
    let invalid = |message: String| Invalid::new(reasons::VALIDATION_FAILED, message);
    let values = params::resolve(&found.spec.params, &run.spec.params)
        .map_err(|error| Invalid::new(error.task_run_reason(), error.to_string()))?;
    let workspaces = Workspaces::of(run, &found.spec).map_err(invalid)?;
    let variables = Variables {
        params: values,
        task_run: Run {
            name: run.name_any(),
            namespace: run.namespace().unwrap_or_default(),
            uid: run.uid().unwrap_or_default(),
        },
        task: found.name.clone(),
        retries: u32::try_from(retries).unwrap_or(u32::MAX),
        workspaces: workspaces.variables(run, &found.spec),
    };
    substitute(&found.spec, &variables).map_err(|error| invalid(error.to_string()))
}

/// What this version cannot do must fail: leaving it out would run something else.
fn supported(task: &TaskSpec) -> Result<(), Invalid> {
    let refused = |message: String| Err(Invalid::new(reasons::TASK_VALIDATION_FAILED, message));
    if task.steps.is_empty() {
        return refused("the task has no steps".to_owned());
    }
    for (index, step) in task.steps.iter().enumerate() {
        if step.ref_.is_some() {
            return refused(format!(
                "steps[{index}].ref: StepActions are not supported yet; write the step itself"
            ));
        }
        if !step.when.is_empty() {
            return refused(format!(
                "steps[{index}].when: conditions of steps are not supported yet"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run(spec: Value) -> TaskRun {
        serde_json::from_value(json!({"metadata": {"name": "r", "namespace": "n", "uid": "u"}, "spec": spec}))
            .unwrap()
    }

    fn found(spec: Value) -> Found {
        Found {
            name: "t".to_owned(),
            spec: serde_json::from_value(spec).unwrap(),
        }
    }

    #[test]
    fn variables_are_replaced_by_what_the_run_gives() {
        let run = run(json!({
            "params": [{"name": "who", "value": "you"}],
            "workspaces": [{"name": "src", "emptyDir": {}}],
        }));
        let task = found(json!({
            "params": [{"name": "who"}, {"name": "how", "default": "hello"}],
            "workspaces": [{"name": "src", "mountPath": "/src"}, {"name": "none", "optional": true}],
            "results": [{"name": "out"}],
            "steps": [{"name": "s", "image": "i", "script": "$(params.how) $(params.who) $(workspaces.src.path) \
                       $(workspaces.none.bound) $(results.out.path) $(context.taskRun.name) $(context.task.retry-count)"}],
        }));
        let script = resolved(&run, &task, 2).unwrap().steps.remove(0).script;
        assert_eq!(script, "hello you /src false /tekton/results/out r 2");
    }

    #[test]
    fn a_task_in_the_run_may_use_what_the_run_has_without_declaring_it() {
        let task = json!({"steps": [{"image": "i", "script": "$(params.who) $(workspaces.src.path)"}]});
        let run = run(json!({
            "taskSpec": task,
            "params": [{"name": "who", "value": "you"}],
            "workspaces": [{"name": "src", "emptyDir": {}}],
        }));
        let found = Found {
            name: String::new(),
            ..found(task)
        };
        let script = resolved(&run, &found, 0).unwrap().steps.remove(0).script;
        assert_eq!(script, "you /workspace/src");
    }

    #[test]
    fn what_cannot_run_says_why() {
        for (task, reason, word) in [
            (json!({"steps": []}), reasons::TASK_VALIDATION_FAILED, "no steps"),
            (
                json!({"steps": [{"ref": {"name": "a"}}]}),
                reasons::TASK_VALIDATION_FAILED,
                "steps[0].ref",
            ),
            (
                json!({"steps": [{"image": "i", "when": [{"input": "a", "operator": "in", "values": ["b"]}]}]}),
                reasons::TASK_VALIDATION_FAILED,
                "steps[0].when",
            ),
            (
                json!({"params": [{"name": "p"}], "steps": [{"image": "i"}]}),
                reasons::VALIDATION_FAILED,
                "p",
            ),
            (
                json!({"workspaces": [{"name": "w"}], "steps": [{"image": "i"}]}),
                reasons::VALIDATION_FAILED,
                "\"w\"",
            ),
        ] {
            let invalid = resolved(&run(json!({})), &found(task), 0).unwrap_err();
            assert_eq!(invalid.reason, reason, "{}", invalid.message);
            assert!(invalid.message.contains(word), "{}", invalid.message);
        }
    }
}
