use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::tekton::ApiFields;
use crate::tekton::examples;

/// JSON with the names of fields of these kinds, where values are often not what they should be.
pub(crate) fn any_spec() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "name",
        "params",
        "steps",
        "taskSpec",
        "taskRef",
        "tasks",
        "finally",
        "pipelineSpec",
        "value",
        "default",
        "type",
        "properties",
        "matrix",
        "include",
        "workspaces",
        "when",
        "values",
        "timeout",
        "timeouts",
        "pipeline",
        "image",
        "script",
        "command",
        "volumeMounts",
        "mountPath",
        "results",
        "enum",
        "sidecars",
        "volumes",
        "limits",
        "cpu",
        "runAfter",
        "taskRunSpecs",
        "ref",
        "retries",
        "status",
        "metadata",
        "stepSpecs",
        "secret",
        "projected",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        prop::sample::select(vec![
            "",
            "a",
            "string",
            "object",
            "1h",
            "-1h",
            "$(params.a[*])",
            "/tekton/..",
            "ü",
            "in"
        ])
        .prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics(spec in any_spec(), old in any_spec(), meta in any_spec()) {
        let object = json!({"metadata": meta, "spec": spec});
        let old = json!({"metadata": {}, "spec": old, "status": {"startTime": "x", "conditions": [spec]}});
        let configs = Configs::default();
        for resource in Resource::ALL {
            let _ = validate(*resource, &object, &Context::updating(&configs, &old)).to_string();
            let _ = removed(*resource, &object).to_string();
            let _ = resource.unknown_fields(&object);
        }
    }
}

fn wrong_under(configs: &Configs, resource: Resource, spec: Value) -> String {
    let object = json!({"metadata": {"name": "x"}, "spec": spec});
    // Details are for people, the first lines are for machines.
    let errors = validate(resource, &object, &Context::creating(configs)).merged();
    let lines: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {}", error.message, error.paths.join(", ")))
        .collect();
    lines.join("\n")
}

fn wrong(resource: Resource, spec: Value) -> String {
    wrong_under(&Configs::default(), resource, spec)
}

/// A task whose only step has these fields more.
fn step(more: Value) -> Value {
    let mut step = json!({"name": "s", "image": "i"});
    step.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"steps": [step]})
}

fn with(mut spec: Value, more: Value) -> Value {
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    spec
}

#[test]
fn names_of_objects_fit_into_labels() {
    let configs = Configs::default();
    for (name, ok) in [
        ("a", true),
        ("", true),
        ("a.b", true),
        ("A", false),
        ("a_b", false),
        (&"a".repeat(64), false),
    ] {
        let object = json!({"metadata": {"name": name}, "spec": {"steps": [{"image": "i"}]}});
        let errors = validate(Resource::Task, &object, &Context::creating(&configs));
        assert_eq!(errors.is_empty(), ok, "{name}: {errors}");
        if !ok {
            assert!(
                errors.to_string().starts_with("invalid resource name"),
                "{errors}"
            );
        }
    }
}

#[test]
fn examples_are_valid_where_everything_is_allowed() {
    let mut configs = Configs::default();
    configs.features.enable_api_fields = ApiFields::Alpha;
    configs.features.enable_param_enum = true;
    configs.features.enable_cel_in_when_expression = true;
    for ((name, object), resource) in examples::all().into_iter().zip(Resource::ALL) {
        assert_eq!(
            wrong_under(&configs, *resource, object["spec"].clone()),
            "",
            "{name}"
        );
    }
}

