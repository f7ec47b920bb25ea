use serde_json::{Value, json};

use super::*;

fn settings() -> Settings {
    Settings {
        entrypoint_image: "entrypoint@sha256:0".to_owned(),
        injected_sidecars: false,
        ..Settings::default()
    }
}

fn run(spec: Value) -> TaskRun {
    serde_json::from_value(json!({
        "metadata": {
            "name": "r", "namespace": "ns", "uid": "u-1",
            "labels": {"a": "b"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "c": "d"},
        },
        "spec": spec,
    }))
    .unwrap()
}

fn attempt_with(
    run: &TaskRun,
    task: Value,
    settings: &Settings,
    images: &BTreeMap<String, ImageCommand>,
) -> Result<Pod, PodError> {
    let spec = serde_json::from_value(task).unwrap();
    desired(&Attempt {
        run,
        spec: &spec,
        settings,
        retry: 0,
        timeout: Some(Duration::from_secs(60)),
        credentials: &Credentials::default(),
        images,
    })
}

fn pod(task: Value) -> Value {
    let pod = attempt_with(&run(json!({})), task, &settings(), &BTreeMap::new()).unwrap();
    serde_json::to_value(pod).unwrap()
}

/// The arguments of a container, as a line.
fn line(pod: &Value, list: &str, index: usize, field: &str) -> String {
    let words = pod["spec"][list][index][field].as_array().unwrap();
    words
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_single_step_becomes_this_pod() {
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "r-pod", "namespace": "ns",
            "labels": {
                "a": "b", "app.kubernetes.io/managed-by": "tekton-pipelines",
                "tekton.dev/taskRun": "r", "tekton.dev/taskRunUID": "u-1",
            },
            "annotations": {
                "c": "d", "pipeline.tekton.dev/release": env!("CARGO_PKG_VERSION"), "tekton.dev/ready": "READY",
            },
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 90,
            "initContainers": [{
                "name": "prepare",
                "image": "entrypoint@sha256:0",
                "command": ["/entrypoint", "init", "/entrypoint", "/tekton/bin/entrypoint", "step-one"],
                "volumeMounts": [
                    {"name": "tekton-internal-bin", "mountPath": "/tekton/bin"},
                    {"name": "tekton-internal-steps", "mountPath": "/tekton/steps"},
                ],
            }],
            "containers": [{
                "name": "step-one",
                "image": "i",
                "command": ["/tekton/bin/entrypoint"],
                "args": [
                    "-wait_file", "/tekton/downward/ready", "-post_file", "/tekton/run/0/out",
                    "-termination_path", "/tekton/termination", "-step_metadata_dir", "/tekton/run/0/status",
                    "-wait_file_content", "-entrypoint", "echo", "--", "a",
                ],
                "terminationMessagePath": "/tekton/termination",
                "volumeMounts": [
                    {"name": "tekton-internal-workspace", "mountPath": "/workspace"},
                    {"name": "tekton-internal-home", "mountPath": "/tekton/home"},
                    {"name": "tekton-internal-results", "mountPath": "/tekton/results"},
                    {"name": "tekton-internal-steps", "mountPath": "/tekton/steps", "readOnly": true},
                    {"name": "tekton-internal-artifacts", "mountPath": "/tekton/artifacts"},
                    {"name": "tekton-internal-bin", "mountPath": "/tekton/bin", "readOnly": true},
                    {"name": "tekton-internal-downward", "mountPath": "/tekton/downward", "readOnly": true},
                    {"name": "tekton-internal-run-0", "mountPath": "/tekton/run/0"},
                ],
            }],
            "volumes": [
                {"name": "tekton-internal-workspace", "emptyDir": {}},
                {"name": "tekton-internal-home", "emptyDir": {}},
                {"name": "tekton-internal-results", "emptyDir": {}},
                {"name": "tekton-internal-steps", "emptyDir": {}},
                {"name": "tekton-internal-artifacts", "emptyDir": {}},
                {"name": "tekton-internal-bin", "emptyDir": {}},
                {"name": "tekton-internal-downward", "downwardAPI": {"items": [
                    {"path": "ready", "fieldRef": {"fieldPath": "metadata.annotations['tekton.dev/ready']"}},
                ]}},
                {"name": "tekton-internal-run-0", "emptyDir": {}},
            ],
        },
    });
    let task = json!({"steps": [{"name": "one", "image": "i", "command": ["echo"], "args": ["a"]}]});
    assert_eq!(pod(task), expected);
}

