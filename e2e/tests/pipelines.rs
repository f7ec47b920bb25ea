//! TaskRuns as people start them: kubectl, YAML, and images of the embedded registry.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::tools::Need;
use e2e::{Options, Platform, busybox, cases, eventually, shared, stop_shared, suite, turn};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Busybox];

/// The platform, with an image that has a shell.
fn platform() -> anyhow::Result<(&'static Platform, String)> {
    let platform = shared()?;
    let _turn = turn();
    let image = busybox::load(platform, "busybox:tasks")?;
    Ok((platform, image))
}

/// `kubectl create`, which takes names from the server; gives `taskrun.tekton.dev/<name>`.
fn create(platform: &Platform, object: &Value) -> anyhow::Result<String> {
    let file = tempfile::Builder::new().suffix(".json").tempfile()?;
    std::fs::write(file.path(), object.to_string())?;
    let path = file.path().to_string_lossy().into_owned();
    let name = platform.kubectl(&["create", "-o", "name", "-f", &path])?.ok()?;
    Ok(name.trim().to_owned())
}

fn run_of(name: &str, spec: Value) -> Value {
    let mut metadata = json!({});
    metadata["generateName"] = json!(format!("{name}-"));
    json!({"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": metadata, "spec": spec})
}

/// Creates a run and waits for its end.
fn ended(platform: &Platform, object: &Value) -> anyhow::Result<Value> {
    let name = create(platform, object)?;
    finished(platform, &name)
}

fn finished(platform: &Platform, name: &str) -> anyhow::Result<Value> {
    eventually(&format!("the end of {name}"), || {
        let run = platform.get(&[name])?;
        let status = &run["status"]["conditions"][0]["status"];
        ensure!(status == "True" || status == "False", "{}", run["status"]);
        Ok(run)
    })
}

/// Checks status, reason, and words of the message of a run that has ended.
fn expect(run: &Value, status: &str, reason: &str, message: &str) -> anyhow::Result<()> {
    let condition = &run["status"]["conditions"][0];
    ensure!(
        condition["type"] == "Succeeded"
            && condition["status"] == status
            && condition["reason"] == reason
            && condition["message"]
                .as_str()
                .unwrap_or_default()
                .contains(message)
            && run["status"]["completionTime"].is_string(),
        "not {status} {reason} {message:?}: {}",
        run["status"]
    );
    Ok(())
}

fn steps_follow_each_other_and_results_come_out() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let task = format!(
        r#"
apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: greet
spec:
  params:
    - name: who
    - name: words
      type: array
      default: [hello]
  results:
    - name: greeting
    - name: parts
      type: array
  steps:
    - name: write
      image: {image}
      script: |
        echo "$@ $(params.who)" > /workspace/greeting
        printf '["%s","%s"]' "$1" '$(params.who)' > $(results.parts.path)
      args: ["$(params.words[*])"]
    - name: read
      image: {image}
      command: [sh, -c]
      args: ["cat /workspace/greeting; cat /workspace/greeting > $(results.greeting.path)"]
"#
    );
    platform.apply(&task, &[])?.ok()?;
    let run = run_of(
        "greet",
        json!({"taskRef": {"name": "greet"}, "params": [
            {"name": "who", "value": "you; rm -rf /"}, {"name": "words", "value": ["good", "day"]},
        ]}),
    );
    let run = ended(platform, &run)?;
    expect(&run, "True", "Succeeded", "All Steps have completed executing")?;
    let status = &run["status"];
    let results = json!([
        {"name": "greeting", "type": "string", "value": "good day you; rm -rf /\n"},
        {"name": "parts", "type": "array", "value": ["good", "you; rm -rf /"]},
    ]);
    ensure!(status["results"] == results, "{status}");
    let steps: Vec<_> = status["steps"].as_array().context("no steps")?.iter().collect();
    let names: Vec<_> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
    ensure!(names == ["write", "read"], "{status}");
    let time = |step: &Value, field: &str| step["terminated"][field].as_str().unwrap_or_default().to_owned();
    ensure!(
        steps.iter().all(|step| step["terminationReason"] == "Completed")
            && time(steps[0], "finishedAt")[..19] <= time(steps[1], "startedAt")[..19],
        "{status}"
    );
    ensure!(
        status["taskSpec"]["steps"][0]["args"] == json!(["good", "day"]),
        "{status}"
    );
    let pod = status["podName"].as_str().context("no pod")?;
    let name = run["metadata"]["name"].as_str().context("no name")?;
    ensure!(pod == format!("{name}-pod"), "{pod}");
    let log = platform.kubectl(&["logs", pod, "-c", "step-read"])?.ok()?;
    ensure!(log == "good day you; rm -rf /\n", "{log}");
    let listed = platform
        .kubectl(&["get", "taskruns", "-l", "tekton.dev/task=greet"])?
        .ok()?;
    ensure!(listed.contains("Succeeded") && listed.contains(name), "{listed}");
    Ok(())
}

