//! Steps that breakpoints hold, in real containers, and what lets them go.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::task_runs::{create, expect, finished, platform, run_of};
use e2e::tools::Need;
use e2e::{Platform, cases, eventually, stop_shared, suite};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Busybox];

/// Starts a run of the steps `a`, with this script, and `b`; its name, and that of its pod.
fn held(
    platform: &Platform,
    image: &str,
    breakpoints: &Value,
    script: &str,
) -> anyhow::Result<(String, String)> {
    let flags = json!({"data": {"enable-api-fields": "alpha"}}).to_string();
    let map = ["configmap", "feature-flags", "-n", "tekton-pipelines"];
    let patch = [&["patch"], map.as_slice(), &["--type", "merge", "-p", &flags]].concat();
    platform.kubectl(&patch)?.ok()?;
    let spec = json!({
        "debug": {"breakpoints": breakpoints},
        "taskSpec": {"steps": [
            {"name": "a", "image": image, "script": script},
            {"name": "b", "image": image, "script": "echo went on"},
        ]},
    });
    // Admission hears of the flag in its own time.
    let name = eventually("the run to be taken", || {
        create(platform, &run_of("held", spec.clone()))
    })?;
    let pod = eventually("the pod", || {
        let run = platform.get(&[&name])?;
        let pod = run["status"]["podName"].as_str().filter(|pod| !pod.is_empty());
        Ok(pod.context("no pod yet")?.to_owned())
    })?;
    Ok((name, pod))
}

fn decide(platform: &Platform, pod: &str, decision: &str) -> anyhow::Result<()> {
    let annotation = format!("spindrift.dev/debug={decision}");
    platform
        .kubectl(&["annotate", "--overwrite", "pod", pod, &annotation])?
        .ok()
        .map(drop)
}

/// What a step said, as soon as it is this.
fn says(platform: &Platform, pod: &str, step: &str, words: &str) -> anyhow::Result<()> {
    eventually(&format!("{step} to say {words}"), || {
        let log = platform.kubectl(&["logs", pod, "-c", step])?.ok()?;
        ensure!(log.contains(words), "{log}");
        Ok(())
    })
}

/// Whether the step has ended.
fn ended(platform: &Platform, pod: &str, step: &str) -> anyhow::Result<bool> {
    let pod = platform.get(&["pod", pod])?;
    let states = pod["status"]["containerStatuses"].as_array();
    let state = states
        .into_iter()
        .flatten()
        .find(|status| status["name"] == step)
        .context("no such step")?;
    Ok(state["state"]["terminated"].is_object())
}

/// Fails, if the scripts that people use are there.
const BROKEN: &str = "echo went in; test -e /tekton/debug/scripts/debug-continue && exit 3";

fn a_failed_step_is_held_until_somebody_decides() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let breakpoints = json!({"onFailure": "enabled"});
    let (run, pod) = held(platform, &image, &breakpoints, BROKEN)?;
    says(platform, &pod, "step-a", "went in")?;
    ensure!(!ended(platform, &pod, "step-a")?, "it was not held");
    // Not held, it would have failed.
    decide(platform, &pod, "a=continue")?;
    expect(&finished(platform, &run)?, "True", "Succeeded", "")?;
    says(platform, &pod, "step-b", "went on")?;

    let (run, pod) = held(platform, &image, &breakpoints, BROKEN)?;
    says(platform, &pod, "step-a", "went in")?;
    decide(platform, &pod, "a=fail-continue")?;
    expect(&finished(platform, &run)?, "False", "StepFailed", "\"step-a\"")?;
    never_went_on(platform, &pod)
}

fn a_step_is_held_before_it_begins() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let breakpoints = json!({"beforeSteps": ["b"]});
    let (run, pod) = held(platform, &image, &breakpoints, "echo went in")?;
    eventually("the end of the step before", || {
        ensure!(ended(platform, &pod, "step-a")?, "it goes on");
        Ok(())
    })?;
    // Not held, it would have succeeded.
    decide(platform, &pod, "b=beforestep-fail-continue")?;
    expect(&finished(platform, &run)?, "False", "StepFailed", "\"step-b\"")?;
    never_went_on(platform, &pod)?;

    let (run, pod) = held(platform, &image, &breakpoints, "echo went in")?;
    decide(platform, &pod, "b=beforestep-continue")?;
    expect(&finished(platform, &run)?, "True", "Succeeded", "")?;
    says(platform, &pod, "step-b", "went on")
}

fn never_went_on(platform: &Platform, pod: &str) -> anyhow::Result<()> {
    let log = platform.kubectl(&["logs", pod, "-c", "step-b"])?.ok()?;
    ensure!(!log.contains("went on"), "{log}");
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            a_failed_step_is_held_until_somebody_decides,
            a_step_is_held_before_it_begins,
        ]],
        stop_shared,
    )
}
