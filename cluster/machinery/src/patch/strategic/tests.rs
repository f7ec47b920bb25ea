use proptest::prelude::*;
use serde_json::json;

use super::*;

fn schema() -> Schema {
    Schema::from_openapi(&json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge"},
        }},
        "spec": {"type": "object", "properties": {
            "replicas": {"type": "integer"},
            "strategy": {"type": "object", "x-kubernetes-patch-strategy": "retainKeys", "properties": {
                "type": {"type": "string"}, "rollingUpdate": {"type": "object", "properties": {"maxSurge": {"type": "integer"}}}}},
            "containers": {"type": "array", "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name",
                "items": {"type": "object", "properties": {
                    "name": {"type": "string"}, "image": {"type": "string"},
                    "args": {"type": "array", "items": {"type": "string"}},
                    "ports": {"type": "array", "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "containerPort",
                        "items": {"type": "object", "properties": {"containerPort": {"type": "integer"}, "protocol": {"type": "string"}}}},
                }}},
            "selector": {"type": "object", "x-kubernetes-patch-strategy": "replace", "additionalProperties": {"type": "string"}},
            "keyless": {"type": "array", "x-kubernetes-patch-strategy": "merge", "items": {"type": "object"}},
        }},
    }}))
    .unwrap()
}

fn patched(target: &Value, patch: &Value) -> Value {
    let mut target = target.clone();
    strategic(&mut target, patch, &schema()).unwrap_or_else(|error| panic!("{patch}: {error}"));
    target
}

#[test]
fn merges_as_kubernetes_does() {
    let spec = |spec: Value| json!({"spec": spec});
    let table = [
        // Maps merge, null removes, lists without strategy are replaced.
        (
            spec(json!({"replicas": 1, "x": {"a": 1, "b": 2}})),
            spec(json!({"x": {"a": null, "c": 3}})),
            spec(json!({"replicas": 1, "x": {"b": 2, "c": 3}})),
        ),
        (
            spec(json!({"containers": [{"name": "a", "args": ["1"]}]})),
            spec(json!({"containers": [{"name": "a", "args": ["2"]}]})),
            spec(json!({"containers": [{"name": "a", "args": ["2"]}]})),
        ),
        // Keyed lists merge; a new item comes first where the patch has nothing before it that was there.
        (
            spec(json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]})),
            spec(json!({"containers": [{"name": "b", "image": "3"}]})),
            spec(json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "3"}]})),
        ),
        (
            spec(json!({"containers": [{"name": "a"}]})),
            spec(json!({"containers": [{"name": "n", "image": null, "ports": [{"containerPort": 1}]}]})),
            spec(json!({"containers": [{"name": "n", "ports": [{"containerPort": 1}]}, {"name": "a"}]})),
        ),
        (
            spec(json!({"containers": [{"name": "a", "ports": [{"containerPort": 1}]}]})),
            spec(json!({"containers": [{"name": "a", "ports": [{"containerPort": 2}]}]})),
            spec(
                json!({"containers": [{"name": "a", "ports": [{"containerPort": 2}, {"containerPort": 1}]}]}),
            ),
        ),
        // Directives.
        (
            spec(json!({"containers": [{"name": "a"}, {"name": "b"}]})),
            spec(json!({"containers": [{"name": "a", "$patch": "delete"}]})),
            spec(json!({"containers": [{"name": "b"}]})),
        ),
        (
            spec(json!({"containers": [{"name": "a"}, {"name": "b"}]})),
            spec(json!({"containers": [{"$patch": "replace"}, {"name": "c"}]})),
            spec(json!({"containers": [{"name": "c"}]})),
        ),
        (
            spec(json!({"containers": [{"name": "a"}]})),
            spec(json!({"containers": [{"name": "a", "$patch": "merge", "image": "1"}]})),
            spec(json!({"containers": [{"name": "a", "image": "1"}]})),
        ),
        (
            spec(json!({"x": {"a": 1}})),
            spec(json!({"x": {"$patch": "replace", "b": 2}})),
            spec(json!({"x": {"b": 2}})),
        ),
        (
            spec(json!({"x": {"a": 1}})),
            spec(json!({"x": {"$patch": "delete"}})),
            spec(json!({"x": {}})),
        ),
        (
            spec(json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}})),
            spec(json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}})),
            spec(json!({"strategy": {"type": "Recreate"}})),
        ),
        (
            spec(json!({"selector": {"a": "1"}})),
            spec(json!({"selector": {"b": "2"}})),
            spec(json!({"selector": {"b": "2"}})),
        ),
        // Lists of scalars.
        (
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"finalizers": ["b", "c"]}}),
            json!({"metadata": {"finalizers": ["a", "b", "c"]}}),
        ),
        (
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
            json!({"metadata": {"finalizers": ["b"]}}),
        ),
        // Order.
        (
            spec(json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "s"}]})),
            spec(json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]})),
            spec(json!({"containers": [{"name": "b"}, {"name": "a"}, {"name": "s"}]})),
        ),
        (
            spec(json!({"containers": [{"name": "a"}, {"name": "b"}]})),
            spec(
                json!({"$setElementOrder/containers": [{"name": "a"}, {"name": "n"}, {"name": "b"}], "containers": [{"name": "n"}]}),
            ),
            spec(json!({"containers": [{"name": "a"}, {"name": "n"}, {"name": "b"}]})),
        ),
        (
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"$setElementOrder/finalizers": ["b", "c"], "finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}),
            json!({"metadata": {"finalizers": ["b", "c"]}}),
        ),
        (
            spec(json!({})),
            spec(
                json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a"}, {"name": "b"}]}),
            ),
            spec(json!({"containers": [{"name": "b"}, {"name": "a"}]})),
        ),
        // The type of a field changes.
        (
            spec(json!({"x": 1})),
            spec(json!({"x": {"a": {"$retainKeys": ["b"], "b": 1}}})),
            spec(json!({"x": {"a": {"b": 1}}})),
        ),
    ];
    for (target, patch, expected) in table {
        assert_eq!(patched(&target, &patch), expected, "{patch}");
    }
}

