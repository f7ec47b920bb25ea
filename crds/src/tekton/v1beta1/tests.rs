use proptest::prelude::*;

use super::*;

/// Both forms of one spec.
fn both(resource: Resource, old: &Value, new: &Value, kept: Option<&Value>) {
    let object = |version: &str, spec: &Value| json!({"apiVersion": format!("tekton.dev/{version}"), "metadata": {"name": "a"}, "spec": spec});
    let (older, mut newer) = (object("v1beta1", old), object("v1", new));
    if let Some(kept) = kept {
        newer["metadata"]["annotations"] = json!({ANNOTATION: kept.to_string()});
    }
    let mut found = older.clone();
    to_stored(resource, &mut found);
    assert_eq!(found, newer, "{resource:?}");
    let mut again = found.clone();
    from_stored(resource, &mut again);
    assert_eq!(again, older, "{resource:?}");
}

#[test]
fn fields_get_their_new_names_and_back() {
    let limits = json!({"limits": {"cpu": "1"}});
    let old_task = json!({
        "steps": [{"image": "i", "resources": limits}], "sidecars": [{"resources": limits}],
        "stepTemplate": {"resources": limits},
    });
    let new_task = json!({
        "steps": [{"image": "i", "computeResources": limits}], "sidecars": [{"computeResources": limits}],
        "stepTemplate": {"computeResources": limits},
    });
    let old_pipeline = json!({"tasks": [{"name": "a"}], "finally": [{"name": "z", "taskSpec": old_task}]});
    let new_pipeline = json!({"tasks": [{"name": "a"}], "finally": [{"name": "z", "taskSpec": new_task}]});
    both(Resource::Task, &old_task, &new_task, None);
    both(Resource::Pipeline, &old_pipeline, &new_pipeline, None);
    both(
        Resource::TaskRun,
        &json!({
            "taskSpec": old_task, "timeout": "1m", "stepOverrides": [{"name": "s", "resources": limits}],
            "sidecarOverrides": [{"name": "s", "resources": limits}], "computeResources": limits,
        }),
        &json!({
            "taskSpec": new_task, "timeout": "1m", "stepSpecs": [{"name": "s", "computeResources": limits}],
            "sidecarSpecs": [{"name": "s", "computeResources": limits}], "computeResources": limits,
        }),
        None,
    );
    both(
        Resource::PipelineRun,
        &json!({
            "pipelineSpec": old_pipeline, "serviceAccountName": "s", "podTemplate": {"nodeSelector": {"a": "b"}},
            "timeouts": {"pipeline": "5m", "finally": "1m"},
            "taskRunSpecs": [{
                "pipelineTaskName": "a", "taskServiceAccountName": "t", "taskPodTemplate": {},
                "stepOverrides": [{"name": "s", "resources": limits}],
            }],
        }),
        &json!({
            "pipelineSpec": new_pipeline,
            "taskRunTemplate": {"serviceAccountName": "s", "podTemplate": {"nodeSelector": {"a": "b"}}},
            "timeouts": {"pipeline": "5m", "finally": "1m"},
            "taskRunSpecs": [{
                "pipelineTaskName": "a", "serviceAccountName": "t", "podTemplate": {},
                "stepSpecs": [{"name": "s", "computeResources": limits}],
            }],
        }),
        None,
    );
}

#[test]
fn what_v1_says_in_one_way_only_is_said_as_before() {
    let bundle = |kind: &str| {
        json!({"resolver": "bundles", "params": [
            {"name": "bundle", "value": "b"}, {"name": "name", "value": "n"}, {"name": "kind", "value": kind},
        ]})
    };
    let reference = json!({"name": "n", "kind": "Task", "bundle": "b"});
    both(
        Resource::Pipeline,
        &json!({"tasks": [{"name": "a", "taskRef": reference}]}),
        &json!({"tasks": [{"name": "a", "taskRef": bundle("task")}]}),
        Some(&json!([{"at": ["spec", "tasks", "=a", "taskRef"], "fields": reference}])),
    );
    let reference = json!({"name": "n", "bundle": "b"});
    both(
        Resource::PipelineRun,
        &json!({"pipelineRef": reference, "timeout": "5m", "timeouts": {"finally": "1m"}}),
        &json!({"pipelineRef": bundle("pipeline"), "timeouts": {"finally": "1m", "pipeline": "5m"}}),
        Some(&json!([
            {"at": ["spec"], "fields": {"timeout": true}}, {"at": ["spec", "pipelineRef"], "fields": reference},
        ])),
    );
    both(
        Resource::PipelineRun,
        &json!({"timeout": "5m", "timeouts": {"pipeline": "1m"}, "pipelineRef": {"name": "n", "bundle": ""}}),
        &json!({"timeout": "5m", "timeouts": {"pipeline": "1m"}, "pipelineRef": {"name": "n", "bundle": ""}}),
        None,
    );
}