fn a_failing_step_ends_the_run() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let step = |name: &str, script: &str| json!({"name": name, "image": image, "script": script});
    let spec = json!({"taskSpec": {
        "results": [{"name": "half"}],
        "steps": [step("bad", "echo -n x > $(results.half.path); exit 3"), step("never", "echo never")],
    }});
    let run = ended(platform, &run_of("fails", spec))?;
    expect(&run, "False", "StepFailed", "\"step-bad\" exited with code 3")?;
    let steps = &run["status"]["steps"];
    ensure!(
        steps[1]["terminationReason"] == "Skipped" && run["status"]["results"][0]["value"] == "x",
        "{}",
        run["status"]
    );
    Ok(())
}

fn a_failure_can_be_let_pass_and_read_by_a_later_step() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let spec = json!({"taskSpec": {
        "results": [{"name": "code"}],
        "steps": [
            {"name": "bad", "image": image, "script": "exit 7", "onError": "continue"},
            {"name": "read", "image": image,
             "script": "cat $(steps.step-bad.exitCode.path) > $(results.code.path)"},
        ],
    }});
    let run = ended(platform, &run_of("continues", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    let status = &run["status"];
    ensure!(
        status["results"][0]["value"] == "7"
            && status["steps"][0]["terminationReason"] == "Continued"
            && status["steps"][0]["terminated"]["exitCode"] == 7,
        "{status}"
    );
    Ok(())
}

fn a_step_has_its_time_limit() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let spec = json!({"taskSpec": {
        "steps": [{"name": "slow", "image": image, "script": "sleep 600", "timeout": "1s"}],
    }});
    let run = ended(platform, &run_of("slow-step", spec))?;
    let message = "\"step-slow\" exited because the step exceeded the specified timeout limit";
    expect(&run, "False", "StepFailed", message)
}

fn a_run_has_its_time_limit() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let spec = json!({
        "timeout": "3s",
        "taskSpec": {"steps": [{"name": "slow", "image": image, "script": "sleep 600"}]},
    });
    let run = ended(platform, &run_of("slow", spec))?;
    expect(&run, "False", "TaskRunTimeout", "failed to finish within \"3s\"")?;
    pod_is_gone(platform, &run)
}

fn a_run_can_be_cancelled() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let spec = json!({
        "retries": 2,
        "taskSpec": {"steps": [{"name": "slow", "image": image, "script": "sleep 600"}]},
    });
    let name = create(platform, &run_of("cancelled", spec))?;
    eventually("the step", || {
        let run = platform.get(&[&name])?;
        ensure!(
            run["status"]["steps"][0]["running"].is_object(),
            "{}",
            run["status"]
        );
        Ok(())
    })?;
    let patch = r#"{"spec":{"status":"TaskRunCancelled","statusMessage":"Enough."}}"#;
    platform
        .kubectl(&["patch", &name, "--type=merge", "-p", patch])?
        .ok()?;
    let run = finished(platform, &name)?;
    expect(&run, "False", "TaskRunCancelled", "was cancelled. Enough.")?;
    ensure!(
        run["status"]["steps"][0]["terminationReason"] == "TaskRunCancelled",
        "{}",
        run["status"]
    );
    pod_is_gone(platform, &run)
}

