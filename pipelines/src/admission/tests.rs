use kube::core::admission::AdmissionResponse;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn answer_to(webhook: Webhook, kind: &str, spec: Value, old: Option<Value>) -> AdmissionResponse {
    let version = match kind {
        "StepAction" | "CustomRun" => "v1beta1",
        _ => "v1",
    };
    let object = |spec: Value| {
        json!({"apiVersion": format!("tekton.dev/{version}"), "kind": kind,
               "metadata": {"name": "x", "namespace": "ns"}, "spec": spec})
    };
    let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "name": "x", "namespace": "ns", "operation": operation,
            "kind": {"group": "tekton.dev", "version": version, "kind": kind},
            "resource": {"group": "tekton.dev", "version": version, "resource": "r"},
            "userInfo": {"username": "jane"}, "dryRun": false, "object": object(spec), "oldObject": old.map(object),
        },
    });
    let review: Review = serde_json::from_value(review).unwrap();
    handle(webhook, review, &Settings::default()).response.unwrap()
}

/// What a write is refused with; empty if it is let through.
fn refusal(kind: &str, spec: Value) -> String {
    let response = answer_to(Webhook::ResourceValidation, kind, spec, None);
    if response.allowed {
        return String::new();
    }
    assert_eq!(
        (response.result.code, response.result.reason.as_str()),
        (400, "BadRequest")
    );
    response.result.message
}

fn task(step: Value, more: Value) -> Value {
    let mut spec = json!({"steps": [{"name": "s", "image": "i"}]});
    spec["steps"][0]
        .as_object_mut()
        .unwrap()
        .extend(step.as_object().unwrap().clone());
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    spec
}

#[test]
fn defaults_come_as_a_patch() {
    let run = json!({"taskRef": {"name": "t"}});
    let response = answer_to(Webhook::Defaulting, "TaskRun", run, None);
    let patch: json_patch::Patch = serde_json::from_slice(response.patch.as_deref().unwrap()).unwrap();
    let mut object = json!({"metadata": {}, "spec": {"taskRef": {"name": "t"}}});
    json_patch::patch(&mut object, &patch).unwrap();
    assert_eq!(
        object,
        json!({
            "metadata": {"labels": {"app.kubernetes.io/managed-by": "tekton-pipelines"}},
            "spec": {"taskRef": {"name": "t", "kind": "Task"}, "timeout": "1h0m0s", "serviceAccountName": "default"},
        })
    );
}

#[test]
fn what_cannot_be_read_is_refused_with_the_field_that_is_wrong() {
    for (kind, spec, expected) in [
        (
            "Task",
            task(json!({"imagePullPolice": "x"}), json!({})),
            "mutation failed: cannot decode incoming new object: json: unknown field \"imagePullPolice\"",
        ),
        (
            "Task",
            task(json!({}), json!({"params": [{"name": "p", "type": "strng"}]})),
            "validation failed: invalid value: strng: spec.params[0].type\ntypes are string, array, object",
        ),
        (
            "TaskRun",
            json!({"taskRef": {"name": "t"}, "timeout": "soon"}),
            "validation failed: invalid value: \"soon\": spec.timeout\ntime: invalid duration \"soon\"",
        ),
        (
            "Task",
            task(json!({"resources": {}}), json!({})),
            "validation failed: must not set the field(s): spec.steps[0].resources\nresources was removed: use computeResources",
        ),
    ] {
        assert_eq!(refusal(kind, spec.clone()), expected, "{spec}");
        assert!(!answer_to(Webhook::Defaulting, kind, spec, None).allowed);
    }
    let wrong_type = refusal("Task", json!({"steps": "none"}));
    assert!(
        wrong_type.starts_with("validation failed: missing field(s): spec.steps"),
        "{wrong_type}"
    );
    // What was stored by an older version may stay as it is.
    let stored = task(json!({}), json!({"unheardOf": 1}));
    assert!(answer_to(Webhook::ResourceValidation, "Task", stored.clone(), Some(stored)).allowed);
}

