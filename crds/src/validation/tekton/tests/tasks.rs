//! Tasks: steps, params, results, workspaces.

use super::*;

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
