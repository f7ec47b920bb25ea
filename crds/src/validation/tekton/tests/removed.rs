//! What an older API had.

use super::*;

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