fn pod_is_gone(platform: &Platform, run: &Value) -> anyhow::Result<()> {
    let pod = run["status"]["podName"].as_str().context("no pod")?;
    eventually(&format!("the end of {pod}"), || {
        let found = platform
            .kubectl(&["get", "pod", pod, "--ignore-not-found", "-o", "name"])?
            .ok()?;
        ensure!(found.trim().is_empty(), "{found}");
        Ok(())
    })
}

fn a_failed_attempt_is_tried_again() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let spec = json!({
        "retries": 3,
        "taskSpec": {"steps": [{"name": "s", "image": image, "script": "test $(context.task.retry-count) = 1"}]},
    });
    let run = ended(platform, &run_of("retried", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    let earlier = run["status"]["retriesStatus"].as_array().context("no attempts")?;
    let pod = run["status"]["podName"].as_str().unwrap_or_default();
    ensure!(
        earlier.len() == 1
            && earlier[0]["conditions"][0]["reason"] == "StepFailed"
            && pod.ends_with("-pod-retry1"),
        "{}",
        run["status"]
    );
    Ok(())
}

fn a_pending_run_waits() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let spec = json!({
        "status": "TaskRunPending",
        "taskSpec": {"steps": [{"name": "s", "image": image, "script": "true"}]},
    });
    let name = create(platform, &run_of("pending", spec))?;
    eventually("the reason", || {
        let run = platform.get(&[&name])?;
        ensure!(
            run["status"]["conditions"][0]["reason"] == "TaskRunPending",
            "{}",
            run["status"]
        );
        ensure!(run["status"].get("startTime").is_none(), "{}", run["status"]);
        Ok(())
    })?;
    platform
        .kubectl(&[
            "patch",
            &name,
            "--type=merge",
            "-p",
            r#"{"spec":{"status":null}}"#,
        ])?
        .ok()?;
    expect(&finished(platform, &name)?, "True", "Succeeded", "")
}

