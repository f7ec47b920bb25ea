use crds::tekton::ParamValue;
use serde_json::{Value, json};

use super::super::*;
use super::world::{World, named, with};

fn needs(text: &str, value: &str) -> Value {
    with(text, json!({"params": [{"name": "p", "value": value}]}))
}

#[test]
fn tasks_run_in_their_order_and_finally_at_the_end() {
    let mut world = World::new(
        json!({"tasks": [named("a"), named("b<a"), named("c<a")], "finally": [named("z")]}),
        json!({}),
    );
    assert_eq!(world.step(), ["run-a"]);
    assert_eq!(world.told(), "Unknown Running");
    assert_eq!(
        world.message(),
        "Tasks Completed: 0 (Failed: 0, Cancelled 0), Incomplete: 4, Skipped: 0"
    );
    world.succeed("a");
    assert_eq!(world.step(), ["run-b", "run-c"]);
    world.succeed("b");
    assert!(world.step().is_empty());
    assert!(world.status().finally_start_time.is_none());
    world.succeed("c");
    world.now += 5;
    assert_eq!(world.step(), ["run-z"]);
    assert_eq!(
        world.status().finally_start_time.as_ref().unwrap().0.as_second(),
        1005
    );
    world.succeed("z");
    world.step();
    assert_eq!(world.told(), "True Succeeded");
    assert_eq!(
        world.message(),
        "Tasks Completed: 4 (Failed: 0, Cancelled 0), Skipped: 0"
    );
    let children: Vec<&str> = world
        .status()
        .child_references
        .iter()
        .map(|child| child.name.as_str())
        .collect();
    assert_eq!(children, ["run-a", "run-b", "run-c", "run-z"]);
    assert!(world.status().completion_time.is_some());
}

#[test]
fn a_second_look_changes_nothing() {
    let mut world = World::of_tasks(&["a", "b<a"]);
    world.step();
    let first = world.status().clone();
    world.now += 60;
    assert!(world.step().is_empty());
    assert_eq!(*world.status(), first);
}

#[test]
fn a_failure_stops_what_has_not_begun() {
    let mut world = World::new(
        json!({"tasks": [named("a"), named("b"), named("c<b")], "finally": [named("z")]}),
        json!({}),
    );
    world.step();
    world.fail("a");
    assert!(world.step().is_empty());
    assert_eq!(world.told(), "Unknown PipelineRunStopping");
    world.succeed("b");
    assert_eq!(world.step(), ["run-z"]);
    assert_eq!(world.skipped(), [("c", "PipelineRun was stopping")]);
    world.succeed("z");
    world.step();
    assert_eq!(world.told(), "False Failed");
    assert_eq!(
        world.message(),
        "Tasks Completed: 3 (Failed: 1, Cancelled 0), Skipped: 1"
    );
}

#[test]
fn an_ignored_failure_stops_nothing() {
    let mut world = World::new(
        json!({"tasks": [with("a", json!({"onError": "continue"})), named("b<a")]}),
        json!({}),
    );
    world.step();
    let annotations = world.task_run("run-a").metadata.annotations.clone().unwrap();
    assert_eq!(
        annotations["pipeline.tekton.dev/pipeline-task-on-error"],
        "continue"
    );
    world.fail("a");
    assert_eq!(world.step(), ["run-b"]);
    world.succeed("b");
    world.step();
    assert_eq!(world.told(), "True Succeeded");
    assert_eq!(
        world.message(),
        "Tasks Completed: 2 (Failed: 1 (Ignored: 1), Cancelled 0), Skipped: 0"
    );
}

#[test]
fn a_task_skipped_by_its_own_conditions_is_skipped_alone() {
    let when = json!({"when": [{"input": "x", "operator": "in", "values": ["y"]}]});
    let mut guarded = with("a", when);
    guarded["taskRef"] = json!({"name": "work"});
    let mut world = World::new(
        json!({"tasks": [guarded, named("b<a"), needs("c", "$(tasks.a.results.r)"), named("d<c")]}),
        json!({}),
    );
    assert_eq!(world.step(), ["run-b"]);
    assert_eq!(
        world.skipped(),
        [
            ("a", "When Expressions evaluated to false"),
            ("c", "Results were missing"),
            ("d", "Parent Tasks were skipped"),
        ]
    );
    assert_eq!(world.status().skipped_tasks[0].when_expressions.len(), 1);
    world.succeed("b");
    world.step();
    assert_eq!(world.told(), "True Completed");
}