#[test]
fn the_patch_of_kubectl_apply_that_renames_a_container() {
    let live = json!({"spec": {"containers": [{"name": "old", "image": "i:1"}]}});
    let patch = json!({"spec": {
        "$setElementOrder/containers": [{"name": "new"}],
        "containers": [{"name": "new", "image": "i:2"}, {"$patch": "delete", "name": "old"}],
    }});
    assert_eq!(
        patched(&live, &patch),
        json!({"spec": {"containers": [{"name": "new", "image": "i:2"}]}})
    );
}

#[test]
fn misuse_is_refused_with_the_right_status() {
    let table = [
        (json!([]), 400),
        (json!({"spec": {"$patch": "jump"}}), 400),
        (json!({"spec": {"$retainKeys": "x"}}), 400),
        (json!({"spec": {"$retainKeys": ["a"], "b": 1}}), 400),
        (json!({"spec": {"$setElementOrder/containers": 1}}), 400),
        (json!({"spec": {"$deleteFromPrimitiveList/x": 1}}), 400),
        (json!({"spec": {"containers": ["x"]}}), 400),
        (json!({"spec": {"containers": [{"image": "x"}]}}), 422),
        (json!({"spec": {"keyless": [{}]}}), 422),
    ];
    for (patch, status) in table {
        let mut target = json!({"spec": {"containers": [{"name": "a"}], "keyless": [{"a": 1}]}});
        let error = strategic(&mut target, &patch, &schema()).unwrap_err();
        assert_eq!(error.status_code(), status, "{patch}: {error}");
    }
    let custom = Schema::for_custom_resource(&json!({"type": "object"})).unwrap();
    assert_eq!(
        strategic(&mut json!({}), &json!({}), &custom)
            .unwrap_err()
            .status_code(),
        415
    );
}

fn containers() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-d]", "[0-9]", 0..4)
        .prop_map(|map| {
            map.into_iter()
                .map(|(name, image)| json!({"name": name, "image": image}))
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(|items| json!({"spec": {"containers": items}}))
}

proptest! {
    #[test]
    fn patching_twice_is_patching_once(target in containers(), patch in containers()) {
        let once = patched(&target, &patch);
        prop_assert_eq!(patched(&once, &patch), once);
    }

    #[test]
    fn every_item_of_patch_and_target_survives(target in containers(), patch in containers()) {
        let result = patched(&target, &patch);
        let names = |value: &Value| -> std::collections::BTreeSet<String> {
            value["spec"]["containers"].as_array().unwrap().iter().map(|item| item["name"].to_string()).collect()
        };
        let both: std::collections::BTreeSet<String> = names(&target).union(&names(&patch)).cloned().collect();
        prop_assert_eq!(names(&result), both);
    }
}
