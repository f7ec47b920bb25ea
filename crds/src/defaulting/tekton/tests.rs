use proptest::prelude::*;

use super::*;
use crate::config::tekton::Configs;

fn defaulted(resource: Resource, spec: Value) -> Value {
    let mut object = json!({"metadata": {"name": "x"}, "spec": spec});
    let configs = Configs::default();
    apply(resource, &mut object, &Context::creating(&configs));
    object
}

#[test]
fn each_kind_gets_its_defaults() {
    for (resource, given, expected) in [
        (
            Resource::TaskRun,
            json!({"taskRef": {"name": "t"}}),
            json!({"taskRef": {"name": "t", "kind": "Task"}, "timeout": "1h0m0s", "serviceAccountName": "default"}),
        ),
        (
            Resource::TaskRun,
            json!({"taskRef": {"resolver": "git"}, "timeout": "0s", "serviceAccountName": "me"}),
            json!({"taskRef": {"resolver": "git"}, "timeout": "0s", "serviceAccountName": "me"}),
        ),
        (
            Resource::PipelineRun,
            json!({"pipelineRef": {"name": "p"}}),
            json!({"pipelineRef": {"name": "p"}, "timeouts": {"pipeline": "1h0m0s"},
                   "taskRunTemplate": {"serviceAccountName": "default"}}),
        ),
        (
            Resource::Task,
            json!({"params": [{"name": "a"}, {"name": "b", "default": ["x"]}, {"name": "c", "properties": {"k": {}}},
                              {"name": "d", "default": {"k": "v"}}, {"name": "e", "default": 5}],
                   "results": [{"name": "r"}, {"name": "o", "properties": {"k": null}}],
                   "steps": [{"computeResources": {"limits": {"cpu": 1, "memory": "1Gi"}}}]}),
            json!({"params": [{"name": "a", "type": "string"}, {"name": "b", "type": "array", "default": ["x"]},
                              {"name": "c", "type": "object", "properties": {"k": {"type": "string"}}},
                              {"name": "d", "type": "object", "default": {"k": "v"}},
                              {"name": "e", "type": "string", "default": 5}],
                   "results": [{"name": "r", "type": "string"},
                               {"name": "o", "type": "object", "properties": {"k": {"type": "string"}}}],
                   "steps": [{"computeResources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}),
        ),
        (
            Resource::Pipeline,
            json!({"tasks": [{"taskRef": {"name": "t"}}, {"taskRef": {"name": "t", "apiVersion": "a/v1", "kind": "K"}},
                             {"taskSpec": {"params": [{"name": "p"}]}}],
                   "finally": [{"taskRef": {"name": "f"}}]}),
            json!({"tasks": [{"taskRef": {"name": "t", "kind": "Task"}},
                             {"taskRef": {"name": "t", "apiVersion": "a/v1", "kind": "K"}},
                             {"taskSpec": {"params": [{"name": "p", "type": "string"}]}}],
                   "finally": [{"taskRef": {"name": "f", "kind": "Task"}}]}),
        ),
        (
            Resource::CustomRun,
            json!({}),
            json!({"serviceAccountName": "default"}),
        ),
        (Resource::ResolutionRequest, json!({}), json!({})),
    ] {
        let found = defaulted(resource, given.clone());
        assert_eq!(found["spec"], expected, "{resource:?} {given}");
        let again = defaulted(resource, expected.clone());
        assert_eq!(again["spec"], expected, "{resource:?} again");
    }
    let run = defaulted(Resource::TaskRun, json!({}));
    assert_eq!(
        run["metadata"]["labels"],
        json!({"app.kubernetes.io/managed-by": "tekton-pipelines"})
    );
}

#[test]
fn a_resolver_by_default_is_taken_where_no_name_is() {
    let mut configs = Configs::default();
    configs.defaults.resolver_type = "git".to_owned();
    for (reference, expected) in [
        (json!({"name": "t"}), json!({"name": "t", "kind": "Task"})),
        (json!({"params": []}), json!({"params": [], "resolver": "git"})),
    ] {
        let mut object = json!({"spec": {"taskRef": reference}});
        apply(Resource::TaskRun, &mut object, &Context::creating(&configs));
        assert_eq!(object["spec"]["taskRef"], expected);
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_defaults_are_given_once(spec in crate::validation::tekton::tests::any_spec()) {
        for resource in Resource::ALL {
            let once = defaulted(*resource, spec.clone());
            prop_assert_eq!(&defaulted(*resource, once["spec"].clone())["spec"], &once["spec"]);
        }
    }
}
