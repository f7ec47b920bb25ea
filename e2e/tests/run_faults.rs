//! TaskRuns that the machine ends: a step without memory, a disk without room, a pod that somebody deletes.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::disk::SmallDisk;
use e2e::tools::Need;
use e2e::{Options, Platform, busybox, cases, eventually, shared, stop_shared, suite, turn};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Busybox];

/// Starts a run of one step, and gives the name of its pod.
fn start(platform: &Platform, name: &str, step: &Value) -> anyhow::Result<String> {
    let run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": name},
        "spec": {"taskSpec": {"steps": [step]}},
    });
    platform.apply(&run.to_string(), &[])?.ok()?;
    eventually(&format!("the pod of {name}"), || {
        let run = platform.get(&["taskrun", name])?;
        let pod = run["status"]["podName"].as_str().filter(|pod| !pod.is_empty());
        Ok(pod.with_context(|| run["status"].to_string())?.to_owned())
    })
}

/// Waits for the failure of a run, for one of these reasons with these words in its message.
fn failed(platform: &Platform, name: &str, why: &[(&str, &str)]) -> anyhow::Result<()> {
    let run = eventually(&format!("the end of {name}"), || {
        let run = platform.get(&["taskrun", name])?;
        let status = &run["status"]["conditions"][0]["status"];
        ensure!(status == "True" || status == "False", "{}", run["status"]);
        Ok(run)
    })?;
    let condition = &run["status"]["conditions"][0];
    let told = condition["message"].as_str().unwrap_or_default();
    let is = |(reason, message): &(&str, &str)| condition["reason"] == *reason && told.contains(message);
    ensure!(
        condition["status"] == "False" && why.iter().any(is),
        "not {why:?}: {}",
        run["status"]
    );
    Ok(())
}

/// What the step said is there afterwards.
fn said(platform: &Platform, pod: &str, words: &str) -> anyhow::Result<()> {
    let log = platform.kubectl(&["logs", pod, "-c", "step-s"])?.ok()?;
    ensure!(log.contains(words), "{log}");
    Ok(())
}

fn a_step_without_memory_is_named() -> anyhow::Result<()> {
    let platform = shared()?;
    let _turn = turn();
    let image = busybox::load(platform, "busybox:faults")?;
    let step = json!({
        "name": "s", "image": image, "script": "echo growing; tail /dev/zero",
        "computeResources": {"limits": {"memory": "32Mi"}},
    });
    let pod = start(platform, "greedy", &step)?;
    failed(
        platform,
        "greedy",
        &[("StepOOM", "\"step-s\" exited with code 137: OOMKilled")],
    )?;
    said(platform, &pod, "growing")
}

fn a_step_whose_pod_is_deleted_runs_again_and_says_so() -> anyhow::Result<()> {
    let platform = shared()?;
    let _turn = turn();
    let image = busybox::load(platform, "busybox:faults")?;
    let step = json!({"name": "s", "image": image, "script": "echo once more; sleep 1000"});
    let pod = start(platform, "bereft", &step)?;
    let uid = |platform: &Platform| -> anyhow::Result<String> {
        let pod = platform.get(&["pod", &pod])?;
        ensure!(pod["status"]["phase"] == "Running", "{}", pod["status"]);
        Ok(pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
    };
    let before = eventually("the step to run", || uid(platform))?;
    platform
        .kubectl(&["delete", "pod", &pod, "--grace-period=0", "--force"])?
        .ok()?;
    eventually("another pod", || {
        ensure!(uid(platform)? != before, "it is the same");
        Ok(())
    })?;
    let events = platform
        .kubectl(&["get", "events", "--field-selector", "involvedObject.name=bereft"])?
        .ok()?;
    ensure!(events.contains("PodVanished"), "{events}");
    platform
        .kubectl(&["delete", "taskrun", "bereft", "--wait=false"])?
        .ok()
        .map(drop)
}

fn a_step_that_fills_the_disk_is_evicted_and_the_machine_goes_on() -> anyhow::Result<()> {
    let disk = SmallDisk::mount(700)?;
    let data_dir = disk.path().join("data");
    std::fs::create_dir(&data_dir)?;
    let _turn = turn();
    let mut platform = Platform::start(Options {
        data_dir: Some(data_dir),
        ..Options::default()
    })?;
    let image = busybox::load(&platform, "busybox:faults")?;
    let small = json!({"name": "s", "image": image, "script": "echo quiet; sleep 1000"});
    let modest = start(&platform, "modest", &small)?;
    let writing = |then: &str| {
        let script = format!("echo writing; dd if=/dev/zero of=/tekton/home/huge bs=1M {then}");
        json!({"name": "s", "image": image, "script": script})
    };
    // It ends by itself, unless the node looks at its disk in that moment.
    start(&platform, "fails", &writing(""))?;
    let evicted = ("PodEvicted", "The node was low on resource: ephemeral-storage");
    let itself = ("StepFailed", "\"step-s\" exited with code 1");
    failed(&platform, "fails", &[itself, evicted])?;
    let pod = start(&platform, "stays", &writing("|| sleep 1000"))?;
    failed(&platform, "stays", &[evicted])?;
    said(&platform, &pod, "writing")?;
    eventually("the disk to have room", || {
        let node = platform.get(&["nodes"])?;
        let conditions = node["items"][0]["status"]["conditions"].as_array();
        let pressure = conditions
            .into_iter()
            .flatten()
            .find(|one| one["type"] == "DiskPressure");
        ensure!(
            pressure.is_some_and(|pressure| pressure["status"] == "False"),
            "{pressure:?}"
        );
        Ok(())
    })?;
    platform.kubectl(&["create", "configmap", "after"])?.ok()?;
    let neighbour = platform.get(&["pod", &modest])?;
    ensure!(
        neighbour["status"]["phase"] == "Running",
        "{}",
        neighbour["status"]
    );
    // What ended so stays so.
    platform.kill()?;
    platform.restart()?;
    let pod = platform.get(&["pod", &pod])?;
    ensure!(pod["status"]["reason"] == "Evicted", "{}", pod["status"]);
    platform.stop()
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            a_step_without_memory_is_named,
            a_step_whose_pod_is_deleted_runs_again_and_says_so,
            a_step_that_fills_the_disk_is_evicted_and_the_machine_goes_on,
        ]],
        stop_shared,
    )
}