#[test]
fn tasks_are_checked() {
    let ok = step(json!({}));
    for (spec, expected) in [
        (ok.clone(), ""),
        (json!({}), "missing field(s): spec.steps"),
        (
            json!({"steps": [{"name": "a"}]}),
            "missing field(s): spec.steps[0].image",
        ),
        (
            json!({"steps": [{"name": "a"}], "stepTemplate": {"image": "i"}}),
            "",
        ),
        (
            json!({"steps": [{"name": "a", "image": "i"}, {"name": "a", "image": "i"}]}),
            "invalid value: duplicate name \"a\": spec.steps[1].name",
        ),
        (
            step(json!({"name": "A_b"})),
            "invalid value: \"A_b\": spec.steps[0].name",
        ),
        (
            step(json!({"script": "x", "command": ["y"]})),
            "script cannot be used with command: spec.steps[0].script",
        ),
        (step(json!({"script": "x", "args": ["y"]})), ""),
        (
            step(json!({"timeout": "-1s"})),
            "invalid value: -1s should be >= 0: spec.steps[0].timeout",
        ),
        (
            step(json!({"timeout": "soon"})),
            "invalid value: \"soon\": spec.steps[0].timeout",
        ),
        (
            step(json!({"onError": "ignore"})),
            "invalid value: ignore should be continue or stopAndFail: spec.steps[0].onError",
        ),
        (step(json!({"onError": "$(params.e)"})), ""),
        (
            step(
                json!({"volumeMounts": [{"name": "v", "mountPath": "/tekton/bin"}, {"name": "w", "mountPath": "/tekton/home"}]}),
            ),
            "volumeMount cannot be mounted under /tekton/ (volumeMount \"v\" mounted at \"/tekton/bin\"): spec.steps[0].volumeMounts[0].mountPath",
        ),
        (
            step(json!({"volumeMounts": [{"name": "v", "mountPath": "/a/../tekton//run"}]})),
            "volumeMount cannot be mounted under /tekton/ (volumeMount \"v\" mounted at \"/a/../tekton//run\"): spec.steps[0].volumeMounts[0].mountPath",
        ),
        (
            step(json!({"volumeMounts": [{"name": "tekton-internal-x", "mountPath": "/x"}]})),
            "volumeMount name \"tekton-internal-x\" cannot start with \"tekton-internal-\": spec.steps[0].volumeMounts[0].name",
        ),
        (
            with(ok.clone(), json!({"volumes": [{"name": "v"}, {"name": "v"}]})),
            "multiple volumes with same name \"v\": spec.volumes[1].name",
        ),
        (
            with(ok.clone(), json!({"volumes": [{"name": "tekton-internal-bin"}]})),
            "volume name \"tekton-internal-bin\" cannot start with \"tekton-internal-\": spec.volumes[0].name",
        ),
        (
            json!({"steps": [{"ref": {"name": "a"}, "image": "i", "script": "s"}]}),
            "image cannot be used with Ref: spec.steps[0].image\nscript cannot be used with Ref: spec.steps[0].script",
        ),
        (
            json!({"steps": [{"ref": {"name": "a"}, "params": [{"name": "p", "value": "v"}]}]}),
            "",
        ),
        (
            json!({"steps": [{"ref": {}}]}),
            "missing field(s): spec.steps[0].ref.name",
        ),
        (
            step(json!({"params": [{"name": "p"}]})),
            "params cannot be used without Ref: spec.steps[0].params",
        ),
        (
            step(json!({"when": [{"input": "a", "operator": "like", "values": ["a"]}]})),
            "invalid value: operator \"like\" is not recognized. valid operators: in,notin: spec.steps[0].when[0].operator",
        ),
        (
            step(json!({"stdoutConfig": {"path": "/x"}})),
            "must not set the field(s): spec.steps[0].stdoutConfig",
        ),
        (
            with(
                ok.clone(),
                json!({"sidecars": [{"name": "tekton-log-results", "image": "i"}, {"name": "b"}]}),
            ),
            "Invalid: cannot use reserved sidecar name tekton-log-results: spec.sidecars[0].name\n\
             missing field(s): spec.sidecars[1].image",
        ),
    ] {
        assert_eq!(wrong(Resource::Task, spec.clone()), expected, "{spec}");
    }
}