#[test]
fn steps_follow_each_other_and_hand_their_flags_to_the_entrypoint() {
    let pod = pod(json!({
        "results": [{"name": "a"}, {"name": "b"}, {"name": "c", "value": "$(steps.one.results.x)"}],
        "steps": [
            {"name": "one", "image": "i", "script": "echo", "args": ["init"], "results": [{"name": "x"}]},
            {"image": "i", "command": ["cmd", "-v"], "onError": "continue", "timeout": "90s",
             "stdoutConfig": {"path": "/o"}, "stderrConfig": {"path": "/e"}, "workingDir": "sub"},
        ],
    }));
    assert_eq!(
        line(&pod, "containers", 0, "args"),
        "-wait_file /tekton/downward/ready -post_file /tekton/run/0/out -termination_path /tekton/termination \
         -step_metadata_dir /tekton/run/0/status -results a,b -step_results x \
         -termination_limit 2457 -wait_file_content \
         -entrypoint /tekton/scripts/script-0 -- init"
    );
    assert_eq!(
        line(&pod, "containers", 1, "args"),
        "-wait_file /tekton/run/0/out -post_file /tekton/run/1/out -termination_path /tekton/termination \
         -step_metadata_dir /tekton/run/1/status -on_error continue -timeout 1m30s -stdout_path /o -stderr_path /e \
         -results a,b -termination_limit 2457 -entrypoint cmd -- -v"
    );
    assert_eq!(pod["spec"]["containers"][1]["name"], "step-unnamed-1");
    assert_eq!(pod["spec"]["containers"][1]["workingDir"], "/workspace/sub");
    let names: Vec<_> = pod["spec"]["initContainers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["prepare", "place-scripts", "working-dir-initializer"]);
    let script = "IyEvYmluL3NoCnNldCAtZQplY2hv";
    assert_eq!(
        line(&pod, "initContainers", 1, "command"),
        format!("/entrypoint decode-script -o /tekton/scripts/script-0 {script}")
    );
    assert_eq!(
        line(&pod, "initContainers", 2, "command"),
        "/entrypoint working-dir /workspace/sub"
    );
    let run_mounts: Vec<_> = pod["spec"]["containers"][1]["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|mount| mount["mountPath"].as_str().unwrap().starts_with("/tekton/run/"))
        .map(|mount| mount["readOnly"] == true)
        .collect();
    assert_eq!(run_mounts, [true, false]);
}

#[test]
fn credentials_are_in_memory_and_only_where_there_are_some() {
    let credentials = Credentials {
        flags: vec![
            "-basic-git=s.x=https://h".to_owned(),
            "-docker-config=c".to_owned(),
        ],
        secrets: vec!["s.x".to_owned(), "c".to_owned()],
    };
    let task = json!({"steps": [{"name": "a", "image": "i", "command": ["c"]}, {"name": "b", "image": "i", "command": ["c"]}]});
    let spec = serde_json::from_value(task).unwrap();
    let pod = desired(&Attempt {
        run: &run(json!({})),
        spec: &spec,
        settings: &settings(),
        retry: 0,
        timeout: None,
        credentials: &credentials,
        images: &BTreeMap::new(),
    })
    .unwrap();
    let pod = serde_json::to_value(pod).unwrap();
    assert!(
        line(&pod, "containers", 1, "args")
            .contains(" -basic-git=s.x=https://h -docker-config=c -entrypoint c --")
    );
    let mounts = pod["spec"]["containers"][1]["volumeMounts"].as_array().unwrap();
    let secret = json!({"name": "tekton-internal-secret-volume-0", "mountPath": "/tekton/creds-secrets/s.x", "readOnly": true});
    assert!(mounts.contains(&secret));
    assert!(mounts.contains(&json!({"name": "tekton-creds-init-home-1", "mountPath": "/tekton/creds"})));
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.contains(&json!({"name": "tekton-creds-init-home-1", "emptyDir": {"medium": "Memory"}})));
    assert!(
        volumes.contains(&json!({"name": "tekton-internal-secret-volume-1", "secret": {"secretName": "c"}}))
    );
    // Nothing that was made before a step is told about them.
    assert!(!pod["spec"]["initContainers"].to_string().contains("creds"));
}

#[test]
fn steps_tell_of_artifacts_where_these_are_on() {
    let settings = Settings {
        artifacts: true,
        ..settings()
    };
    let task = json!({"steps": [{"image": "i", "command": ["c"]}]});
    let pod = attempt_with(&run(json!({})), task.clone(), &settings, &BTreeMap::new()).unwrap();
    let with = serde_json::to_value(pod).unwrap();
    for (pod, expected) in [(with, true), (self::pod(task), false)] {
        let arguments = line(&pod, "containers", 0, "args");
        assert_eq!(arguments.contains(" -artifacts "), expected, "{arguments}");
    }
}

#[test]
fn steps_look_whether_they_are_cancelled_where_pods_stay() {
    let settings = Settings {
        keep_cancelled: true,
        ..settings()
    };
    let task = json!({"steps": [{"image": "i", "command": ["c"]}, {"image": "i", "command": ["c"]}]});
    let pod = attempt_with(&run(json!({})), task.clone(), &settings, &BTreeMap::new()).unwrap();
    let with = serde_json::to_value(pod).unwrap();
    let without = self::pod(task);
    let file =
        json!({"path": "cancel", "fieldRef": {"fieldPath": "metadata.annotations['tekton.dev/cancel']"}});
    for (pod, expected) in [(with, true), (without, false)] {
        let flag = line(&pod, "containers", 1, "args").contains(" -cancel_file /tekton/downward/cancel");
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let projected = volumes.iter().any(|volume| {
            let items = volume["downwardAPI"]["items"].as_array();
            items.is_some_and(|items| items.contains(&file))
        });
        let mounts = pod["spec"]["containers"][1]["volumeMounts"].as_array().unwrap();
        let mounted = mounts
            .iter()
            .any(|mount| mount["mountPath"] == "/tekton/downward");
        assert_eq!((flag, projected, mounted), (expected, expected, expected));
    }
}

#[test]
fn steps_with_breakpoints_find_what_lets_them_go_on() {
    let task = json!({"steps": [
        {"name": "a", "image": "i", "command": ["c"]}, {"name": "b", "image": "i", "command": ["c"]},
    ]});
    let run = run(json!({"debug": {"breakpoints": {"beforeSteps": ["b"]}}}));
    let pod = attempt_with(&run, task, &settings(), &BTreeMap::new()).unwrap();
    let pod = serde_json::to_value(pod).unwrap();
    let flags = "-debug_before_step -debug_file /tekton/downward/debug -debug_name b";
    assert!(!line(&pod, "containers", 0, "args").contains("debug"));
    assert!(line(&pod, "containers", 1, "args").contains(flags));
    let mounts = pod["spec"]["containers"][1]["volumeMounts"].as_array().unwrap();
    for (name, path, read_only) in [
        (
            "tekton-internal-debug-scripts",
            "/tekton/debug/scripts",
            json!(true),
        ),
        (
            "tekton-internal-debug-info-1",
            "/tekton/debug/info/1",
            json!(null),
        ),
        ("tekton-internal-downward", "/tekton/downward", json!(true)),
    ] {
        let found = mounts.iter().find(|mount| mount["mountPath"] == path).unwrap();
        assert_eq!((&found["name"], &found["readOnly"]), (&json!(name), &read_only));
    }
    let items = &pod["spec"]["volumes"][6]["downwardAPI"]["items"];
    let path = "metadata.annotations['spindrift.dev/debug']";
    assert_eq!(
        items[1],
        json!({"path": "debug", "fieldRef": {"fieldPath": path}})
    );
    let placed = &pod["spec"]["initContainers"][1];
    assert_eq!(
        placed["volumeMounts"],
        json!([{"name": "tekton-internal-debug-scripts", "mountPath": "/tekton/debug/scripts"}])
    );
    assert!(
        line(&pod, "initContainers", 1, "command")
            .contains("-o /tekton/debug/scripts/debug-beforestep-continue ")
    );
}

#[test]
fn conditions_of_steps_go_to_the_entrypoint() {
    let when = json!([
        {"input": "$(steps.a.results.r)", "operator": "in", "values": ["x"]},
        {"cel": "1 == 2"},
    ]);
    let found = pod(json!({"steps": [{"name": "s", "image": "i", "command": ["c"], "when": when}]}));
    let args = line(&found, "containers", 0, "args");
    let expected = "-when_expressions [{\"input\":\"$$(steps.a.results.r)\",\"operator\":\"in\",\"values\":[\"x\"]},\
                    {\"input\":\"false\",\"operator\":\"in\",\"values\":[\"true\"]}] -entrypoint c";
    assert!(args.contains(expected), "{args}");
    let task = json!({"steps": [{"name": "s", "image": "i", "command": ["c"], "when": [{"cel": "1 =="}]}]});
    let error = attempt_with(&run(json!({})), task, &settings(), &BTreeMap::new()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("step \"step-s\": the CEL expression"),
        "{error}"
    );
}

#[test]
fn a_mount_of_the_user_takes_the_place_of_ours() {
    let pod = pod(json!({
        "volumes": [{"name": "mine", "emptyDir": {}}],
        "steps": [{"name": "s", "image": "i", "command": ["c"],
                   "volumeMounts": [{"name": "mine", "mountPath": "/workspace"}]}],
    }));
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    let at_workspace: Vec<_> = mounts
        .iter()
        .filter(|mount| mount["mountPath"] == "/workspace")
        .collect();
    assert_eq!(
        at_workspace,
        [&json!({"name": "mine", "mountPath": "/workspace"})]
    );
}

#[test]
fn sidecars_keep_running_beside_the_steps_which_wait_for_them() {
    let task = json!({
        "workspaces": [{"name": "w"}],
        "steps": [{"name": "s", "image": "i", "command": ["c"]}],
        "sidecars": [{"name": "db", "image": "d", "script": "serve", "readinessProbe": {"exec": {"command": ["t"]}}}],
    });
    let run = run(json!({
        "workspaces": [{"name": "w", "emptyDir": {}}],
        "sidecarSpecs": [{"name": "db", "computeResources": {"limits": {"cpu": "1"}}}],
    }));
    let pod = serde_json::to_value(attempt_with(&run, task, &settings(), &BTreeMap::new()).unwrap()).unwrap();
    let expected = json!({
        "name": "sidecar-db", "image": "d", "restartPolicy": "Always", "command": ["/tekton/scripts/sidecar-script-0"],
        "readinessProbe": {"exec": {"command": ["t"]}},
        "resources": {"limits": {"cpu": "1"}},
        "volumeMounts": [
            {"name": pod["spec"]["volumes"].as_array().unwrap().last().unwrap()["name"], "mountPath": "/workspace/w"},
            {"name": "tekton-internal-scripts", "mountPath": "/tekton/scripts", "readOnly": true},
        ],
    });
    assert_eq!(pod["spec"]["initContainers"][2], expected);
    assert_eq!(pod["metadata"]["annotations"].get("tekton.dev/ready"), None);
}

#[test]
fn the_gate_is_open_from_the_start_unless_there_is_something_to_wait_for() {
    let task = json!({"steps": [{"name": "s", "image": "i", "command": ["c"]}]});
    for (await_sidecars, injected_sidecars, open) in [
        (true, true, false),
        (true, false, true),
        (false, true, true),
        (false, false, true),
    ] {
        let settings = Settings {
            await_sidecars,
            injected_sidecars,
            ..settings()
        };
        let pod = attempt_with(&run(json!({})), task.clone(), &settings, &BTreeMap::new()).unwrap();
        let is_open = pod.metadata.annotations.unwrap().contains_key("tekton.dev/ready");
        assert_eq!(is_open, open, "{await_sidecars} {injected_sidecars}");
    }
}

fn image(commands: &[(&str, &[&str], &[&str])]) -> BTreeMap<String, ImageCommand> {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    let commands = commands.iter().map(|(platform, entrypoint, cmd)| {
        let (entrypoint, cmd) = (words(entrypoint), words(cmd));
        ((*platform).to_owned(), Command { entrypoint, cmd })
    });
    let known = ImageCommand {
        pinned: "i@sha256:1".to_owned(),
        commands: commands.collect(),
    };
    BTreeMap::from([("i:1".to_owned(), known)])
}

#[test]
fn a_step_that_says_nothing_runs_what_its_image_says() {
    let task = |args: Value| json!({"steps": [{"name": "s", "image": "i:1", "args": args}]});
    let silent: TaskSpec = serde_json::from_value(task(json!(["a"]))).unwrap();
    assert_eq!(silent_images(&silent), BTreeSet::from(["i:1".to_owned()]));
    let one = image(&[("linux/amd64", &["/tool"], &["help"])]);
    let same = image(&[
        ("linux/amd64", &["/tool"], &["help"]),
        ("linux/arm64", &["/tool"], &["help"]),
    ]);
    let different = image(&[("linux/amd64", &["/a"], &["x"]), ("linux/arm64", &["/b"], &[])]);
    let json_of = |a: &[&str], b: &[&str]| json!({"linux/amd64": a, "linux/arm64": b}).to_string();
    for (images, args, expected, platforms) in [
        (&one, json!(null), "-entrypoint /tool -- help", None),
        (&same, json!(["run"]), "-entrypoint /tool -- run", None),
        (
            &different,
            json!(null),
            "-wait_file_content --",
            Some(json_of(&["/a", "x"], &["/b"])),
        ),
        (
            &different,
            json!(["run"]),
            "-wait_file_content -- run",
            Some(json_of(&["/a"], &["/b"])),
        ),
    ] {
        let pod = attempt_with(&run(json!({})), task(args), &settings(), images).unwrap();
        let pod = serde_json::to_value(pod).unwrap();
        let step = &pod["spec"]["containers"][0];
        assert_eq!(step["image"], "i@sha256:1");
        assert!(line(&pod, "containers", 0, "args").ends_with(expected));
        assert_eq!(step["env"][0]["value"].as_str().map(str::to_owned), platforms);
    }
    for images in [BTreeMap::new(), image(&[("linux/amd64", &[], &[])])] {
        let error = attempt_with(&run(json!({})), task(json!(null)), &settings(), &images).unwrap_err();
        assert!(matches!(error, PodError::NoCommand { .. }), "{error}");
    }
}

#[test]
fn a_timeout_of_none_has_the_latest_deadline() {
    assert_eq!(deadline(None), i64::from(i32::MAX));
    assert_eq!(deadline(Some(Duration::from_secs(1))), 2);
    assert_eq!(deadline(Some(Duration::MAX)), i64::from(i32::MAX));
}

#[test]
fn containers_that_are_not_the_users_can_be_without_rights() {
    for (read_only_init, expected) in [(false, None), (true, Some(true))] {
        let settings = Settings {
            secure_init: true,
            read_only_init,
            ..settings()
        };
        let task = json!({"steps": [{"name": "s", "image": "i", "script": "c"}]});
        let pod = attempt_with(&run(json!({})), task, &settings, &BTreeMap::new()).unwrap();
        let spec = pod.spec.unwrap();
        for container in spec.init_containers.unwrap() {
            let context = container.security_context.unwrap();
            assert_eq!(context.run_as_non_root, Some(true));
            assert_eq!(context.read_only_root_filesystem, expected);
        }
        assert_eq!(spec.containers[0].security_context, None);
    }
}
