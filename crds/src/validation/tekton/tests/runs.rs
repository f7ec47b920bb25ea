//! Runs, and what of them may change.

use super::*;

#[test]
fn runs_are_checked() {
    let run = |more: Value| with(json!({"taskRef": {"name": "t"}}), more);
    let pipeline_run = |more: Value| with(json!({"pipelineRef": {"name": "p"}}), more);
    for (resource, spec, expected) in [
        (Resource::TaskRun, run(json!({})), ""),
        (
            Resource::TaskRun,
            json!({}),
            "expected exactly one, got neither: spec.taskRef, spec.taskSpec",
        ),
        (
            Resource::TaskRun,
            run(json!({"taskSpec": step(json!({}))})),
            "expected exactly one, got both: spec.taskRef, spec.taskSpec",
        ),
        (
            Resource::TaskRun,
            run(json!({"timeout": "-48h"})),
            "invalid value: -48h should be >= 0: spec.timeout",
        ),
        (
            Resource::TaskRun,
            run(json!({"status": "Cancelled"})),
            "invalid value: Cancelled should be TaskRunCancelled or TaskRunPending: spec.status",
        ),
        (
            Resource::TaskRun,
            run(json!({"statusMessage": "why"})),
            "invalid value: statusMessage should not be set if status is not set, but it is currently set to why: spec.statusMessage",
        ),
        (
            Resource::TaskRun,
            run(json!({"params": [{"name": "p", "value": "1"}, {"name": "p", "value": "2"}]})),
            "expected exactly one, got both: spec.params[p].name",
        ),
        (
            Resource::TaskRun,
            run(json!({"workspaces": [{"name": "w"}]})),
            "expected exactly one, got neither: spec.workspaces[0].configMap, spec.workspaces[0].csi, spec.workspaces[0].emptyDir, spec.workspaces[0].persistentVolumeClaim, spec.workspaces[0].projected, spec.workspaces[0].secret, spec.workspaces[0].volumeClaimTemplate",
        ),
        (
            Resource::TaskRun,
            run(json!({"workspaces": [{"name": "w", "emptyDir": {}, "secret": {"secretName": "s"}}]})),
            "expected exactly one, got both: spec.workspaces[0].emptyDir, spec.workspaces[0].secret",
        ),
        (
            Resource::TaskRun,
            run(
                json!({"workspaces": [{"name": "w", "persistentVolumeClaim": {}}, {"name": "x", "projected": {}}]}),
            ),
            "missing field(s): spec.workspaces[0].persistentVolumeClaim.claimName, spec.workspaces[1].projected.sources",
        ),
        (
            Resource::TaskRun,
            run(
                json!({"stepSpecs": [{"name": "s", "computeResources": {}}, {"name": "s"}], "computeResources": {}}),
            ),
            "expected exactly one, got both: spec.computeResources, spec.stepSpecs.computeResources, spec.stepSpecs[1].name",
        ),
        (
            Resource::TaskRun,
            run(json!({"debug": {}})),
            "must not set the field(s): spec.debug",
        ),
        (Resource::PipelineRun, pipeline_run(json!({})), ""),
        (
            Resource::PipelineRun,
            json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": "t"}, "workspaces": [{"name": "w"}]}]},
                   "workspaces": [{"name": "w", "emptyDir": {}}]}),
            "",
        ),
        (
            Resource::TaskRun,
            json!({"taskRef": {"name": "t", "kind": "task"}}),
            "",
        ),
        (
            Resource::TaskRun,
            json!({"taskRef": {"name": "t", "kind": "Wait"}}),
            "invalid value: custom task ref must specify apiVersion, kind is Wait: spec.taskRef.apiVersion",
        ),
        (
            Resource::PipelineRun,
            json!({}),
            "expected exactly one, got neither: spec.pipelineRef, spec.pipelineSpec",
        ),
        (
            Resource::PipelineRun,
            json!({"pipelineSpec": {"tasks": [{"name": "a", "taskSpec": {}}]}}),
            "missing field(s): spec.pipelineSpec.tasks[0].taskSpec.steps",
        ),
        (
            Resource::PipelineRun,
            pipeline_run(json!({"status": "Stopped"})),
            "invalid value: Stopped should be Cancelled or CancelledRunFinally or StoppedRunFinally or PipelineRunPending: spec.status",
        ),
        (
            Resource::PipelineRun,
            pipeline_run(json!({"timeouts": {"tasks": "61m"}})),
            "invalid value: 1h1m0s should be <= pipeline duration: spec.timeouts.tasks",
        ),
        (
            Resource::PipelineRun,
            pipeline_run(json!({"timeouts": {"pipeline": "1h", "tasks": "40m", "finally": "30m"}})),
            "invalid value: 40m0s + 30m0s should be <= pipeline duration: spec.timeouts.finally, spec.timeouts.tasks",
        ),
        (
            Resource::PipelineRun,
            pipeline_run(json!({"timeouts": {"pipeline": "1h", "finally": "0s"}})),
            "invalid value: 0s (no timeout) should be <= pipeline duration: spec.timeouts.finally",
        ),
        (
            Resource::PipelineRun,
            pipeline_run(json!({"timeouts": {"pipeline": "0s", "tasks": "99h"}})),
            "",
        ),
        (
            Resource::PipelineRun,
            pipeline_run(json!({"taskRunSpecs": [{"pipelineTaskName": "a"}, {"pipelineTaskName": "a"}, {}]})),
            "expected exactly one, got both: spec.taskRunSpecs[1].pipelineTaskName\nmissing field(s): spec.taskRunSpecs[2].pipelineTaskName",
        ),
        (
            Resource::CustomRun,
            json!({}),
            "expected exactly one, got neither: spec.customRef, spec.customSpec",
        ),
        (
            Resource::CustomRun,
            json!({"customRef": {"kind": "K"}}),
            "missing field(s): spec.customRef.apiVersion",
        ),
        (
            Resource::StepAction,
            json!({"script": "x"}),
            "missing field(s): spec.image",
        ),
        (
            Resource::StepAction,
            json!({"image": "i", "script": "echo $(params.x)"}),
            "invalid value: param substitution in scripts is not allowed: spec.script",
        ),
    ] {
        assert_eq!(wrong(resource, spec.clone()), expected, "{resource:?} {spec}");
    }
}