#[test]
fn params_results_and_workspaces_are_checked() {
    for (more, expected) in [
        (
            json!({"params": [{"name": "a"}, {"name": "a"}]}),
            "parameter appears more than once: spec.params[1].name",
        ),
        (
            json!({"params": [{"type": "string"}]}),
            "missing field(s): spec.params[0].name",
        ),
        (
            json!({"params": [{"name": "0a"}]}),
            "invalid value: 0a: spec.params[0].name",
        ),
        (json!({"params": [{"name": "a.b-c_d"}]}), ""),
        (
            json!({"params": [{"name": "a.b", "type": "object", "properties": {"k": {}}}]}),
            "invalid value: a.b: spec.params[0].name",
        ),
        (
            json!({"params": [{"name": "a", "type": "strng"}]}),
            "invalid value: strng: spec.params[0].type",
        ),
        (
            json!({"params": [{"name": "a", "type": "array", "default": "x"}]}),
            "\"type\" does not match default value's type: array is declared, the default is of type string: spec.params[0].default, spec.params[0].type",
        ),
        (
            json!({"params": [{"name": "a", "type": "object"}]}),
            "missing field(s): spec.params[0].properties",
        ),
        (
            json!({"params": [{"name": "a", "type": "object", "default": {"k": "v"}}]}),
            "",
        ),
        (
            json!({"params": [{"name": "a", "type": "object", "properties": {"k": {"type": "array"}}}]}),
            "invalid value: array: spec.params[0].properties[k].type",
        ),
        (
            json!({"params": [{"name": "a", "type": "string", "properties": {"k": {}}}]}),
            "must not set the field(s): spec.params[0].properties",
        ),
        (
            json!({"params": [{"name": "a", "enum": ["x"]}]}),
            "must not set the field(s): spec.params[0].enum",
        ),
        (
            json!({"results": [{"name": "-a"}]}),
            "invalid key name \"-a\": spec.results[0].name",
        ),
        (
            json!({"results": [{"name": "a", "type": "list"}]}),
            "invalid value: list: spec.results[0].type",
        ),
        (
            json!({"results": [{"name": "a", "type": "object"}]}),
            "missing field(s): spec.results[0].properties",
        ),
        (
            json!({"workspaces": [{"name": "a"}, {"name": "a", "mountPath": "/x"}]}),
            "expected exactly one, got both: spec.workspaces[1].name",
        ),
        (
            json!({"workspaces": [{"name": "a", "mountPath": "/x"}, {"name": "b", "mountPath": "/x/"}]}),
            "workspace mount path \"/x\" must be unique: spec.workspaces[1].mountPath",
        ),
        (
            json!({"steps": [{"image": "i", "workspaces": [{"name": "b"}]}], "workspaces": [{"name": "a"}]}),
            "undefined workspace \"b\": spec.steps[0].workspaces[0].name",
        ),
    ] {
        assert_eq!(
            wrong(Resource::Task, with(step(json!({})), more.clone())),
            expected,
            "{more}"
        );
    }
    let mut configs = Configs::default();
    configs.features.enable_param_enum = true;
    for (param, expected) in [
        (json!({"name": "a", "enum": ["x", "y"], "default": "x"}), ""),
        (
            json!({"name": "a", "enum": ["x", "x"]}),
            "\"x\" appears more than once: spec.params[0].enum",
        ),
        (
            json!({"name": "a", "enum": ["x"], "default": "z"}),
            "invalid value: z: spec.params[0].default",
        ),
        (
            json!({"name": "a", "type": "array", "enum": ["x"]}),
            "must not set the field(s): spec.params[0].enum",
        ),
    ] {
        let spec = with(step(json!({})), json!({"params": [param]}));
        assert_eq!(wrong_under(&configs, Resource::Task, spec), expected, "{param}");
    }
}

