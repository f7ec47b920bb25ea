//! How TaskRuns go, and how they end.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::task_runs::{create, ended, expect, finished, name_of, pipeline_run_of, platform, run_of};
use e2e::tools::Need;
use e2e::{Options, Platform, busybox, cases, eventually, stop_shared, suite, turn};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Busybox];

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
    pod_is_gone(platform, &run)?;
    a_cancelled_run_keeps_its_pod_if_that_is_wanted(platform, &image)
}

/// After the other: the flag is everybody's.
fn a_cancelled_run_keeps_its_pod_if_that_is_wanted(platform: &Platform, image: &str) -> anyhow::Result<()> {
    let keep = |keep: &str| {
        let patch = json!({"data": {"keep-pod-on-cancel": keep}}).to_string();
        let map = ["-n", "tekton-pipelines", "patch", "configmap", "feature-flags"];
        platform
            .kubectl(&[&map[..], &["--type=merge", "-p", &patch]].concat())?
            .ok()
    };
    keep("true")?;
    let spec = json!({"taskSpec": {"steps": [
        {"name": "long", "image": image, "script": "echo began; sleep 1000"},
        {"name": "never", "image": image, "script": "echo too late"},
    ]}});
    // The controller may not have seen the flag yet: a pod that was made before it does not know how to stay.
    let (name, pod) = eventually("a pod that can be cancelled", || {
        let name = create(platform, &run_of("kept", spec.clone()))?;
        let (_, own) = name.split_once('/').context("no name")?;
        let pod = format!("{own}-pod");
        platform
            .kubectl(&["wait", "pod", &pod, "--for=create", "--timeout=30s"])?
            .ok()?;
        let made = platform.get(&["pod", &pod])?;
        if !made["spec"].to_string().contains("-cancel_file") {
            platform.kubectl(&["delete", &name, "--wait=false"])?.ok()?;
            anyhow::bail!("made without: {}", made["spec"]);
        }
        Ok((name, pod))
    })?;
    eventually("the step to begin", || {
        let log = platform.kubectl(&["logs", &pod, "-c", "step-long"])?;
        ensure!(log.stdout.contains("began"), "{}", log.text());
        Ok(())
    })?;
    let patch = r#"{"spec":{"status":"TaskRunCancelled"}}"#;
    platform
        .kubectl(&["patch", &name, "--type=merge", "-p", patch])?
        .ok()?;
    eventually("the ends of the steps", || {
        let found = platform.get(&["pod", &pod])?;
        let containers = found["status"]["containerStatuses"].as_array();
        let ends: Vec<&Value> = containers
            .into_iter()
            .flatten()
            .map(|container| &container["state"]["terminated"]["exitCode"])
            .collect();
        ensure!(
            found["status"]["phase"] == "Failed" && ends == [9, 9],
            "{}",
            found["status"]
        );
        Ok(())
    })?;
    let run = finished(platform, &name)?;
    expect(&run, "False", "TaskRunCancelled", "was cancelled")?;
    let log = platform.kubectl(&["logs", &pod, "-c", "step-never"])?.ok()?;
    ensure!(!log.contains("too late"), "{log}");
    keep("false").map(drop)
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
            a_run_goes_on_where_it_was_when_the_platform_was_killed,
            what_cannot_run_says_why,
            a_step_can_be_left_out,
            a_rerun_takes_over_what_succeeded,
        ]],
        stop_shared,
    )
}
