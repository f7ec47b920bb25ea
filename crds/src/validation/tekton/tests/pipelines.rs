//! Pipelines.

use super::*;

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