#[test]
fn variables_of_tasks_stand_for_something() {
    let params = json!([
        {"name": "s"}, {"name": "with.dots"}, {"name": "a", "type": "array"},
        {"name": "o", "type": "object", "properties": {"k": {"type": "string"}}},
    ]);
    for (step, expected) in [
        (
            json!({"script": "echo $(params.s) $(params['with.dots']) $(params.with.dots) $(params.a[0]) $(params.o.k)"}),
            "",
        ),
        (json!({"args": ["$(params.a[*])", "x-$(params.s)"]}), ""),
        (
            json!({"script": "$(inputs.params.s) $(results.r.path) $(workspaces.w.path) $(context.taskRun.uid)"}),
            "",
        ),
        (
            json!({"script": "$(date) $(anything.else) $(steps.other.results.x)"}),
            "",
        ),
        (
            json!({"script": "$(params.x)"}),
            "non-existent variable in \"$(params.x)\": spec.steps[0].script",
        ),
        (
            json!({"image": "$(inputs.params.x)"}),
            "non-existent variable in \"$(inputs.params.x)\": spec.steps[0].image",
        ),
        (
            json!({"args": ["$(params.o.z)"]}),
            "non-existent variable in \"$(params.o.z)\": spec.steps[0].args",
        ),
        (
            json!({"script": "$(results.x.path)"}),
            "non-existent variable in \"$(results.x.path)\": spec.steps[0].script",
        ),
        (
            json!({"script": "$(context.taskRun.node)"}),
            "non-existent variable in \"$(context.taskRun.node)\": spec.steps[0].script",
        ),
        (
            json!({"args": ["x$(params.a[*])"]}),
            "variable is not properly isolated in \"$(params.a[*])\": a list needs an element of its own: spec.steps[0].args",
        ),
        (
            json!({"script": "$(params.a)"}),
            "variable is not properly isolated in \"$(params.a)\": a list needs an element of its own: spec.steps[0].script",
        ),
        (
            json!({"script": "$(params.o)"}),
            "variable type invalid in \"$(params.o)\": name a key of the object: spec.steps[0].script",
        ),
        (
            json!({"script": "$(params.s[0])"}),
            "variable type invalid in \"$(params.s[0])\": a string has no elements: spec.steps[0].script",
        ),
    ] {
        let more = json!({"params": params, "results": [{"name": "r"}], "workspaces": [{"name": "w"}]});
        let expected = if expected.is_empty() {
            String::new()
        } else {
            format!("validation failed: {expected}")
        };
        assert_eq!(refusal("Task", task(step.clone(), more)), expected, "{step}");
    }
    // A run's own spec may use what the run has.
    let run = json!({"taskSpec": task(json!({"script": "$(params.x)"}), json!({})), "params": [{"name": "x", "value": "1"}]});
    assert_eq!(refusal("TaskRun", run), "");
    let action =
        |env: &str| json!({"image": "i", "params": [{"name": "p"}], "env": [{"name": "E", "value": env}]});
    assert_eq!(refusal("StepAction", action("$(params.p)")), "");
    assert_eq!(
        refusal("StepAction", action("$(params.q)")),
        "validation failed: non-existent variable in \"$(params.q)\": spec.env[0].value"
    );
}

#[test]
fn variables_of_pipelines_stand_for_something() {
    let pipeline =
        |task: Value| json!({"params": [{"name": "p"}], "workspaces": [{"name": "w"}], "tasks": [task]});
    let given = |value: &str| json!({"name": "a", "taskRef": {"name": "t"}, "params": [{"name": "x", "value": value}]});
    let embedded = |script: &str| {
        json!({"name": "a", "params": [{"name": "x", "value": "1"}],
               "matrix": {"params": [{"name": "m", "value": ["1", "2"]}]},
               "taskSpec": {"params": [{"name": "own", "default": "1"}], "steps": [{"image": "i", "script": script}]}})
    };
    for (task, expected) in [
        (
            given("$(params.p) $(workspaces.w.bound) $(workspaces.of-task.path) $(context.pipelineRun.name)"),
            "",
        ),
        (
            given("$(params.q)"),
            "non-existent variable in \"$(params.q)\": spec.tasks[0].params[0].value",
        ),
        (
            given("$(context.pipelineRun.node)"),
            "non-existent variable in \"$(context.pipelineRun.node)\": spec.tasks[0].params[0].value",
        ),
        (embedded("$(params.own) $(params.x) $(params.m) $(params.p)"), ""),
        (
            embedded("$(params.q)"),
            "non-existent variable in \"$(params.q)\": spec.tasks[0].taskSpec.steps[0].script",
        ),
    ] {
        let expected = if expected.is_empty() {
            String::new()
        } else {
            format!("validation failed: {expected}")
        };
        assert_eq!(refusal("Pipeline", pipeline(task.clone())), expected, "{task}");
    }
}