#[test]
fn pipelines_are_checked() {
    let task = |more: Value| json!({"tasks": [with(json!({"name": "a", "taskRef": {"name": "t"}}), more)]});
    for (spec, expected) in [
        (task(json!({})), ""),
        (json!({}), "missing field(s): spec.tasks"),
        (
            json!({"finally": [{"name": "f", "taskRef": {"name": "t"}}]}),
            "invalid value: spec.tasks is empty but spec.finally has 1 tasks: spec.finally\nmissing field(s): spec.tasks",
        ),
        (
            json!({"tasks": [{"name": "a"}]}),
            "expected exactly one, got neither: spec.tasks[0].pipelineRef, spec.tasks[0].pipelineSpec, spec.tasks[0].taskRef, spec.tasks[0].taskSpec",
        ),
        (
            task(json!({"taskSpec": {"steps": [{"image": "i"}]}})),
            "expected exactly one, got both: spec.tasks[0].taskRef, spec.tasks[0].taskSpec",
        ),
        (
            json!({"tasks": [{"name": "a", "taskSpec": {"steps": [{"name": "s"}]}}]}),
            "missing field(s): spec.tasks[0].taskSpec.steps[0].image",
        ),
        (
            json!({"tasks": [{"name": "a", "taskRef": {"name": "t"}}], "finally": [{"name": "a", "taskRef": {"name": "t"}}]}),
            "expected exactly one, got both: spec.finally[0].name",
        ),
        (
            json!({"tasks": [{"name": "A", "taskRef": {"name": "t"}}]}),
            "invalid value: \"A\": spec.tasks[0].name",
        ),
        (
            json!({"tasks": [{"taskRef": {"name": "t"}}]}),
            "missing field(s): spec.tasks[0].name",
        ),
        (
            json!({"tasks": [{"name": "a", "taskRef": {"name": "t", "resolver": "git"}}]}),
            "expected exactly one, got both: spec.tasks[0].taskRef.name, spec.tasks[0].taskRef.resolver",
        ),
        (
            json!({"tasks": [{"name": "a", "taskRef": {"name": "t", "kind": "ClusterTask"}}]}),
            "invalid value: ClusterTask: spec.tasks[0].taskRef.kind",
        ),
        (
            json!({"tasks": [{"name": "a", "taskRef": {"apiVersion": "a/v1", "kind": "K"}}]}),
            "",
        ),
        (
            json!({"tasks": [{"name": "a", "taskSpec": {"apiVersion": "a/v1", "spec": {}}}]}),
            "missing field(s): spec.tasks[0].taskSpec.kind",
        ),
        (
            task(json!({"workspaces": [{"name": "w"}]})),
            "invalid value: pipeline task \"a\" expects workspace with name \"w\" but none exists in pipeline spec: spec.tasks[0].workspaces[0]",
        ),
        (
            with(
                task(json!({"workspaces": [{"name": "w", "workspace": "x"}]})),
                json!({"workspaces": [{"name": "x"}]}),
            ),
            "",
        ),
        (
            task(json!({"params": [{"name": "p", "value": "1"}, {"name": "p", "value": "2"}]})),
            "expected exactly one, got both: spec.tasks[0].params[p].name",
        ),
        (
            task(json!({"retries": -1})),
            "invalid value: -1 should be >= 0: spec.tasks[0].retries",
        ),
        (
            task(json!({"retries": 1, "onError": "continue"})),
            "PipelineTask OnError cannot be set to \"continue\" when Retries is greater than 0: spec.tasks[0].onError",
        ),
        (
            with(
                task(json!({})),
                json!({"finally": [{"name": "f", "taskRef": {"name": "t"}, "runAfter": ["a"]}]}),
            ),
            "invalid value: no runAfter allowed under spec.finally, final task f has runAfter specified: spec.finally[0].runAfter",
        ),
        (
            task(json!({"when": [{"input": "a", "operator": "in"}]})),
            "missing field(s): spec.tasks[0].when[0].values",
        ),
        (
            task(json!({"when": [{"cel": "true"}]})),
            "must not set the field(s): spec.tasks[0].when[0].cel",
        ),
        (
            task(json!({"matrix": {}})),
            "expected exactly one, got neither: spec.tasks[0].matrix.include, spec.tasks[0].matrix.params",
        ),
        (
            task(json!({"matrix": {"params": [{"name": "m", "value": "x"}]}})),
            "invalid value: parameters of type array only are allowed in matrix: spec.tasks[0].matrix.params[0].value",
        ),
        (
            task(json!({"matrix": {"params": [{"name": "m", "value": "$(params.x[*])"}]}})),
            "",
        ),
        (
            task(json!({"matrix": {"include": [{"name": "i", "params": [{"name": "m", "value": ["x"]}]}]}})),
            "invalid value: parameters of type string only are allowed in matrix.include: spec.tasks[0].matrix.include[0].params[0].value",
        ),
        (
            task(
                json!({"params": [{"name": "m", "value": "x"}], "matrix": {"params": [{"name": "m", "value": ["x"]}]}}),
            ),
            "expected exactly one, got both: spec.tasks[0].matrix[m], spec.tasks[0].params[m]",
        ),
        (
            task(
                json!({"matrix": {"params": [{"name": "m", "value": vec!["x"; 17]}, {"name": "n", "value": vec!["x"; 16]}]}}),
            ),
            "expected 0 <= 272 <= 256: spec.tasks[0].matrix",
        ),
        (
            with(
                task(json!({})),
                json!({"results": [{"name": "r"}, {"name": "r", "value": "$(tasks.a.results.r)"}]}),
            ),
            "expected exactly one, got both: spec.results[1].name\nmissing field(s): spec.results[0].value",
        ),
        (
            json!({"tasks": [{"name": "a", "pipelineRef": {"name": "p"}}]}),
            "must not set the field(s): spec.tasks[0].pipelineRef",
        ),
    ] {
        assert_eq!(wrong(Resource::Pipeline, spec.clone()), expected, "{spec}");
    }
}

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

