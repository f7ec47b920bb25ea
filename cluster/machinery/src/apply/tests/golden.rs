use serde_json::json;

use super::super::*;
use super::support::*;

#[test]
fn the_record_is_written_as_kubernetes_writes_it() {
    let config = json!({
        "apiVersion": "apps/v1", "kind": "Thing",
        "metadata": {"name": "x", "namespace": "n", "creationTimestamp": null, "labels": {"app": "x"}, "finalizers": ["f"]},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "args": ["a"], "containers": [
            {"name": "c", "image": "i", "ports": [{"containerPort": 80}], "emptyDir": {}},
        ]},
    });
    let object = applied(None, "kubectl", &config, 0);
    assert_eq!(
        object["metadata"]["managedFields"],
        json!([{
            "manager": "kubectl", "operation": "Apply", "apiVersion": "apps/v1", "time": "2025-10-09T08:53:20Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {"v:\"f\"": {}}},
                "f:spec": {
                    "f:replicas": {}, "f:selector": {}, "f:args": {},
                    "f:containers": {"k:{\"name\":\"c\"}": {
                        ".": {}, "f:name": {}, "f:image": {}, "f:emptyDir": {},
                        "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                    }},
                },
            },
        }])
    );
    assert_eq!(
        bare(&object)["metadata"],
        json!({"name": "x", "namespace": "n", "labels": {"app": "x"}, "finalizers": ["f"]})
    );
}

#[test]
fn a_create_is_recorded_with_its_containers() {
    let new = json!({
        "apiVersion": "apps/v1", "kind": "Thing",
        "metadata": {"name": "x", "namespace": "n", "uid": "u", "labels": {"app": "x"}},
        "spec": {"replicas": 1, "strategy": {"type": "A"}}, "status": {"replicas": 0},
    });
    assert_eq!(
        owners(&updated(None, "kubectl-create", &new, 0)),
        [
            "kubectl-create Update: .metadata.labels .metadata.labels.app .spec .spec.replicas .spec.strategy .spec.strategy.type"
        ]
    );
}

#[test]
fn one_conflict_and_several_are_worded_as_kubernetes_words_them() {
    let live = applied(
        None,
        "helm",
        &object(json!({"replicas": 1, "paused": true, "containers": [{"name": "c", "image": "1"}]})),
        0,
    );
    let error = try_apply(Some(&live), "me", &object(json!({"replicas": 2})), false, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"helm\": .spec.replicas"
    );
    assert_eq!(error.status_code(), 409);

    let mut scaled = live.clone();
    scaled["spec"]["replicas"] = json!(5);
    let scaled = updated(Some(&live), "kubectl-edit", &scaled, 2);
    let error = try_apply(Some(&scaled), "me", &object(json!({"replicas": 2})), false, 3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using apps/v1: .spec.replicas"
    );
    let config = object(json!({"replicas": 2, "paused": false, "containers": [{"name": "c", "image": "2"}]}));
    let error = try_apply(Some(&scaled), "me", &config, false, 3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 3 conflicts: conflicts with \"helm\":\n- .spec.containers[name=\"c\"].image\n- .spec.paused\n\
         conflicts with \"kubectl-edit\" using apps/v1:\n- .spec.replicas"
    );
    let ApplyError::Conflicts(conflicts) = error else {
        panic!()
    };
    assert_eq!(
        conflicts[2].to_string(),
        "conflict with \"kubectl-edit\" using apps/v1"
    );
    assert_eq!(conflicts[2].field, ".spec.replicas");
}

#[test]
fn force_takes_the_field_from_the_other() {
    let live = applied(None, "helm", &object(json!({"replicas": 1, "paused": true})), 0);
    let forced = try_apply(Some(&live), "me", &object(json!({"replicas": 2})), true, 1).unwrap();
    assert_eq!(bare(&forced), object(json!({"replicas": 2, "paused": true})));
    assert_eq!(
        owners(&forced),
        ["helm Apply: .spec.paused", "me Apply: .spec.replicas"]
    );
}