#[test]
fn tasks_have_an_order() {
    let of = |name: &str, more: Value| {
        let mut task = json!({"name": name, "taskRef": {"name": "t"}});
        task.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        task
    };
    let after = |name: &str, other: &str| of(name, json!({"runAfter": [other]}));
    let using = |name: &str, value: &str| of(name, json!({"params": [{"name": "p", "value": value}]}));
    for (spec, expected) in [
        (
            json!({"tasks": [of("a", json!({})), after("b", "a"), using("c", "$(tasks.b.results.r)")]}),
            "",
        ),
        (
            json!({"tasks": [after("a", "b"), using("b", "$(tasks.a.results.r)")]}),
            "invalid value: cycle detected: tasks wait for each other in a circle: a → b → a: spec.tasks",
        ),
        (
            json!({"tasks": [after("a", "a")]}),
            "invalid value: cycle detected: tasks wait for each other in a circle: a → a: spec.tasks",
        ),
        (
            json!({"tasks": [after("a", "z")]}),
            "invalid value: task a depends on z but z wasn't present in Pipeline: spec.tasks[0].runAfter[0]",
        ),
        (
            json!({"tasks": [using("a", "$(tasks.z.results.r)")]}),
            "invalid value: task a depends on z but z wasn't present in Pipeline: spec.tasks[0].params[0].value",
        ),
        (
            json!({"tasks": [of("a", json!({})), using("b", "$(tasks.a.status)")]}),
            "invalid value: $(tasks.a.status) is known in finally only: spec.tasks[1].params[0].value",
        ),
        (
            json!({"tasks": [of("a", json!({}))],
                   "finally": [using("f", "$(tasks.a.status) $(tasks.status) $(tasks.a.results.r)")]}),
            "",
        ),
        (
            json!({"tasks": [of("a", json!({}))], "finally": [using("f", "$(tasks.z.status)")]}),
            "invalid value: pipeline task z is not defined in the pipeline: spec.finally[0].params[0].value",
        ),
        (
            json!({"tasks": [of("a", json!({}))],
                   "finally": [of("f", json!({})), using("g", "$(tasks.f.results.r)")]}),
            "invalid value: invalid task result reference, final task has task result reference from another final task f: spec.finally[1].params[0].value",
        ),
        (
            json!({"tasks": [of("a", json!({}))], "finally": [of("f", json!({}))],
                   "results": [{"name": "x", "value": "$(tasks.a.results.r)"}, {"name": "y", "value": "$(finally.f.results.r)"}]}),
            "",
        ),
        (
            json!({"tasks": [of("a", json!({}))], "results": [{"name": "x", "value": "$(tasks.z.results.r)"}]}),
            "invalid value: referencing a nonexistent task: z: spec.results[0].value",
        ),
        (
            json!({"tasks": [of("a", json!({}))], "results": [{"name": "x", "value": "fixed"}]}),
            "invalid value: expected pipeline results to be task result expressions but no expressions were found: spec.results[0].value",
        ),
    ] {
        let plain = if expected.is_empty() {
            String::new()
        } else {
            format!("validation failed: {expected}")
        };
        assert_eq!(refusal("Pipeline", spec.clone()), plain, "{spec}");
        let inline = plain.replace(": spec.", ": spec.pipelineSpec.");
        assert_eq!(
            refusal("PipelineRun", json!({"pipelineSpec": spec})),
            inline,
            "{spec}"
        );
    }
}

#[test]
fn what_is_probably_a_mistake_is_warned_about() {
    for (kind, spec, field) in [
        (
            "Task",
            task(json!({"script": "$(params.)"}), json!({})),
            "spec.steps[0].script",
        ),
        (
            "Task",
            task(json!({"args": ["$(workspaces.x.path)"]}), json!({})),
            "non-existent variable in \"$(workspaces.x.path)\": spec.steps[0].args",
        ),
        (
            "Pipeline",
            json!({"tasks": [{"name": "a", "taskRef": {"name": "t"}, "displayName": "$(workspaces.x.bound)"}]}),
            "non-existent variable in \"$(workspaces.x.bound)\": spec.tasks[0].displayName",
        ),
    ] {
        let response = answer_to(Webhook::ResourceValidation, kind, spec.clone(), None);
        assert!(response.allowed, "{spec}");
        let warnings = response.warnings.unwrap_or_default();
        assert!(
            warnings.iter().any(|warning| warning.contains(field)),
            "{spec}: {warnings:?}"
        );
    }
    let fine = task(
        json!({"args": ["$(workspaces.w.path)"]}),
        json!({"workspaces": [{"name": "w"}]}),
    );
    assert_eq!(
        answer_to(Webhook::ResourceValidation, "Task", fine, None).warnings,
        None
    );
}

#[test]
fn rules_name_every_kind_and_only_ours() {
    let rules = WEBHOOKS.rules(Webhook::Defaulting);
    for definition in crds::tekton_definitions() {
        let (group, plural) = (&definition.spec.group, &definition.spec.names.plural);
        for version in &definition.spec.versions {
            let asked = rules.iter().any(|rule| {
                rule.api_groups.as_ref().unwrap().contains(group)
                    && rule.api_versions.as_ref().unwrap().contains(&version.name)
                    && rule.resources.as_ref().unwrap().contains(plural)
            });
            assert!(asked, "{plural}.{group}/{}", version.name);
        }
    }
}

proptest! {
    #[test]
    fn nothing_panics(script in "(\\$\\(|params|\\.|a|\\[\\*\\]|\\)|tasks|'|\\PC){0,12}", after in "[abc]", value in "\\PC{0,20}") {
        let step = json!({"script": script, "args": [value, script]});
        refusal("Task", task(step, json!({"params": [{"name": "a", "type": "array"}]})));
        refusal("Pipeline", json!({
            "tasks": [{"name": "a", "taskRef": {"name": "t"}, "runAfter": [after],
                       "params": [{"name": "p", "value": script}]}, {"name": "b", "taskRef": {"name": "t"}, "runAfter": ["a"]}],
            "results": [{"name": "r", "value": script}],
        }));
    }
}