#[test]
fn what_was_removed_is_told_with_what_replaces_it() {
    for (resource, spec, path, instead) in [
        (
            Resource::Task,
            json!({"inputs": {}}),
            "spec.inputs",
            "spec.params",
        ),
        (
            Resource::Task,
            json!({"outputs": {}}),
            "spec.outputs",
            "spec.results",
        ),
        (
            Resource::Task,
            step(json!({"resources": {}})),
            "spec.steps[0].resources",
            "computeResources",
        ),
        (
            Resource::Task,
            step(json!({"args": ["a", "$(inputs.resources.src.url)"]})),
            "spec.steps[0].args[1]",
            "$(params.…)",
        ),
        (
            Resource::Task,
            step(json!({"env": [{"name": "A", "value": "$(outputs.resources.image.url)"}]})),
            "spec.steps[0].env[0].value",
            "$(workspaces.….path)",
        ),
        (
            Resource::Pipeline,
            json!({"tasks": [{"conditions": []}]}),
            "spec.tasks[0].conditions",
            "when",
        ),
        (
            Resource::Pipeline,
            json!({"finally": [{"taskSpec": {"inputs": {}}}]}),
            "spec.finally[0].taskSpec.inputs",
            "spec.params",
        ),
        (
            Resource::TaskRun,
            json!({"taskRef": {"bundle": "x"}}),
            "spec.taskRef.bundle",
            "resolver bundles",
        ),
        (
            Resource::TaskRun,
            json!({"stepOverrides": []}),
            "spec.stepOverrides",
            "stepSpecs",
        ),
        (
            Resource::PipelineRun,
            json!({"serviceAccountName": "x"}),
            "spec.serviceAccountName",
            "taskRunTemplate",
        ),
        (
            Resource::PipelineRun,
            json!({"timeout": "1h"}),
            "spec.timeout",
            "timeouts.pipeline",
        ),
        (
            Resource::PipelineRun,
            json!({"taskRunSpecs": [{"taskPodTemplate": {}}]}),
            "spec.taskRunSpecs[0].taskPodTemplate",
            "podTemplate",
        ),
    ] {
        let errors = removed(resource, &json!({"spec": spec})).merged();
        let [error] = errors.as_slice() else {
            panic!("{spec}: {errors:?}");
        };
        assert_eq!(error.paths, [path]);
        assert!(error.details.contains(instead), "{}", error.details);
    }
    let fine = step(json!({"args": ["$(inputs.params.x)"]}));
    assert!(removed(Resource::Task, &json!({"spec": fine})).is_empty());
}

#[test]
fn config_maps_are_checked() {
    let map = |name: &str, key: &str| json!({"metadata": {"name": name}, "data": {key: "x"}});
    assert!(config_map(&map("config-defaults", "default-timeout-minutes")).is_err());
    assert!(config_map(&map("feature-flags", "enable-api-fields")).is_err());
    assert!(config_map(&map("feature-flags", "unknown")).is_ok());
    assert!(config_map(&map("something", "enable-api-fields")).is_ok());
}
