use crds::config::tekton::{Defaults, Features};
use serde_json::{Value, json};

use super::*;

/// With two templates, a claim that two workspaces share, and something that is no claim.
fn run(mode: &str) -> PipelineRun {
    let long = "x".repeat(60);
    serde_json::from_value(json!({
        "metadata": {
            "name": "run", "namespace": "ns", "uid": "u", "labels": {"team": "a"},
            "annotations": {"spindrift.dev/coschedule": mode},
        },
        "spec": {"workspaces": [
            {"name": "src", "volumeClaimTemplate": {"metadata": {"name": "data"}, "spec": {}}},
            {"name": "long", "volumeClaimTemplate": {"metadata": {"name": long}, "spec": {}}},
            {"name": "cache", "persistentVolumeClaim": {"claimName": "mine"}},
            {"name": "again", "persistentVolumeClaim": {"claimName": "mine"}},
            {"name": "conf", "emptyDir": {}},
        ]},
    }))
    .unwrap()
}

fn hash(text: &str) -> String {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(text);
    digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

fn assistant(workspace: &str) -> String {
    format!("affinity-assistant-{}", hash(&format!("{workspace}run")))
}

fn names(claims: &[PersistentVolumeClaim]) -> Vec<&str> {
    let names = claims.iter().map(|claim| claim.metadata.name.as_deref());
    names.flatten().collect()
}

#[test]
fn a_run_notes_once_what_it_needs() {
    use Coschedule::{Disabled, IsolatePipelineRun, PipelineRuns, Workspaces};
    let claims = json!([{"name": "a", "persistentVolumeClaim": {"claimName": "c"}}]);
    let template = json!([{"name": "a", "volumeClaimTemplate": {"spec": {}}}]);
    let none = json!([{"name": "a", "emptyDir": {}}]);
    for (present, noted, workspaces, expected) in [
        (Disabled, None, &claims, None),
        (Workspaces, None, &claims, Some("workspaces")),
        (Workspaces, None, &template, Some("workspaces")),
        (Workspaces, None, &none, None),
        (PipelineRuns, None, &none, Some("pipelineruns")),
        (IsolatePipelineRun, None, &claims, Some("isolate-pipelinerun")),
        // What is written stays, and what cannot be read is as good as nothing.
        (Workspaces, Some("pipelineruns"), &claims, None),
        (Workspaces, Some("disabled"), &claims, None),
        (Workspaces, Some("perhaps"), &claims, Some("workspaces")),
        (Disabled, Some("perhaps"), &claims, None),
    ] {
        let mut run: PipelineRun =
            serde_json::from_value(json!({"metadata": {"name": "r"}, "spec": {"workspaces": workspaces}}))
                .unwrap();
        run.metadata.annotations =
            noted.map(|noted| [(annotations::COSCHEDULE.to_owned(), noted.to_owned())].into());
        assert_eq!(
            to_note(&run, present),
            expected,
            "{present:?} {noted:?} {workspaces}"
        );
    }
}

#[test]
fn each_claim_has_an_assistant_or_all_have_one() {
    assert!(of_run(&run("disabled")).is_empty());
    assert!(of_run(&run("perhaps")).is_empty());

    let long = "x".repeat(60);
    let each = of_run(&run("workspaces"));
    let shown: Vec<(&str, Vec<String>)> = each
        .iter()
        .map(|assistant| (assistant.name.as_str(), assistant.claims.clone()))
        .collect();
    let (data, full) = (
        format!("data-{}", hash("srcu")),
        format!("{long}-{}", hash("longu")),
    );
    assert_eq!(
        shown,
        [
            (assistant("src").as_str(), vec![data.clone()]),
            (assistant("long").as_str(), vec![full.clone()]),
            (assistant("cache").as_str(), vec!["mine".to_owned()]),
        ]
    );
    assert!(each.iter().all(|assistant| assistant.templates.is_empty()));
    assert_eq!(names(&claims(&run("workspaces"))), [&data, &full]);
    assert_eq!(names(&claims(&run("disabled"))), [&data, &full]);

    for mode in ["pipelineruns", "isolate-pipelinerun"] {
        let all = of_run(&run(mode));
        let [one] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(
            (&one.name, &one.claims),
            (&assistant(""), &vec!["mine".to_owned()])
        );
        let cut = format!("{}-{}", &full[..52], hash(&full));
        assert_eq!(cut.len(), 63);
        assert_eq!(names(&one.templates), [&data, &cut]);
        // What the StatefulSet looks for is what the run has made.
        let made = [&data, &cut].map(|name| format!("{name}-{}-0", assistant("")));
        assert_eq!(names(&claims(&run(mode))), [&made[0], &made[1]]);
    }
}

#[test]
fn children_are_beside_the_assistant_of_their_claim() {
    let bound = |bound: Value| -> Vec<WorkspaceBinding> {
        serde_json::from_value(json!([{"name": "empty", "emptyDir": {}}, bound])).unwrap()
    };
    let data = json!({"name": "a", "persistentVolumeClaim": {"claimName": format!("data-{}", hash("srcu"))}});
    let mine = json!({"name": "a", "persistentVolumeClaim": {"claimName": "mine"}});
    let none = json!({"name": "a", "secret": {"secretName": "s"}});
    for (mode, binding, expected) in [
        ("disabled", &mine, None),
        ("workspaces", &data, Some("src")),
        ("workspaces", &mine, Some("cache")),
        ("workspaces", &none, None),
        ("pipelineruns", &mine, Some("")),
        ("pipelineruns", &none, Some("")),
        ("isolate-pipelinerun", &none, Some("")),
    ] {
        let found = of_task(&run(mode), &bound(binding.clone()));
        assert_eq!(found, expected.map(assistant), "{mode} {binding}");
    }
}

#[test]
fn what_a_run_leaves_is_known_without_looking() {
    let sets = |workspaces: &[&str]| -> Vec<String> { workspaces.iter().copied().map(assistant).collect() };
    for (mode, cleanup, stateful_sets, with_claims) in [
        ("disabled", None, sets(&[]), false),
        ("disabled", Some("true"), sets(&[]), true),
        (
            "workspaces",
            None,
            sets(&["src", "long", "cache", "again"]),
            false,
        ),
        (
            "workspaces",
            Some("yes"),
            sets(&["src", "long", "cache", "again"]),
            false,
        ),
        (
            "workspaces",
            Some("true"),
            sets(&["src", "long", "cache", "again"]),
            true,
        ),
        ("pipelineruns", None, sets(&[""]), true),
        ("isolate-pipelinerun", None, sets(&[""]), true),
    ] {
        let mut run = run(mode);
        let notes = run.metadata.annotations.get_or_insert_default();
        notes.extend(cleanup.map(|asked| (annotations::AUTO_CLEANUP_PVC.to_owned(), asked.to_owned())));
        let made = claims(&run);
        let claims = if with_claims { names(&made) } else { Vec::new() };
        let found = leftovers(&run);
        assert_eq!(found.stateful_sets, stateful_sets, "{mode} {cleanup:?}");
        assert_eq!(found.claims, claims, "{mode} {cleanup:?}");
        // All that is made goes.
        let missed = of_run(&run)
            .into_iter()
            .find(|assistant| !stateful_sets.contains(&assistant.name));
        assert_eq!(missed, None, "{mode}");
    }
}

#[test]
fn only_what_has_no_node_yet_may_wait_for_one() {
    let child = |reason: &str, status: &str| -> Child {
        let run: crds::tekton::TaskRun = serde_json::from_value(json!({
            "metadata": {"name": "c"}, "spec": {},
            "status": {"conditions": [{"type": "Succeeded", "status": status, "reason": reason}]},
        }))
        .unwrap();
        Child::from(&run)
    };
    for (mode, reason, status, expected) in [
        ("workspaces", "Pending", "Unknown", true),
        ("pipelineruns", "ExceededNodeResources", "Unknown", true),
        ("workspaces", "Running", "Unknown", false),
        ("workspaces", "Succeeded", "True", false),
        ("disabled", "Pending", "Unknown", false),
    ] {
        let children = [child("Succeeded", "True"), child(reason, status)];
        assert_eq!(may_wait(&run(mode), &children), expected, "{mode} {reason}");
    }
}

fn made(run: &PipelineRun, assistant: &Assistant, defaults: &str, features: &Features) -> Value {
    let data = [(
        "default-affinity-assistant-pod-template".to_owned(),
        defaults.to_owned(),
    )]
    .into();
    let defaults = <Defaults as crds::config::Snapshot>::parse(&data).unwrap();
    let setup = Setup {
        image: "entrypoint@sha256:0",
        defaults: &defaults,
        features,
    };
    serde_json::to_value(stateful_set(run, assistant, setup)).unwrap()
}

#[test]
fn an_assistant_becomes_this_stateful_set() {
    let run = run("workspaces");
    let found = made(&run, &of_run(&run)[2], "", &Features::default());
    let name = assistant("cache");
    let selector = json!({
        "app.kubernetes.io/component": "affinity-assistant", "app.kubernetes.io/instance": name,
    });
    let mut labels = selector.clone();
    (labels["team"], labels["tekton.dev/pipelineRun"]) = ("a".into(), "run".into());
    let needs = json!({"cpu": "50m", "memory": "100Mi"});
    let expected = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": "ns", "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
                        "weight": 100,
                        "podAffinityTerm": {
                            "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "affinity-assistant"}},
                            "topologyKey": "kubernetes.io/hostname",
                        },
                    }]}},
                    "automountServiceAccountToken": false,
                    "containers": [{
                        "name": "affinity-assistant",
                        "image": "entrypoint@sha256:0",
                        "command": ["/entrypoint", "pause"],
                        "resources": {"limits": needs, "requests": needs},
                    }],
                    "volumes": [{"name": "workspace-0", "persistentVolumeClaim": {"claimName": "mine"}}],
                },
            },
        },
    });
    assert_eq!(found, expected);
}