#[test]
fn conditions_see_params_and_results() {
    let when = |input: &str| json!([{"input": input, "operator": "in", "values": ["$(params.wanted[*])"]}]);
    let mut world = World::new(
        json!({
            "params": [{"name": "wanted", "type": "array", "default": ["1", "2"]}],
            "tasks": [named("a"), with("b", json!({"when": when("$(tasks.a.results.r)")})), with("c", json!({"when": when("$(tasks.a.results.s)")}))],
        }),
        json!({}),
    );
    world.step();
    world.succeed_with("a", "r", json!("2"));
    world.child("run-a").results.insert("s".to_owned(), "3".into());
    assert_eq!(world.step(), ["run-b"]);
    assert_eq!(world.skipped(), [("c", "When Expressions evaluated to false")]);
    let shown = &world.status().child_references[1].when_expressions[0];
    assert_eq!((shown.input.as_str(), shown.values.len()), ("2", 2));
}

#[test]
fn a_condition_in_cel_decides_with_what_was_put_in() {
    let world_of = |cel: &str, branch: &str| {
        let mut world = World::new(
            json!({"params": [{"name": "branch"}], "tasks": [with("a", json!({"when": [{"cel": cel}]}))]}),
            json!({"params": [{"name": "branch", "value": branch}]}),
        );
        let made = world.step();
        (world, made)
    };
    let is_main = "'$(params.branch)' == 'main'";
    assert_eq!(world_of(is_main, "main").1, ["run-a"]);
    for branch in ["other", "x' == 'x' || 'main"] {
        let (world, made) = world_of(is_main, branch);
        assert!(made.is_empty());
        assert_eq!(world.told(), "True Completed");
        assert_eq!(
            world.status().skipped_tasks[0].reason,
            "When Expressions evaluated to false"
        );
    }
    for (cel, words) in [
        ("'a' ==", "is not valid"),
        ("$(params.branch)", "must be true or false"),
    ] {
        let (world, made) = world_of(cel, "main");
        assert!(made.is_empty());
        assert_eq!(world.told(), "False CELEvaluationFailed");
        assert!(world.message().contains(words), "{}", world.message());
    }
}