#[test]
fn breakpoints_are_checked() {
    let mut configs = Configs::default();
    configs.features.enable_api_fields = ApiFields::Alpha;
    let run = |breakpoints: Value| json!({"taskRef": {"name": "t"}, "debug": {"breakpoints": breakpoints}});
    for (breakpoints, expected) in [
        (json!({"beforeSteps": ["a", "b"]}), ""),
        (json!({"onFailure": "enabled", "beforeSteps": ["a"]}), ""),
        (
            json!({"onFailure": "always"}),
            "invalid value: always should be enabled: spec.debug.breakpoints.onFailure",
        ),
        (
            json!({"beforeSteps": ["a", "b", "a"]}),
            "before step must be unique, the same step: a is defined multiple times at: \
             spec.debug.breakpoints.beforeSteps[2]",
        ),
    ] {
        assert_eq!(
            wrong_under(&configs, Resource::TaskRun, run(breakpoints)),
            expected
        );
    }
}

#[test]
fn specs_cannot_be_inline_where_that_is_forbidden() {
    let mut configs = Configs::default();
    configs.features.disable_inline_spec = vec!["taskrun".to_owned(), "pipelinerun".to_owned()];
    for (resource, spec, field) in [
        (
            Resource::TaskRun,
            json!({"taskSpec": step(json!({}))}),
            "taskSpec",
        ),
        (
            Resource::PipelineRun,
            json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": "t"}}]}}),
            "pipelineSpec",
        ),
    ] {
        assert_eq!(
            wrong_under(&configs, resource, spec),
            format!("must not set the field(s): spec.{field}")
        );
    }
}

#[test]
fn runs_change_only_as_far_as_they_may() {
    let configs = Configs::default();
    let spec = |more: Value| {
        with(
            json!({"taskRef": {"name": "t"}, "serviceAccountName": "default"}),
            more,
        )
    };
    let defaulted = json!({"taskRef": {"name": "t", "kind": "Task"}, "timeout": "1h0m0s", "serviceAccountName": "default"});
    let new = json!({});
    let started = json!({"startTime": "2026-01-02T03:04:05Z", "conditions": [{"type": "Succeeded", "status": "Unknown"}]});
    let done =
        json!({"startTime": "2026-01-02T03:04:05Z", "conditions": [{"type": "Succeeded", "status": "True"}]});
    for (status, old, new, expected) in [
        (&new, spec(json!({})), spec(json!({"timeout": "5m"})), ""),
        (
            &started,
            spec(json!({})),
            spec(json!({"timeout": "5m"})),
            "invalid value: Once the TaskRun has started, only status and statusMessage updates are allowed: spec",
        ),
        (&started, spec(json!({})), defaulted.clone(), ""),
        (
            &started,
            defaulted.clone(),
            with(
                defaulted.clone(),
                json!({"status": "TaskRunCancelled", "statusMessage": "x"}),
            ),
            "",
        ),
        (
            &started,
            defaulted.clone(),
            with(defaulted.clone(), json!({"status": "TaskRunPending"})),
            "invalid value: TaskRun cannot be TaskRunPending after it is started: spec.status",
        ),
        (&done, spec(json!({})), defaulted.clone(), ""),
        (
            &done,
            defaulted.clone(),
            with(defaulted.clone(), json!({"status": "TaskRunCancelled"})),
            "invalid value: Once the TaskRun is complete, no updates are allowed: spec",
        ),
        (
            &new,
            spec(json!({})),
            spec(json!({"managedBy": "x"})),
            "managedBy is immutable: spec.managedBy",
        ),
    ] {
        let before = json!({"metadata": {"name": "x"}, "spec": old, "status": status});
        let after = json!({"metadata": {"name": "x"}, "spec": new, "status": status});
        let errors = validate(Resource::TaskRun, &after, &Context::updating(&configs, &before)).merged();
        let lines: Vec<String> = errors
            .iter()
            .map(|error| format!("{}: {}", error.message, error.paths.join(", ")))
            .collect();
        assert_eq!(lines.join("\n"), expected, "{status} {old} {new}");
        let context = Context {
            status_only: true,
            ..Context::updating(&configs, &before)
        };
        assert!(validate(Resource::TaskRun, &after, &context).is_empty());
    }
}