#[test]
fn an_assistant_goes_where_the_pods_of_its_run_may_go() {
    let mut run = run("isolate-pipelinerun");
    run.spec.task_run_template = serde_json::from_value(json!({
        "serviceAccountName": "builder",
        "podTemplate": {
            "nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "t"}], "priorityClassName": "high",
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}},
        },
    }))
    .unwrap();
    let features = Features {
        set_security_context: true,
        ..Features::default()
    };
    let all = of_run(&run);
    let install = "nodeSelector: {disk: slow}\nimagePullSecrets: [{name: s}]\n";
    let found = made(&run, &all[0], install, &features);
    let pod = &found["spec"]["template"]["spec"];
    let away = &pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let keys: Vec<&str> = away
        .as_array()
        .unwrap()
        .iter()
        .map(|term| term["topologyKey"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["zone", "kubernetes.io/hostname"]);
    assert_eq!(pod["nodeSelector"], json!({"disk": "fast"}));
    assert_eq!(pod["tolerations"], json!([{"key": "t"}]));
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "s"}]));
    assert_eq!(pod["priorityClassName"], "high");
    assert_eq!(pod["serviceAccountName"], "builder");
    assert_eq!(pod["containers"][0]["securityContext"]["runAsNonRoot"], true);
    let templates = found["spec"]["volumeClaimTemplates"].as_array().unwrap();
    assert_eq!(templates.len(), 2);
    // The claim that is given is in the pod itself.
    assert_eq!(pod["volumes"].as_array().unwrap().len(), 1);
    let other = made(&run, &all[0], "serviceAccountName: placeholder\n", &features);
    assert_eq!(
        other["spec"]["template"]["spec"]["serviceAccountName"],
        "placeholder"
    );
}