#[test]
fn artifacts_reach_those_that_need_them() {
    let spec = json!({"steps": [{"name": "s", "image": "i", "script": "$(tasks.a.inputs.source)"}]});
    let optional = "$(tasks.a.outputs) $(tasks.a.outputs.none) $(tasks.c.inputs)";
    let optional = json!({"steps": [{"name": "s", "image": "i", "script": optional}]});
    let mut world = World::new(
        json!({"tasks": [
            named("a"), needs("b", "<$(tasks.a.outputs.image)>"), {"name": "c", "taskSpec": spec},
            needs("d", "$(tasks.b.outputs.none)"), {"name": "e", "taskSpec": optional},
        ]}),
        json!({}),
    );
    assert_eq!(world.step(), ["run-a"]);
    let made = json!({
        "inputs": [{"name": "source", "values": [{"uri": "git+https://h/r"}]}],
        "outputs": [{"name": "image", "values": [{"uri": "pkg:oci/i", "digest": {"sha256": "d"}}]}],
    });
    world.child("run-a").artifacts = serde_json::from_value(made).unwrap();
    world.succeed("a");
    assert_eq!(world.step(), ["run-b", "run-c"]);
    let param = &world.task_run("run-b").spec.params[0].value;
    let expected = r#"<[{"digest":{"sha256":"d"},"uri":"pkg:oci/i"}]>"#;
    assert_eq!(param.as_str(), Some(expected));
    let script = &world.task_run("run-c").spec.task_spec.as_ref().unwrap().steps[0].script;
    assert_eq!(script, r#"[{"uri":"git+https://h/r"}]"#);
    // What is not there fails the run, as a result would; a spec that is embedded keeps the variable.
    world.succeed("c");
    assert_eq!(world.step(), ["run-e"]);
    let script = &world.task_run("run-e").spec.task_spec.as_ref().unwrap().steps[0].script;
    let first = r#"[{"digest":{"sha256":"d"},"uri":"pkg:oci/i"}]"#;
    assert_eq!(
        script,
        &format!("{first} $(tasks.a.outputs.none) $(tasks.c.inputs)")
    );
    world.succeed("e");
    world.succeed("b");
    world.step();
    assert_eq!(world.told(), "False PipelineValidationFailed");
    assert!(
        world.message().contains("task d needs output none of task b"),
        "{}",
        world.message()
    );
}

#[test]
fn results_reach_those_that_need_them() {
    let mut world = World::new(
        json!({
            "tasks": [
                named("a"),
                needs("text", "<$(tasks.a.results.r)>"),
                needs("key", "$(tasks.a.results.o.k)"),
                needs("list", "$(tasks.a.results.l[*])"),
                needs("entry", "$(tasks.a.results.l[1])"),
                {"name": "inner", "taskSpec": {"steps": [{"name": "s", "image": "i", "args": ["$(tasks.a.results.l[*])"]}]}},
            ],
            "results": [
                {"name": "out", "value": "$(tasks.a.results.r)!"},
                {"name": "all", "value": "$(tasks.a.results.l[*])"},
                {"name": "none", "value": "$(tasks.key.results.nothing)"},
            ],
        }),
        json!({}),
    );
    assert_eq!(world.step(), ["run-a"]);
    world.succeed_with("a", "r", json!("$(params.x)"));
    let a = world.child("run-a");
    a.results
        .insert("o".to_owned(), ParamValue::from_json(&json!({"k": "v"})));
    a.results
        .insert("l".to_owned(), ParamValue::from_json(&json!(["0", "1"])));
    world.step();
    let param =
        |world: &World, name: &str| serde_json::to_value(&world.task_run(name).spec.params[0].value).unwrap();
    assert_eq!(param(&world, "run-text"), json!("<$(params.x)>"));
    assert_eq!(param(&world, "run-key"), json!("v"));
    assert_eq!(param(&world, "run-list"), json!(["0", "1"]));
    assert_eq!(param(&world, "run-entry"), json!("1"));
    let inner = world.task_run("run-inner").spec.task_spec.clone().unwrap();
    assert_eq!(
        serde_json::to_value(&inner.steps[0]).unwrap()["args"],
        json!(["0", "1"])
    );
    for name in ["text", "key", "list", "entry", "inner"] {
        world.succeed(name);
    }
    world.step();
    let results = serde_json::to_value(&world.status().results).unwrap();
    let expected = json!([{"name": "out", "value": "$(params.x)!"}, {"name": "all", "value": ["0", "1"]}]);
    assert_eq!(results, expected);
}

#[test]
fn a_result_that_was_not_written_fails_the_run_and_finally_runs() {
    let mut world = World::new(
        json!({
            "tasks": [named("a"), needs("b", "$(tasks.a.results.r)"), named("c<a")],
            "finally": [named("z"), needs("y", "$(tasks.a.results.r)")],
        }),
        json!({}),
    );
    world.step();
    world.succeed("a");
    assert_eq!(world.step(), ["run-z"]);
    assert_eq!(
        world.skipped(),
        [("c", "PipelineRun was stopping"), ("y", "Results were missing")]
    );
    world.succeed("z");
    world.step();
    assert_eq!(world.told(), "False PipelineValidationFailed");
    assert!(
        world
            .message()
            .contains("Failed Validation: 1 (task b needs result r of task a in params[0].value"),
        "{}",
        world.message()
    );
}

#[test]
fn finally_sees_how_tasks_went() {
    let value = "$(tasks.a.status) $(tasks.a.reason) $(tasks.b.status) $(tasks.status) $(tasks.a.results.r)";
    let mut world = World::new(
        json!({"tasks": [named("a"), named("b<a")], "finally": [needs("z", value)]}),
        json!({}),
    );
    world.step();
    world.fail("a");
    world.child("run-a").results.insert("r".to_owned(), "R".into());
    assert_eq!(world.step(), ["run-z"]);
    let param = world.task_run("run-z").spec.params[0].value.clone();
    assert_eq!(param, ParamValue::from("Failed StepFailed None Failed R"));
}

#[test]
fn a_matrix_is_fanned_out_and_its_results_are_a_list_in_order() {
    let numbers: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    let matrix = json!({"matrix": {"params": [{"name": "n", "value": numbers}]}});
    let mut world = World::new(
        json!({"tasks": [with("m", matrix), needs("b", "$(tasks.m.results.r[*])"), needs("c<m", "$(tasks.m.matrix.length)")]}),
        json!({}),
    );
    assert_eq!(world.step().len(), 12);
    for n in (0..12).rev() {
        world.succeed_with(&format!("m-{n}"), "r", json!(format!("r{n}")));
    }
    world.children.reverse();
    assert_eq!(world.step(), ["run-b", "run-c"]);
    let expected: Vec<String> = (0..12).map(|n| format!("r{n}")).collect();
    assert_eq!(
        world.task_run("run-b").spec.params[0].value,
        ParamValue::Array(expected)
    );
    assert_eq!(
        world.task_run("run-c").spec.params[0].value,
        ParamValue::from("12")
    );
    assert_eq!(
        world.task_run("run-m-10").spec.params[0].value,
        ParamValue::from("10")
    );
    let third = &world.status().child_references[2];
    assert_eq!(third.name, "run-m-2");
}

#[test]
fn an_empty_matrix_is_skipped_and_a_failing_one_is_finished_first() {
    let matrix = |values: Value| json!({"matrix": {"params": [{"name": "n", "value": values}]}});
    let mut world = World::new(
        json!({"tasks": [with("e", matrix(json!([]))), with("m", matrix(json!(["1", "2"]))), named("b<e")]}),
        json!({}),
    );
    assert_eq!(world.step(), ["run-m-0", "run-m-1"]);
    assert_eq!(
        world.skipped(),
        [
            ("e", "Matrix Parameters have an empty array"),
            ("b", "Parent Tasks were skipped")
        ]
    );
    world.fail("m-0");
    world.step();
    assert_eq!(world.told(), "Unknown Running");
    world.succeed("m-1");
    world.step();
    assert_eq!(world.told(), "False Failed");
}

#[test]
fn children_carry_what_the_run_says_about_them() {
    let mut world = World::new(
        json!({
            "workspaces": [{"name": "src"}],
            "tasks": [
                with("a", json!({"retries": 3, "workspaces": [{"name": "in", "workspace": "src", "subPath": "d"}]})),
                {"name": "custom", "taskRef": {"apiVersion": "x.dev/v1", "kind": "Approval", "name": "boss"}},
                {"name": "nested", "pipelineRef": {"name": "other"}, "params": [{"name": "p", "value": "$(context.pipelineRun.name)"}]},
            ],
        }),
        json!({
            "workspaces": [{"name": "src", "emptyDir": {}}],
            "taskRunTemplate": {"serviceAccountName": "builder", "podTemplate": {"schedulerName": "s", "priorityClassName": "low"}},
            "taskRunSpecs": [{"pipelineTaskName": "a", "podTemplate": {"priorityClassName": "high"}, "metadata": {"labels": {"l": "own"}}}],
        }),
    );
    world.run.metadata.labels = Some(
        [
            ("l".to_owned(), "run".to_owned()),
            ("chains.tekton.dev/x".to_owned(), "y".to_owned()),
        ]
        .into(),
    );
    world.step();
    let a = serde_json::to_value(world.task_run("run-a")).unwrap();
    let expected = json!({
        "l": "own", "tekton.dev/pipeline": "pipe", "tekton.dev/pipelineRun": "run", "tekton.dev/pipelineRunUID": "uid",
        "tekton.dev/pipelineTask": "a", "tekton.dev/memberOf": "tasks", "tekton.dev/task": "work",
    });
    assert_eq!(a["metadata"]["labels"], expected);
    assert_eq!(a["spec"]["serviceAccountName"], "builder");
    assert_eq!(
        a["spec"]["podTemplate"],
        json!({"schedulerName": "s", "priorityClassName": "high"})
    );
    assert_eq!(
        a["spec"]["workspaces"],
        json!([{"name": "in", "subPath": "d", "emptyDir": {}}])
    );
    assert_eq!(a["spec"]["retries"], 3);
    let kinds: Vec<Kind> = world.children.iter().map(|child| child.kind).collect();
    assert_eq!(kinds, [Kind::TaskRun, Kind::CustomRun, Kind::PipelineRun]);
    let Some(NewChild::PipelineRun(nested)) = world.made.get(2) else {
        panic!("a pipeline")
    };
    assert_eq!(nested.spec.params[0].value, ParamValue::from("run"));
}

#[test]
fn params_of_the_run_reach_embedded_specs_unless_something_nearer_does() {
    let spec = json!({
        "params": [{"name": "own", "default": "inner"}, {"name": "declared"}],
        "steps": [{"name": "s", "image": "i", "script": "$(params.own) $(params.declared) $(params.free) $(params.given)"}],
    });
    let mut world = World::new(
        json!({
            "params": [{"name": "own", "default": "outer"}, {"name": "declared", "default": "D"}, {"name": "free", "default": "F"}, {"name": "given", "default": "outer"}],
            "tasks": [{"name": "a", "taskSpec": spec, "params": [{"name": "given", "value": "G"}]}],
        }),
        json!({}),
    );
    world.step();
    let run = world.task_run("run-a");
    let script = &serde_json::to_value(run.spec.task_spec.clone().unwrap()).unwrap()["steps"][0]["script"];
    assert_eq!(script, "$(params.own) $(params.declared) F $(params.given)");
    let params = serde_json::to_value(&run.spec.params).unwrap();
    assert_eq!(
        params,
        json!([{"name": "given", "value": "G"}, {"name": "declared", "value": "D"}])
    );
}

#[test]
fn a_run_that_does_not_fit_its_pipeline_fails_with_its_reason() {
    let task = || json!([named("a")]);
    let inline = json!({"name": "a", "taskSpec": {"steps": [], "results": [{"name": "r"}]}});
    for (pipeline, spec, reason) in [
        (json!({"tasks": []}), json!({}), "PipelineValidationFailed"),
        (
            json!({"tasks": [{"name": "a"}]}),
            json!({}),
            "PipelineValidationFailed",
        ),
        (
            json!({"tasks": [named("a<b"), named("b<a")]}),
            json!({}),
            "PipelineInvalidGraph",
        ),
        (
            json!({"tasks": [named("a<x")]}),
            json!({}),
            "PipelineInvalidGraph",
        ),
        (
            json!({"tasks": [named("a"), named("a")]}),
            json!({}),
            "PipelineInvalidGraph",
        ),
        (
            json!({"tasks": task(), "params": [{"name": "p"}]}),
            json!({}),
            "ParameterMissing",
        ),
        (
            json!({"tasks": task(), "params": [{"name": "p"}]}),
            json!({"params": [{"name": "p", "value": ["x"]}]}),
            "ParameterTypeMismatch",
        ),
        (
            json!({"tasks": [needs("a", "$(params.l[3])")], "params": [{"name": "l", "default": ["x"]}]}),
            json!({}),
            "ParamArrayIndexingInvalid",
        ),
        (
            json!({"tasks": task(), "workspaces": [{"name": "w"}]}),
            json!({}),
            "InvalidWorkspaceBindings",
        ),
        (
            json!({"tasks": task()}),
            json!({"taskRunSpecs": [{"pipelineTaskName": "x"}]}),
            "InvalidTaskRunSpecs",
        ),
        (
            json!({"tasks": [inline, needs("b", "$(tasks.a.results.other)")]}),
            json!({}),
            "InvalidTaskResultReference",
        ),
        (
            json!({"tasks": task(), "results": [{"name": "r", "value": "$(tasks.x.results.r)"}]}),
            json!({}),
            "InvalidPipelineResultReference",
        ),
        (
            json!({"tasks": [with("a", json!({"matrix": {"params": [{"name": "p", "value": "x"}]}}))]}),
            json!({}),
            "InvalidMatrixParameterTypes",
        ),
        (
            json!({
                "tasks": [{"name": "a", "taskSpec": {"steps": [], "workspaces": [{"name": "w"}]}, "workspaces": [{"name": "w"}]}],
                "workspaces": [{"name": "w", "optional": true}],
            }),
            json!({}),
            "RequiredWorkspaceMarkedOptional",
        ),
    ] {
        let mut world = World::new(pipeline.clone(), spec);
        assert!(world.step().is_empty(), "{pipeline}");
        assert_eq!(
            world.told(),
            format!("False {reason}"),
            "{pipeline}: {}",
            world.message()
        );
    }
}

#[test]
fn the_run_itself_may_have_variables_in_its_workspaces_and_pods() {
    let mut world = World::new(
        json!({
            "params": [{"name": "p", "default": "d"}],
            "workspaces": [{"name": "w"}],
            "tasks": [with("a", json!({"workspaces": [{"name": "w", "subPath": "$(params.p)"}]}))],
        }),
        json!({
            "workspaces": [{"name": "w", "subPath": "$(context.pipelineRun.name)", "persistentVolumeClaim": {"claimName": "c-$(params.p)"}}],
            "taskRunSpecs": [{"pipelineTaskName": "a", "podTemplate": {"nodeSelector": {"k": "$(params.p)"}}}],
        }),
    );
    world.step();
    let spec = serde_json::to_value(&world.task_run("run-a").spec).unwrap();
    let expected = json!([{"name": "w", "subPath": "run/d", "persistentVolumeClaim": {"claimName": "c-d"}}]);
    assert_eq!(spec["workspaces"], expected);
    assert_eq!(spec["podTemplate"]["nodeSelector"], json!({"k": "d"}));
}

#[test]
fn a_long_chain_is_scheduled_in_little_time() {
    let names: Vec<String> = (0..300)
        .map(|n: usize| {
            if n == 0 {
                "t0".to_owned()
            } else {
                format!("t{n}<t{}", n - 1)
            }
        })
        .collect();
    let mut world = World::of_tasks(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for n in 0..300 {
        assert_eq!(world.step(), [format!("run-t{n}")]);
        world.succeed(&format!("t{n}"));
    }
    world.step();
    assert_eq!(world.told(), "True Succeeded");
}

#[test]
fn a_rerun_names_the_children_whose_work_may_be_done() {
    use crds::tekton::annotations::RERUN_OF;
    let matrix = json!({"params": [{"name": "m", "value": ["x", "y"]}]});
    let mut world = World::new(
        json!({"tasks": [
            named("a"), named("b<a"), named("c<b"), with("m", json!({"matrix": matrix})), named("d"), named("e<d"),
        ], "finally": [named("z")]}),
        json!({}),
    );
    world.run.metadata.annotations = Some([(RERUN_OF.to_owned(), "old".to_owned())].into());
    let asked = |world: &World, name: &str| {
        let notes = world
            .task_run(name)
            .metadata
            .annotations
            .clone()
            .unwrap_or_default();
        notes.get(RERUN_OF).cloned()
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(world.step(), ["run-a", "run-m-0", "run-m-1", "run-d"]);
    assert_eq!(asked(&world, "run-a"), named("old-a"));
    assert_eq!(asked(&world, "run-m-1"), named("old-m-1"));
    world.end("a", Outcome::Succeeded).taken_over = true;
    world.end("m-0", Outcome::Succeeded).taken_over = true;
    world.succeed("m-1");
    // It ran: what comes after it has to run too.
    world.succeed("d");
    assert_eq!(world.step(), ["run-b", "run-e"]);
    assert_eq!(asked(&world, "run-b"), named("old-b"));
    assert_eq!(asked(&world, "run-e"), None);
    world.succeed("b");
    world.succeed("e");
    assert_eq!(world.step(), ["run-c"]);
    assert_eq!(asked(&world, "run-c"), None);
    world.succeed("c");
    assert_eq!(world.step(), ["run-z"]);
    assert_eq!(asked(&world, "run-z"), None);
}