#[test]
fn equal_values_are_shared_not_disputed() {
    let live = applied(None, "helm", &object(json!({"replicas": 1})), 0);
    let shared = applied(Some(&live), "me", &object(json!({"replicas": 1})), 1);
    assert_eq!(
        owners(&shared),
        ["helm Apply: .spec.replicas", "me Apply: .spec.replicas"]
    );
    // One lets go: the other still owns it.
    let left = applied(Some(&shared), "helm", &object(json!({})), 2);
    assert_eq!(bare(&left), object(json!({"replicas": 1})));
    // An empty map is a value of its own, and owned.
    assert_eq!(owners(&left), ["me Apply: .spec.replicas", "helm Apply: .spec"]);
}

#[test]
fn applying_nothing_new_changes_nothing_at_all() {
    let config =
        object(json!({"replicas": 1, "containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}));
    let live = applied(None, "me", &config, 0);
    // The server's own fields and defaults in between.
    let mut stored = live.clone();
    stored["metadata"]["uid"] = json!("u");
    stored["metadata"]["resourceVersion"] = json!("7");
    stored["spec"]["containers"][0]["ports"][0]["protocol"] = json!("TCP");
    assert_eq!(applied(Some(&stored), "me", &config, 100), stored);
    let float =
        object(json!({"replicas": 1.0, "containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}));
    assert_eq!(
        applied(Some(&stored), "me", &float, 100).to_string(),
        stored.to_string()
    );
}

#[test]
fn fields_no_longer_applied_go() {
    let table = [
        // (first, second, result)
        (
            json!({"replicas": 1, "paused": true}),
            json!({"replicas": 1}),
            json!({"replicas": 1}),
        ),
        (
            json!({"replicas": 1, "containers": [{"name": "a"}, {"name": "b", "image": "i"}]}),
            json!({"replicas": 1, "containers": [{"name": "b"}]}),
            json!({"replicas": 1, "containers": [{"name": "b"}]}),
        ),
        (
            json!({"replicas": 1, "strategy": {"type": "A"}}),
            json!({"replicas": 1}),
            json!({"replicas": 1}),
        ),
        (
            json!({"replicas": 1, "free": {"a": {"b": 1, "c": 2}}}),
            json!({"replicas": 1, "free": {"a": {"b": 1}}}),
            json!({"replicas": 1, "free": {"a": {"b": 1}}}),
        ),
        (
            json!({"replicas": 1, "selector": {"matchLabels": {"a": "b", "c": "d"}}}),
            json!({"replicas": 1, "selector": {"matchLabels": {"a": "b"}}}),
            json!({"replicas": 1, "selector": {"matchLabels": {"a": "b"}}}),
        ),
        (
            json!({"containers": [{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 1, "protocol": "UDP"}]}]}),
            json!({"containers": [{"name": "a", "ports": [{"containerPort": 1, "protocol": "UDP"}]}]}),
            json!({"containers": [{"name": "a", "ports": [{"containerPort": 1, "protocol": "UDP"}]}]}),
        ),
    ];
    for (first, second, result) in table {
        let live = applied(None, "me", &object(first), 0);
        let now = applied(Some(&live), "me", &object(second.clone()), 1);
        assert_eq!(bare(&now), object(result), "{second}");
    }
}

#[test]
fn defaults_inside_a_removed_item_go_with_it() {
    let live = applied(
        None,
        "me",
        &object(json!({"replicas": 1, "containers": [{"name": "a"}, {"name": "b"}]})),
        0,
    );
    let mut stored = live.clone();
    stored["spec"]["containers"][1]["image"] = json!("default");
    let now = applied(
        Some(&stored),
        "me",
        &object(json!({"replicas": 1, "containers": [{"name": "a"}]})),
        1,
    );
    assert_eq!(
        bare(&now),
        object(json!({"replicas": 1, "containers": [{"name": "a"}]}))
    );
}

#[test]
fn what_an_update_changed_is_its_own_and_survives() {
    let live = applied(
        None,
        "helm",
        &object(json!({"replicas": 1, "containers": [{"name": "a", "image": "1"}]})),
        0,
    );
    let mut edited = live.clone();
    edited["spec"]["paused"] = json!(true);
    edited["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "sidecar", "image": "s"}));
    let edited = updated(Some(&live), "webhook", &edited, 1);
    assert_eq!(
        owners(&edited)[1],
        "webhook Update: .spec.containers[name=\"sidecar\"] .spec.containers[name=\"sidecar\"].image \
         .spec.containers[name=\"sidecar\"].name .spec.paused"
    );
    let again = applied(
        Some(&edited),
        "helm",
        &object(json!({"containers": [{"name": "a", "image": "2"}]})),
        2,
    );
    assert_eq!(
        bare(&again),
        object(
            json!({"paused": true, "containers": [{"name": "a", "image": "2"}, {"name": "sidecar", "image": "s"}]})
        )
    );
}

#[test]
fn lists_keep_an_order_that_satisfies_both() {
    let names = |names: &[&str]| {
        object(json!({"containers": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()}))
    };
    let table: [(&[&str], &[&str], &[&str]); 6] = [
        (&["a", "b", "c"], &["c", "a"], &["b", "c", "a"]),
        (&["a", "b"], &["n", "b"], &["a", "n", "b"]),
        (&["a", "b"], &["b", "n"], &["a", "b", "n"]),
        (&["a", "b", "c"], &["a", "c"], &["a", "b", "c"]),
        (&["x", "a"], &["n"], &["x", "a", "n"]),
        (&[], &["b", "a"], &["b", "a"]),
    ];
    for (live, config, result) in table {
        let stored = updated(None, "other", &names(live), 0);
        let now = try_apply(Some(&stored), "me", &names(config), true, 1).unwrap();
        assert_eq!(bare(&now), names(result), "{live:?} {config:?}");
    }
}

#[test]
fn an_untracked_object_belongs_to_before_first_apply() {
    let live = object(json!({"replicas": 1, "paused": true}));
    let now = applied(Some(&live), "me", &object(json!({"replicas": 1})), 1);
    assert_eq!(
        owners(&now),
        [
            "me Apply: .spec.replicas",
            "before-first-apply Update: .spec .spec.paused .spec.replicas"
        ]
    );
    let error = try_apply(Some(&live), "me", &object(json!({"replicas": 2})), false, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using apps/v1: .spec.replicas"
    );
}

#[test]
fn kubectl_may_take_over_what_it_applied_on_the_client_side() {
    let config = |replicas: u64, extra: Value| {
        let mut object = object(json!({"replicas": replicas}));
        object["spec"]["paused"] = extra;
        object
    };
    let mut created = config(1, json!(true));
    created["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": format!("{}\n", config(1, json!(true)))});
    let live = updated(None, "kubectl-client-side-apply", &created, 0);
    // Another manager meets the conflict.
    assert!(try_apply(Some(&live), "argo", &config(2, json!(true)), false, 1).is_err());
    let now = applied(Some(&live), "kubectl", &config(2, json!(true)), 1);
    assert_eq!(now["spec"]["replicas"], json!(2));
    let annotation = now["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
        .as_str()
        .unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(annotation).unwrap(),
        config(2, json!(true))
    );
    // A field somebody changed since is still in dispute, and only that one.
    let mut scaled = live.clone();
    scaled["spec"]["replicas"] = json!(7);
    let scaled = updated(Some(&live), "scaler", &scaled, 2);
    let error = try_apply(Some(&scaled), "kubectl", &config(2, json!(false)), false, 3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"scaler\" using apps/v1: .spec.replicas"
    );
}

#[test]
fn the_status_subresource_has_its_own_manager() {
    let live = applied(None, "helm", &object(json!({"replicas": 1})), 0);
    let mut new = live.clone();
    new["status"] = json!({"replicas": 1, "phase": "Ready"});
    record_update(UpdateRequest {
        old: Some(&live),
        new: &mut new,
        manager: "controller",
        subresource: Some("status"),
        reset_fields: reset_fields(Some("status"), true),
        schema: &schema(),
        versions_differ: false,
        now: at(1),
    });
    assert_eq!(
        owners(&new),
        [
            "helm Apply: .spec.replicas",
            "controller/status Update: .status .status.phase .status.replicas"
        ]
    );
    let error = apply(ApplyRequest {
        live: Some(&new),
        config: &json!({"apiVersion": "apps/v1", "kind": "Thing", "metadata": {"name": "x"}, "status": {"phase": "Bad"}}),
        manager: "me",
        force: false,
        subresource: Some("status"),
        reset_fields: reset_fields(Some("status"), true),
        schema: &schema(),
        versions_differ: false,
        now: at(2),
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"controller\" with subresource \"status\" using apps/v1: .status.phase"
    );
    // Through the main resource, status is nobody's business.
    let mut config = object(json!({"replicas": 1}));
    config["status"] = json!({"phase": "Bad"});
    let now = applied(Some(&new), "other", &config, 3);
    assert!(owners(&now).contains(&"other Apply: .spec.replicas".to_owned()));
}

#[test]
fn the_record_can_be_reset_and_then_nothing_is_tracked() {
    let live = applied(None, "me", &object(json!({"replicas": 1})), 0);
    for reset in [json!([]), json!([{}])] {
        let mut new = live.clone();
        new["metadata"]["managedFields"] = reset;
        new["spec"]["replicas"] = json!(2);
        let new = updated(Some(&live), "curl", &new, 1);
        assert_eq!(new, object(json!({"replicas": 2})));
        let mut later = new.clone();
        later["spec"]["replicas"] = json!(3);
        assert_eq!(
            updated(Some(&new), "curl", &later, 2),
            object(json!({"replicas": 3}))
        );
    }
    // A client that does not know the field does not erase it; nor does one that writes nonsense.
    let mut unaware = bare(&live);
    assert_eq!(updated(Some(&live), "curl", &unaware, 1), live);
    unaware["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Jump"}]);
    assert_eq!(updated(Some(&live), "curl", &unaware, 1), live);
}

#[test]
fn old_updaters_become_one() {
    let mut live = updated(None, "m0", &object(json!({"free": {"k0": 0}})), 0);
    for number in 1..=14 {
        let mut new = live.clone();
        new["spec"]["free"][format!("k{number}")] = json!(number);
        live = updated(Some(&live), &format!("m{number}"), &new, number);
    }
    let owners = owners(&live);
    assert_eq!(owners.len(), 10, "{owners:?}");
    assert!(
        owners[0].starts_with("ancient-changes Update: .spec .spec.free .spec.free.k0 "),
        "{owners:?}"
    );
    assert!(owners.iter().any(|owner| owner.starts_with("m14 ")));
}

#[test]
fn what_cannot_be_applied_is_named() {
    let table = [
        (
            object(json!({"foo": 1})),
            "failed to create typed patch object (n/x; apps/v1, Kind=Thing): .spec.foo: field not declared in schema",
        ),
        (
            object(json!({"containers": [{"image": "i"}]})),
            "failed to create typed patch object (n/x; apps/v1, Kind=Thing): .spec.containers: element 0: associative list with keys has an element that omits key field \"name\" (and doesn't have default value)",
        ),
        (
            object(json!({"containers": [{"name": "a"}, {"name": "a"}]})),
            "failed to create typed patch object (n/x; apps/v1, Kind=Thing): .spec.containers: duplicate entries for key [name=\"a\"]",
        ),
        (
            object(json!({"foo": 1, "bar": 2})),
            "failed to create typed patch object (n/x; apps/v1, Kind=Thing): errors:\n  .spec.bar: field not declared in schema\n  .spec.foo: field not declared in schema",
        ),
        (json!([]), "an applied configuration must be an object"),
        (
            json!({"metadata": {"managedFields": [{"manager": "x"}]}}),
            "metadata.managedFields must be nil",
        ),
    ];
    for (config, expected) in table {
        let error = try_apply(None, "me", &config, false, 0).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.status_code(), 400);
    }
    assert!(try_apply(None, "", &object(json!({})), false, 0).is_err());
}

#[test]
fn objects_that_repeat_a_key_can_still_be_applied_to() {
    let stored = updated(
        None,
        "old",
        &object(
            json!({"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "B"}]}]}),
        ),
        0,
    );
    let untouched = applied(
        Some(&stored),
        "me",
        &object(json!({"containers": [{"name": "c", "env": [{"name": "C"}]}]})),
        1,
    );
    assert_eq!(
        untouched["spec"]["containers"][0]["env"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let config = object(json!({"containers": [{"name": "c", "env": [{"name": "A", "value": "3"}]}]}));
    let now = try_apply(Some(&stored), "me", &config, true, 1).unwrap();
    assert_eq!(
        now["spec"]["containers"][0]["env"],
        json!([{"name": "A", "value": "3"}, {"name": "B"}])
    );
}

#[test]
fn a_list_that_became_atomic_is_owned_whole() {
    let mut live = applied(None, "me", &object(json!({"args": ["a"]})), 0);
    live["metadata"]["managedFields"][0]["fieldsV1"] = json!({"f:spec": {"f:args": {"v:\"a\"": {}}}});
    let now = applied(Some(&live), "me", &object(json!({"replicas": 1})), 1);
    assert_eq!(bare(&now), object(json!({"replicas": 1})));
}

#[test]
fn managers_of_a_version_with_other_fields_are_left_alone() {
    let live = applied(None, "older", &object(json!({"replicas": 1, "paused": true})), 0);
    let config = |spec: Value| json!({"apiVersion": "apps/v2", "kind": "Thing", "metadata": {"name": "x", "namespace": "n"}, "spec": spec});
    let schema = schema();
    let put = |live: &Value, manager: &str, spec: Value| {
        let request = ApplyRequest {
            live: Some(live),
            config: &config(spec),
            manager,
            force: false,
            subresource: None,
            reset_fields: &[],
            schema: &schema,
            versions_differ: true,
            now: at(1),
        };
        apply(request).unwrap()
    };
    // Elsewhere it would be a conflict.
    let scaled = put(&live, "newer", json!({"replicas": 2}));
    let both = [
        "older Apply: .spec.paused .spec.replicas",
        "newer Apply: .spec.replicas",
    ];
    assert_eq!(owners(&scaled), both);
    // What others may own under another name stays.
    let gone = put(&scaled, "newer", json!({"args": []}));
    assert_eq!(gone["spec"]["replicas"], 2);
    let mut updated = gone.clone();
    updated["apiVersion"] = json!("apps/v2");
    updated["spec"]["paused"] = json!(false);
    record_update(UpdateRequest {
        old: Some(&gone),
        new: &mut updated,
        manager: "third",
        subresource: None,
        reset_fields: &[],
        schema: &schema,
        versions_differ: true,
        now: at(2),
    });
    assert_eq!(
        owners(&updated),
        [
            "older Apply: .spec.paused .spec.replicas",
            "newer Apply: .spec.args",
            "third Update: .spec.paused"
        ]
    );
    // The same applier says anew what it owns, in another version.
    let moved = put(&updated, "older", json!({"replicas": 2}));
    assert_eq!(
        owners(&moved),
        [
            "newer Apply: .spec.args",
            "older Apply: .spec.replicas",
            "third Update: .spec.paused"
        ]
    );
}