#[test]
fn what_v1_has_no_place_for_comes_back_where_its_place_still_is() {
    let ports = json!([{"containerPort": 80}]);
    let old = json!({"apiVersion": "tekton.dev/v1beta1", "spec": {
        "steps": [{"name": "a"}, {"name": "b", "ports": ports, "tty": true}, {"name": "c", "stdin": true}],
    }});
    let mut stored = old.clone();
    to_stored(Resource::Task, &mut stored);
    assert_eq!(
        stored["spec"]["steps"],
        json!([{"name": "a"}, {"name": "b"}, {"name": "c"}])
    );
    let mut same = stored.clone();
    from_stored(Resource::Task, &mut same);
    same.as_object_mut().unwrap().remove("metadata");
    assert_eq!(same, old);
    // Somebody changes the steps in v1.
    stored["spec"]["steps"] = json!([{"name": "b", "image": "i"}, {"name": "new"}]);
    from_stored(Resource::Task, &mut stored);
    assert_eq!(
        stored["spec"]["steps"],
        json!([{"name": "b", "image": "i", "ports": ports, "tty": true}, {"name": "new"}])
    );
    // Without unique names, places have numbers.
    let mut nameless = json!({"spec": {"steps": [{}, {"tty": true}]}});
    to_stored(Resource::Task, &mut nameless);
    from_stored(Resource::Task, &mut nameless);
    assert_eq!(nameless["spec"]["steps"], json!([{}, {"tty": true}]));
}

#[test]
fn a_reference_that_says_something_else_by_now_stays() {
    let mut run = json!({"spec": {"taskRef": {"name": "n", "bundle": "b"}}});
    to_stored(Resource::TaskRun, &mut run);
    run["spec"]["taskRef"]["params"][0]["value"] = json!("newer");
    let reference = run["spec"]["taskRef"].clone();
    from_stored(Resource::TaskRun, &mut run);
    assert_eq!(run["spec"]["taskRef"], reference);
}

#[test]
fn statuses_are_converted_too() {
    let results = json!([{"name": "r", "value": "v"}]);
    let retried = json!([{"taskResults": results, "cloudEvents": [1]}]);
    let old = json!({"apiVersion": "tekton.dev/v1beta1", "metadata": {}, "status": {
        "taskResults": results, "retriesStatus": retried, "resourcesResult": [], "taskSpec": {"steps": [{"resources": {}}]},
    }});
    let mut run = old.clone();
    to_stored(Resource::TaskRun, &mut run);
    assert_eq!(
        run["status"],
        json!({"results": results, "retriesStatus": [{"results": results}],
               "taskSpec": {"steps": [{"computeResources": {}}]}})
    );
    from_stored(Resource::TaskRun, &mut run);
    assert_eq!(run, old);
    let old = json!({"apiVersion": "tekton.dev/v1beta1", "metadata": {}, "status": {
        "pipelineResults": results, "taskRuns": {"a": {}}, "pipelineSpec": {"tasks": [{"taskSpec": {"stepTemplate": {"resources": {}}}}]},
    }});
    let mut run = old.clone();
    to_stored(Resource::PipelineRun, &mut run);
    assert_eq!(
        (&run["status"]["results"], &run["status"]["taskRuns"]),
        (&results, &Value::Null)
    );
    from_stored(Resource::PipelineRun, &mut run);
    assert_eq!(run, old);
}

#[test]
fn what_is_no_object_stays() {
    for spec in [
        json!(null),
        json!(1),
        json!({"steps": 1, "tasks": [1], "taskRef": [], "timeouts": 3, "timeout": 1}),
    ] {
        for resource in Resource::ALL {
            let mut object = json!({ "spec": spec });
            to_stored(*resource, &mut object);
            assert_eq!(object["spec"], spec);
            from_stored(*resource, &mut object);
            assert_eq!(object["spec"], spec);
        }
    }
}