fn steps_wait_for_sidecars_which_end_with_them() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let spec = json!({"taskSpec": {
        "results": [{"name": "page"}],
        "sidecars": [{
            "name": "server", "image": image,
            "script": "sleep 1; echo -n served > /tmp/page; exec httpd -f -p 8080 -h /tmp",
            "readinessProbe": {"httpGet": {"path": "/page", "port": 8080}, "periodSeconds": 1},
        }],
        // At the very first try: the server is there before the step begins.
        "steps": [{"name": "s", "image": image, "script": "wget -q -O $(results.page.path) http://127.0.0.1:8080/page"}],
    }});
    let run = ended(platform, &run_of("sidecar", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    ensure!(
        run["status"]["results"][0]["value"] == "served",
        "{}",
        run["status"]
    );
    let pod = run["status"]["podName"].as_str().context("no pod")?;
    eventually("the end of the sidecar", || {
        let pod = platform.get(&["pod", pod])?;
        ensure!(pod["status"]["phase"] == "Succeeded", "{}", pod["status"]);
        Ok(())
    })
}

fn workspaces_are_where_the_task_wants_them() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    for line in [
        "create configmap task-settings --from-literal=colour=blue",
        "create secret generic task-secret --from-literal=word=hush",
    ] {
        platform.kubectl(&line.split(' ').collect::<Vec<_>>())?.ok()?;
    }
    let spec = json!({
        "workspaces": [
            {"name": "settings", "configMap": {"name": "task-settings"}},
            {"name": "secret", "secret": {"secretName": "task-secret"}},
            {"name": "scratch", "emptyDir": {}, "subPath": "deep"},
        ],
        "taskSpec": {
            "workspaces": [{"name": "settings"}, {"name": "secret", "mountPath": "/hidden"}, {"name": "scratch"},
                           {"name": "none", "optional": true}],
            "results": [{"name": "all"}],
            "steps": [
                {"name": "one", "image": image, "script": "echo kept > $(workspaces.scratch.path)/file"},
                {"name": "two", "image": image, "workingDir": "made/here",
                 "script": "echo $(cat $(workspaces.settings.path)/colour /hidden/word) \
                            $(cat /workspace/scratch/file) $(workspaces.none.bound) $PWD > $(results.all.path)"},
            ],
        },
    });
    let run = ended(platform, &run_of("workspaces", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    let all = &run["status"]["results"][0]["value"];
    ensure!(*all == "bluehush kept false /workspace/made/here\n", "{all}");
    Ok(())
}

fn a_step_can_leave_its_command_to_its_image() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    // The image has a Cmd and no entrypoint, so arguments take the place of all of it.
    let spec = json!({"taskSpec": {
        "results": [{"name": "said"}],
        "steps": [{"name": "s", "image": image, "args": ["sh", "-c", "echo -n own > $(results.said.path)"]}],
    }});
    let run = ended(platform, &run_of("own-command", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    ensure!(run["status"]["results"][0]["value"] == "own", "{}", run["status"]);
    let pod = run["status"]["podName"].as_str().context("no pod")?;
    let pinned = platform.get(&["pod", pod])?["spec"]["containers"][0]["image"].clone();
    ensure!(
        pinned.as_str().is_some_and(|name| name.contains("@sha256:")),
        "{pinned}"
    );
    let spec = json!({"taskSpec": {
        "steps": [{"name": "s", "image": format!("{}/nowhere:never", platform.registry())}],
    }});
    let run = ended(platform, &run_of("no-command", spec))?;
    expect(&run, "False", "TaskRunImagePullFailed", "404")
}

fn a_run_goes_on_where_it_was_when_the_platform_was_killed() -> anyhow::Result<()> {
    let _turn = turn();
    let mut platform = Platform::start(Options::default())?;
    let image = busybox::load(&platform, "busybox:tasks")?;
    let step = |name: &str| {
        let script =
            format!("echo {name} >> /workspace/log; while ! grep -q {name} /go/steps; do sleep 0.1; done");
        let mounts = json!([{"name": "go", "mountPath": "/go"}]);
        json!({"name": name, "image": image, "script": script, "volumeMounts": mounts})
    };
    let annotation = json!({"path": "steps", "fieldRef": {"fieldPath": "metadata.annotations['go']"}});
    let spec = json!({"taskSpec": {
        "volumes": [{"name": "go", "downwardAPI": {"items": [annotation]}}],
        "results": [{"name": "log"}],
        "steps": [step("one"), step("two"),
                  {"name": "three", "image": image, "script": "cat /workspace/log > $(results.log.path)"}],
    }});
    let name = create(&platform, &run_of("survivor", spec))?;
    let running = |platform: &Platform| -> anyhow::Result<String> {
        let run = platform.get(&[&name])?;
        ensure!(
            run["status"]["conditions"][0]["reason"] == "Running",
            "{}",
            run["status"]
        );
        Ok(run["status"]["podName"].as_str().context("no pod")?.to_owned())
    };
    let pod = eventually("the first step", || running(&platform))?;
    let go = |platform: &Platform, steps: &str| {
        let line = ["annotate", "pod", &pod, "--overwrite", &format!("go={steps}")];
        platform.kubectl(&line)?.ok()
    };
    platform.kill()?;
    platform.restart()?;
    go(&platform, "one")?;
    eventually("the end of the first step", || {
        let run = platform.get(&[&name])?;
        let first = &run["status"]["steps"][0]["terminated"];
        ensure!(first["exitCode"] == 0, "{}", run["status"]);
        Ok(())
    })?;
    platform.kill()?;
    platform.restart()?;
    go(&platform, "one-two")?;
    let run = finished(&platform, &name)?;
    expect(&run, "True", "Succeeded", "")?;
    let log = &run["status"]["results"][0]["value"];
    ensure!(*log == "one\ntwo\n", "a step ran again: {log}");
    let pods = platform.get(&["pods", "-l", "tekton.dev/taskRun"])?;
    ensure!(
        pods["items"].as_array().is_some_and(|pods| pods.len() == 1),
        "{pods}"
    );
    platform.stop()
}

fn a_claim_is_made_for_a_run_and_goes_with_it() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    // As another user, who must be able to write, too.
    let security = json!({"runAsUser": 1234});
    let spec = json!({
        "retries": 1,
        "workspaces": [{"name": "kept", "volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}},
        }}}],
        "taskSpec": {
            "workspaces": [{"name": "kept"}],
            "results": [{"name": "count"}],
            "steps": [{"name": "s", "image": image, "securityContext": security,
                "script": "cd $(workspaces.kept.path); echo x >> file; cat file > $(results.count.path); \
                           test $(context.task.retry-count) = 1"}],
        },
    });
    let run = ended(platform, &run_of("claims", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    // The attempts share it.
    ensure!(
        run["status"]["results"][0]["value"] == "x\nx\n",
        "{}",
        run["status"]
    );
    let uid = run["metadata"]["uid"].as_str().unwrap_or_default();
    let of_run = || -> anyhow::Result<Vec<Value>> {
        let all = platform.get(&["pvc"])?["items"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        Ok(all
            .into_iter()
            .filter(|claim| claim["metadata"]["ownerReferences"][0]["uid"] == uid)
            .collect())
    };
    let claims = of_run()?;
    ensure!(
        claims.len() == 1 && claims[0]["status"]["phase"] == "Bound",
        "{claims:?}"
    );
    let volume = claims[0]["spec"]["volumeName"].as_str().context("no volume")?;
    let directory = platform.data_dir().join("volumes").join(volume);
    ensure!(directory.join("file").is_file(), "{}", directory.display());
    let name = run["metadata"]["name"].as_str().context("no name")?;
    platform.kubectl(&["delete", "taskrun", name])?.ok()?;
    eventually("the directory to go", || {
        ensure!(
            of_run()?.is_empty() && !directory.exists(),
            "{}",
            directory.display()
        );
        Ok(())
    })
}

fn what_cannot_run_says_why() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let registry = platform.registry();
    for (name, spec, reason, message) in [
        (
            "no-task",
            json!({"taskRef": {"name": "nowhere"}}),
            "TaskRunResolutionFailed",
            "nowhere",
        ),
        (
            "no-param",
            json!({"taskSpec": {"params": [{"name": "must"}], "steps": [{"image": image, "script": "true"}]}}),
            "TaskRunValidationFailed",
            "must",
        ),
        (
            "no-workspace",
            json!({"taskSpec": {"workspaces": [{"name": "must"}], "steps": [{"image": image, "script": "true"}]}}),
            "TaskRunValidationFailed",
            "must",
        ),
        (
            "no-image",
            json!({"taskSpec": {"steps": [
                {"name": "s", "image": format!("{registry}/nowhere:never"), "script": "true"},
            ]}}),
            "TaskRunImagePullFailed",
            "the step \"s\" in TaskRun failed to pull the image",
        ),
    ] {
        let run = ended(platform, &run_of(name, spec))?;
        expect(&run, "False", reason, message)?;
    }
    Ok(())
}

fn a_step_can_be_a_step_action() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let action = format!(
        r#"
apiVersion: tekton.dev/v1beta1
kind: StepAction
metadata:
  name: greet-action
spec:
  params:
    - name: who
    - name: word
      default: hello
  results:
    - name: said
  image: {image}
  env:
    - name: WHO
      value: $(params.who)
  args: ["$(params.word)"]
  script: |
    printf '%s %s' "$1" "$WHO" > $(step.results.said.path)
"#
    );
    platform.apply(&action, &[])?.ok()?;
    let spec = json!({
        "params": [{"name": "name", "value": "you; rm -rf /"}],
        "taskSpec": {
            "results": [{"name": "said", "value": "$(steps.greet.results.said)"}],
            "steps": [
                {"name": "greet", "ref": {"name": "greet-action"}, "params": [{"name": "who", "value": "$(params.name)"}]},
                {"name": "read", "image": image, "env": [{"name": "SAID", "value": "$(steps.greet.results.said)"}],
                 "script": "test \"$SAID\" = 'hello you; rm -rf /'"},
            ],
        },
    });
    let run = ended(platform, &run_of("action", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    let status = &run["status"];
    ensure!(status["results"][0]["value"] == "hello you; rm -rf /", "{status}");
    ensure!(
        status["taskSpec"]["steps"][0]["image"] == image.as_str(),
        "{status}"
    );
    for (reference, params, words) in [
        ("nowhere", json!([]), "nowhere"),
        (
            "greet-action",
            json!([]),
            "missing parameters which have no default values: who",
        ),
    ] {
        let step = json!({"name": "s", "ref": {"name": reference}, "params": params});
        let run = ended(
            platform,
            &run_of("action-not", json!({"taskSpec": {"steps": [step]}})),
        )?;
        expect(&run, "False", "TaskRunResolutionFailed", words)?;
    }
    Ok(())
}

fn a_step_can_be_left_out() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let when =
        |value: &str| json!([{"input": "$(steps.ask.results.answer)", "operator": "in", "values": [value]}]);
    let spec = json!({"taskSpec": {
        "results": [{"name": "way"}],
        "steps": [
            {"name": "ask", "image": image, "script": "printf left > $(step.results.answer.path)", "results": [{"name": "answer"}]},
            {"name": "right", "image": image, "script": "exit 7", "when": when("right")},
            {"name": "left", "image": image, "script": "printf taken > $(results.way.path)", "when": when("left")},
        ],
    }});
    let run = ended(platform, &run_of("fork", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    let status = &run["status"];
    ensure!(status["results"][0]["value"] == "taken", "{status}");
    let reasons: Vec<_> = (0..3)
        .map(|step| status["steps"][step]["terminationReason"].as_str())
        .collect();
    ensure!(
        reasons == [Some("Completed"), Some("Skipped"), Some("Completed")],
        "{status}"
    );
    Ok(())
}

fn credentials_of_the_service_account_are_there_for_git_and_docker() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let objects = r#"
apiVersion: v1
kind: Secret
metadata:
  name: git-login
  annotations:
    tekton.dev/git-0: https://git.example
type: kubernetes.io/basic-auth
stringData:
  username: me
  password: hush-hush
---
apiVersion: v1
kind: Secret
metadata:
  name: registry-login
type: kubernetes.io/dockerconfigjson
stringData:
  .dockerconfigjson: '{"auths":{"registry.example":{"auth":"bWU6aHVzaA=="}}}'
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: with-logins
secrets:
  - name: git-login
  - name: registry-login
  - name: nowhere
"#;
    platform.apply(objects, &[])?.ok()?;
    let script = "export HOME=${HOME:-/}; grep -q '^https://me:hush-hush@git.example$' $HOME/.git-credentials\n\
                  grep -q 'helper = store' $HOME/.gitconfig\n\
                  grep -q registry.example $HOME/.docker/config.json\n\
                  grep -q 'tmpfs $(credentials.path)\\|$(credentials.path) tmpfs' /proc/mounts";
    let step = json!({"name": "use", "image": image, "script": script, "env": [{"name": "HOME", "value": "/tekton/home"}]});
    let spec = json!({"serviceAccountName": "with-logins", "taskSpec": {"steps": [step]}});
    let run = ended(platform, &run_of("logins", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    let pod = run["status"]["podName"].as_str().context("no pod")?;
    let log = platform.kubectl(&["logs", pod, "-c", "step-use"])?.ok()?;
    ensure!(!log.contains("hush"), "{log}");
    // Who has none pays for none.
    let spec = json!({"taskSpec": {"steps": [{"name": "s", "image": image, "script": "! grep /tekton/creds /proc/mounts"}]}});
    expect(
        &ended(platform, &run_of("no-logins", spec))?,
        "True",
        "Succeeded",
        "",
    )
}

fn large_results_come_by_the_log() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let script = "head -c 60000 /dev/urandom | od -An -tx1 | tr -d ' \\n' > $(results.big.path)\n\
                  sha256sum < $(results.big.path) | cut -c1-64 | tr -d '\\n' > $(results.sum.path)\n\
                  printf 'no newline at the end'";
    let check = "printf '%s' \"$BIG\" | sha256sum | cut -c1-64 | grep -q \"^$SUM$\"";
    let pipeline = json!({
        "tasks": [
            {"name": "make", "taskSpec": {
                "results": [{"name": "big"}, {"name": "sum"}],
                "steps": [{"name": "s", "image": image, "script": script}],
            }},
            {"name": "use", "runAfter": ["make"],
             "params": [{"name": "big", "value": "$(tasks.make.results.big)"}, {"name": "sum", "value": "$(tasks.make.results.sum)"}],
             "taskSpec": {
                "params": [{"name": "big"}, {"name": "sum"}],
                "steps": [{"name": "s", "image": image, "script": check, "env": [
                    {"name": "BIG", "value": "$(params.big)"}, {"name": "SUM", "value": "$(params.sum)"},
                ]}],
            }},
        ],
    });
    let run = ended(
        platform,
        &pipeline_run_of("large", json!({"pipelineSpec": pipeline})),
    )?;
    expect(&run, "True", "Succeeded", "")?;
    let made = platform.get(&["taskrun", &format!("{}-make", name_of(&run)?)])?;
    let big = made["status"]["results"][0]["value"].as_str().unwrap_or_default();
    ensure!(big.len() == 120_000, "{} bytes", big.len());
    let script = "head -c 900000 /dev/urandom | od -An -tx1 > $(results.big.path)";
    let spec = json!({"taskSpec": {
        "results": [{"name": "big"}],
        "steps": [{"name": "s", "image": image, "script": script}],
    }});
    let run = ended(platform, &run_of("too-large", spec))?;
    expect(&run, "False", "TaskRunResultLargerThanAllowedLimit", "1048576")
}

fn name_of(run: &Value) -> anyhow::Result<&str> {
    run["metadata"]["name"].as_str().context("no name")
}

fn pipeline_run_of(name: &str, spec: Value) -> Value {
    let mut run = run_of(name, spec);
    run["kind"] = json!("PipelineRun");
    run
}

fn a_rerun_takes_over_what_succeeded() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let run = |fail: &str, of: Option<&str>| {
        let spec = json!({
            "params": [{"name": "fail", "value": fail}],
            "pipelineSpec": {
                "params": [{"name": "fail"}],
                "results": [{"name": "id", "value": "$(tasks.first.results.id)"}],
                "tasks": [
                    {"name": "first", "taskSpec": {
                        "results": [{"name": "id"}],
                        "steps": [{"name": "s", "image": image, "script": "cat /proc/sys/kernel/random/uuid > $(results.id.path)"}],
                    }},
                    {"name": "second", "params": [{"name": "id", "value": "$(tasks.first.results.id)"}], "taskSpec": {
                        "params": [{"name": "id"}],
                        "steps": [{"name": "s", "image": image, "script": "exit $(params.fail)"}],
                    }},
                ],
            },
        });
        let mut run = pipeline_run_of("rerun", spec);
        if let Some(of) = of {
            run["metadata"]["annotations"] = json!({"spindrift.dev/rerun-of": of});
        }
        run
    };
    let failed = ended(platform, &run("1", None))?;
    expect(&failed, "False", "Failed", "")?;
    let before = platform.get(&["taskrun", &format!("{}-first", name_of(&failed)?)])?;
    let again = ended(platform, &run("0", Some(name_of(&failed)?)))?;
    expect(&again, "True", "Succeeded", "")?;
    let after = platform.get(&["taskrun", &format!("{}-first", name_of(&again)?)])?;
    for field in ["podName", "results", "steps"] {
        ensure!(
            after["status"][field] == before["status"][field],
            "{field}: {}",
            after["status"]
        );
    }
    ensure!(
        again["status"]["results"][0]["value"] == before["status"]["results"][0]["value"],
        "{again}"
    );
    let second = platform.get(&["taskrun", &format!("{}-second", name_of(&again)?)])?;
    let own_pod = format!("{}-pod", name_of(&second)?);
    ensure!(second["status"]["podName"] == own_pod.as_str(), "{second}");
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            steps_follow_each_other_and_results_come_out,
            a_failing_step_ends_the_run,
            a_failure_can_be_let_pass_and_read_by_a_later_step,
            a_step_has_its_time_limit,
            a_run_has_its_time_limit,
            a_run_can_be_cancelled,
            a_failed_attempt_is_tried_again,
            a_pending_run_waits,
            steps_wait_for_sidecars_which_end_with_them,
            workspaces_are_where_the_task_wants_them,
            a_step_can_leave_its_command_to_its_image,
            a_run_goes_on_where_it_was_when_the_platform_was_killed,
            a_claim_is_made_for_a_run_and_goes_with_it,
            what_cannot_run_says_why,
            a_step_can_be_a_step_action,
            a_step_can_be_left_out,
            credentials_of_the_service_account_are_there_for_git_and_docker,
            large_results_come_by_the_log,
            a_rerun_takes_over_what_succeeded,
        ]],
        stop_shared,
    )
}
