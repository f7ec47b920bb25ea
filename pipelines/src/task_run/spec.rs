//! From what a run refers to, to what its steps really do: params, workspaces and variables put in.

use crds::tekton::reasons::task_run as reasons;
use crds::tekton::{StepActionSpec, StepRef, TaskRun, TaskSpec};
use kube::ResourceExt;

use super::step_actions;
use crate::params;
use crate::pod::workspaces::Workspaces;
use crate::substitution::task::{Run, Variables, substitute_others, substitute_params};

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

/// Why there are no steps to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unready {
    /// A resolver was asked for the task.
    Task,
    /// Resolvers were asked for StepActions.
    StepActions,
    Never(Invalid),
}

/// A task whose params are known. What the steps do that refer to StepActions is not.
#[derive(Debug)]
pub(super) struct Begun {
    pub spec: TaskSpec,
    variables: Variables,
}

/// The spec of an attempt, which `retries` others came before, as far as it can be told without StepActions.
pub(super) fn begun(run: &TaskRun, found: &Found, retries: usize) -> Result<Begun, Invalid> {
    if found.spec.steps.is_empty() {
        let message = "the task has no steps";
        return Err(Invalid::new(reasons::TASK_VALIDATION_FAILED, message));
    }
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
    let spec = substitute_params(&found.spec, &variables).map_err(invalid)?;
    Ok(Begun { spec, variables })
}

impl Begun {
    /// The whole spec; `actions` are those of the steps, in their order.
    pub(super) fn with(self, actions: &[Option<StepActionSpec>]) -> Result<TaskSpec, Invalid> {
        let Self { mut spec, variables } = self;
        for (index, step) in spec.steps.iter_mut().enumerate() {
            let Some(action) = actions.get(index).and_then(Option::as_ref) else {
                continue;
            };
            *step = step_actions::inlined(step, action).map_err(|why| {
                let reference = step.ref_.clone().unwrap_or_default();
                let message = format!("steps[{index}].ref {}: {why}", told(&reference));
                Invalid::new(reasons::RESOLUTION_FAILED, message)
            })?;
        }
        substitute_others(&spec, &variables).map_err(invalid)
    }
}

fn invalid(error: impl ToString) -> Invalid {
    Invalid::new(reasons::VALIDATION_FAILED, error.to_string())
}

/// A reference as messages name it.
pub(super) fn told(reference: &StepRef) -> String {
    match reference.resolver.as_str() {
        "" => format!("{:?}", reference.name),
        resolver => format!("of resolver {resolver:?}"),
    }
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

    fn resolved(run: &TaskRun, found: &Found, retries: usize) -> Result<TaskSpec, Invalid> {
        begun(run, found, retries)?.with(&[])
    }

    #[test]
    fn a_step_does_what_its_action_says_with_what_the_task_gives() {
        let run = run(
            json!({"params": [{"name": "who", "value": "$(params.tag)"}, {"name": "tag", "value": "1"}]}),
        );
        let task = found(json!({
            "params": [{"name": "who"}, {"name": "tag"}],
            "results": [{"name": "out"}],
            "steps": [
                {"name": "a", "ref": {"name": "greet-$(params.tag)"}, "params": [{"name": "name", "value": "$(params.who)!"}]},
                {"name": "b", "image": "i", "script": "$(steps.a.results.r) $(params.tag)"},
            ],
        }));
        let action: StepActionSpec = serde_json::from_value(json!({
            "image": "i", "params": [{"name": "name"}], "results": [{"name": "r"}], "args": ["$(params.name)", "$(params.tag)"],
            "script": "> $(step.results.r.path) $(results.out.path) $(context.taskRun.name)",
        }))
        .unwrap();
        let begun = begun(&run, &task, 0).unwrap();
        assert_eq!(begun.spec.steps[0].ref_.as_ref().unwrap().name, "greet-1");
        let spec = begun.with(&[Some(action), None]).unwrap();
        let step = &spec.steps[0];
        // What was given is not read again, and what the action does not have stays as it is written.
        assert_eq!(step.args.clone().unwrap(), ["$(params.tag)!", "$(params.tag)"]);
        assert_eq!(
            step.script,
            "> /tekton/steps/step-a/results/r /tekton/results/out r"
        );
        assert_eq!(step.results[0].name, "r");
        assert!(step.ref_.is_none() && step.params.is_empty());
        assert_eq!(spec.steps[1].script, "$(steps.a.results.r) 1");
    }

    #[test]
    fn an_action_that_does_not_fit_is_named() {
        let task = found(json!({"steps": [{"ref": {"name": "a"}}]}));
        let action = serde_json::from_value(json!({"image": "i", "params": [{"name": "p"}]})).unwrap();
        let error = begun(&run(json!({})), &task, 0)
            .unwrap()
            .with(&[Some(action)])
            .unwrap_err();
        assert_eq!(error.reason, reasons::RESOLUTION_FAILED);
        assert!(
            error.message.starts_with("steps[0].ref \"a\": missing"),
            "{}",
            error.message
        );
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
