mod pipelines;
mod removed;
mod runs;
mod tasks;

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
fn config_maps_are_checked() {
    let map = |name: &str, key: &str| json!({"metadata": {"name": name}, "data": {key: "x"}});
    assert!(config_map(&map("config-defaults", "default-timeout-minutes")).is_err());
    assert!(config_map(&map("feature-flags", "enable-api-fields")).is_err());
    assert!(config_map(&map("feature-flags", "unknown")).is_ok());
    assert!(config_map(&map("something", "enable-api-fields")).is_ok());
}