/// Values whose fields have the names that matter, in places that matter and others.
fn anything() -> impl Strategy<Value = Value> {
    let names = [
        "spec",
        "status",
        "metadata",
        "annotations",
        ANNOTATION,
        "name",
        "steps",
        "sidecars",
        "stepTemplate",
        "resources",
        "computeResources",
        "taskRef",
        "pipelineRef",
        "bundle",
        "resolver",
        "params",
        "kind",
        "taskSpec",
        "pipelineSpec",
        "tasks",
        "finally",
        "taskRunSpecs",
        "stepSpecs",
        "stepOverrides",
        "taskRunTemplate",
        "serviceAccountName",
        "taskServiceAccountName",
        "podTemplate",
        "timeout",
        "timeouts",
        "pipeline",
        "ports",
        "tty",
        "results",
        "taskResults",
        "pipelineResults",
        "taskRuns",
        "retriesStatus",
        "cloudEvents",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!("a")),
        Just(json!(1)),
        Just(json!({})),
        Just(json!(r#"[{"at":["spec"],"fields":{"timeout":true}}]"#)),
    ];
    let name = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            4 => prop::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = (Resource, Value)> {
    let kinds = prop::sample::select(Resource::ALL.to_vec());
    (kinds, anything(), anything(), anything()).prop_map(|(kind, spec, status, metadata)| {
        (
            kind,
            json!({"spec": spec, "status": status, "metadata": metadata}),
        )
    })
}

/// An object of v1beta1 as admission lets it in: only names of that version, and nothing said twice.
fn written() -> impl Strategy<Value = (Resource, Value)> {
    let flag = any::<bool>;
    let step = |name: &'static str| {
        (flag(), flag(), flag()).prop_map(move |(resources, ports, tty)| {
            let mut step = json!({"name": name, "image": "i"});
            for (wanted, field) in [(resources, "resources"), (ports, "ports"), (tty, "tty")] {
                if wanted {
                    step[field] = json!({"x": 1});
                }
            }
            step
        })
    };
    let task = (step("a"), step("b"), step("template"), flag())
        .prop_map(|(a, b, template, sidecar)| {
            let mut task = json!({"steps": [a, b], "stepTemplate": template});
            if sidecar {
                task["sidecars"] = json!([{"name": "s", "resources": {}}]);
            }
            task
        })
        .boxed();
    let reference = prop_oneof![
        Just(json!({"name": "n"})),
        Just(json!({"name": "n", "kind": "Task", "bundle": "b"})),
        Just(json!({"resolver": "bundles", "params": [{"name": "bundle", "value": "b"}]})),
    ];
    let of_pipeline = (task.clone(), reference.clone()).prop_map(|(task, reference)| {
        json!({"tasks": [{"name": "a", "taskSpec": task}], "finally": [{"name": "z", "taskRef": reference}]})
    });
    let of_run = (of_pipeline.clone(), reference.clone(), 0..4, flag(), flag()).prop_map(
        |(pipeline, reference, timeout, account, overrides)| {
            let mut spec = json!({"pipelineSpec": pipeline, "pipelineRef": reference});
            match timeout {
                0 => spec["timeout"] = json!("1m"),
                1 => spec["timeouts"] = json!({"pipeline": "1m"}),
                2 => {
                    spec["timeout"] = json!("1m");
                    spec["timeouts"] = json!({"tasks": "1m"});
                }
                _ => {}
            }
            if account {
                spec["serviceAccountName"] = json!("s");
            }
            if overrides {
                let overrides = json!([{"name": "a", "resources": {}}]);
                spec["taskRunSpecs"] = json!([{"taskPodTemplate": {}, "stepOverrides": overrides}]);
            }
            spec
        },
    );
    prop_oneof![
        task.clone().prop_map(|spec| (Resource::Task, spec)),
        of_pipeline.prop_map(|spec| (Resource::Pipeline, spec)),
        of_run.prop_map(|spec| (Resource::PipelineRun, spec)),
        (task, reference).prop_map(|(task, reference)| {
            (Resource::TaskRun, json!({"taskSpec": task, "taskRef": reference}))
        }),
    ]
    .prop_map(|(resource, spec)| {
        let metadata = json!({"name": "a", "annotations": {"k": "v"}});
        (
            resource,
            json!({"apiVersion": "tekton.dev/v1beta1", "metadata": metadata, "spec": spec}),
        )
    })
}

proptest! {
    #[test]
    fn nothing_of_a_written_object_is_lost((resource, object) in written()) {
        let mut stored = object.clone();
        to_stored(resource, &mut stored);
        let mut shown = stored.clone();
        from_stored(resource, &mut shown);
        prop_assert_eq!(&shown, &object);
        to_stored(resource, &mut shown);
        prop_assert_eq!(shown, stored);
    }

    #[test]
    fn nothing_of_a_v1_object_is_lost((resource, object) in written()) {
        // One that v1beta1 never saw: its names are those of v1, and nothing is kept.
        let mut stored = object;
        to_stored(resource, &mut stored);
        stored["metadata"]["annotations"] = json!({"k": "v"});
        let mut shown = stored.clone();
        from_stored(resource, &mut shown);
        to_stored(resource, &mut shown);
        prop_assert_eq!(shown, stored);
    }

    #[test]
    fn whatever_it_is_what_is_stored_stays((resource, object) in object()) {
        let mut stored = object;
        to_stored(resource, &mut stored);
        let mut back = stored.clone();
        from_stored(resource, &mut back);
        to_stored(resource, &mut back);
        prop_assert_eq!(back, stored);
    }
}
