//! Jobs, and the Jobs that events become.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::tools::Need;
use e2e::{Options, Platform, busybox, cases, eventually, shared, stop_shared, suite};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl, Need::Busybox];
/// Where events are accepted, as the gateway knows it.
const INGRESS: &str = "broker-ingress.knative-eventing.localhost";

fn job(name: &str, image: &str, script: &str, spec: Value) -> Value {
    let mut all = json!({ "template": { "spec": {
        "restartPolicy": "Never",
        "volumes": [{ "name": "work", "emptyDir": {} }],
        "containers": [{
            "name": "c", "image": image, "command": ["sh", "-c", script],
            "volumeMounts": [{ "name": "work", "mountPath": "/work" }],
        }],
    }}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name }, "spec": all })
}

fn apply(platform: &Platform, object: &Value) -> anyhow::Result<()> {
    platform.apply(&object.to_string(), &[])?.ok().map(drop)
}

fn wait(platform: &Platform, object: &str, condition: &str) -> anyhow::Result<()> {
    let condition = format!("--for=condition={condition}");
    platform
        .kubectl(&["wait", object, &condition, "--timeout=120s"])?
        .ok()
        .map(drop)
}

fn pods_of(platform: &Platform, job: &str) -> anyhow::Result<Vec<Value>> {
    let selector = format!("batch.kubernetes.io/job-name={job}");
    let list = platform.get(&["pods", "-l", &selector])?;
    list["items"].as_array().cloned().context("no list")
}

fn jobs_run_until_they_are_complete_or_have_failed() -> anyhow::Result<()> {
    let platform = shared()?;
    let image = busybox::load(platform, "work:1")?;
    let created = ["create", "job", "hello", "--image", &image, "--", "echo", "hello"];
    platform.kubectl(&created)?.ok()?;
    wait(platform, "job/hello", "complete")?;
    let printed = platform.kubectl(&["logs", "job/hello"])?.ok()?;
    ensure!(printed.trim() == "hello", "{printed}");
    let listed = platform.kubectl(&["get", "job", "hello"])?.ok()?;
    ensure!(listed.contains("Complete") && listed.contains("1/1"), "{listed}");
    platform.kubectl(&["delete", "job", "hello"])?.ok()?;
    eventually("the pods to go with their job", || {
        let pods = pods_of(platform, "hello")?.len();
        ensure!(pods == 0, "{pods} are there");
        Ok(())
    })?;

    // One more attempt than the limit, and not one more.
    apply(
        platform,
        &job("bad", &image, "exit 3", json!({ "backoffLimit": 1 })),
    )?;
    wait(platform, "job/bad", "failed")?;
    let bad = platform.get(&["job", "bad"])?;
    ensure!(bad["status"]["failed"] == 2, "{bad}");
    let pods = pods_of(platform, "bad")?.len();
    ensure!(pods == 2, "{pods} pods");
    let described = platform.kubectl(&["describe", "job", "bad"])?.ok()?;
    ensure!(described.contains("BackoffLimitExceeded"), "{described}");

    // The second run in the same pod finds what the first has left.
    let mut again = job(
        "again",
        &image,
        "cat /work/seen || { echo 1 > /work/seen; exit 1; }",
        json!({}),
    );
    again["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    again["spec"]["ttlSecondsAfterFinished"] = json!(5);
    apply(platform, &again)?;
    wait(platform, "job/again", "complete")?;
    let pods = pods_of(platform, "again")?;
    ensure!(pods.len() == 1, "{pods:?}");
    eventually("the job to go after its time", || {
        let left = platform
            .kubectl(&["get", "job", "again", "--ignore-not-found", "-o", "name"])?
            .ok()?;
        ensure!(left.trim().is_empty(), "{left}");
        Ok(())
    })
}

fn a_killed_platform_completes_a_job_with_no_pod_too_many() -> anyhow::Result<()> {
    let mut platform = Platform::start(Options::default())?;
    let image = busybox::load(&platform, "work:1")?;
    let spec = json!({ "completions": 8, "parallelism": 2 });
    apply(&platform, &job("many", &image, "sleep 1", spec))?;
    for succeeded in [1, 4] {
        eventually("some pods to have succeeded", || {
            let many = platform.get(&["job", "many"])?;
            let so_far = many["status"]["succeeded"].as_i64().unwrap_or(0);
            ensure!(so_far >= succeeded, "{so_far} so far");
            Ok(())
        })?;
        platform.kill()?;
        platform.restart()?;
    }
    wait(&platform, "job/many", "complete")?;
    let many = platform.get(&["job", "many"])?;
    let status = &many["status"];
    ensure!(
        status["succeeded"] == 8 && status.get("failed").is_none(),
        "{status}"
    );
    let pods = pods_of(&platform, "many")?;
    ensure!(pods.len() == 8, "{} pods", pods.len());
    platform.stop()
}

fn an_event_for_a_job_sink_makes_one_job() -> anyhow::Result<()> {
    let platform = shared()?;
    let image = busybox::load(platform, "work:1")?;
    let show = json!({ "restartPolicy": "Never", "containers": [{
        "name": "c", "image": image, "command": ["sh", "-c", "cat $K_EVENT_PATH/event; echo; echo mode=$K_EXECUTION_MODE"],
    }]});
    apply(
        platform,
        &json!({
            "apiVersion": "sinks.knative.dev/v1alpha1", "kind": "JobSink", "metadata": { "name": "show" },
            "spec": { "job": { "spec": { "template": { "spec": show } } } },
        }),
    )?;
    wait(platform, "jobsink/show", "Ready")?;
    platform.kn(&["broker", "create", "work"])?.ok()?;
    apply(
        platform,
        &json!({
            "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": { "name": "show" },
            "spec": { "broker": "work", "subscriber": { "ref": {
                "apiVersion": "sinks.knative.dev/v1alpha1", "kind": "JobSink", "name": "show",
            }}},
        }),
    )?;
    wait(platform, "trigger/show", "Ready")?;
    let jobs = || -> anyhow::Result<Vec<Value>> {
        let list = platform.get(&["jobs", "-l", "sinks.knative.dev/job-sink-name=show"])?;
        list["items"].as_array().cloned().context("no list")
    };
    let post = |id: &str| -> anyhow::Result<()> {
        let (id, data) = (format!("ce-id: {id}"), format!("{{\"of\":\"{id}\"}}"));
        let code = platform
            .curl(
                INGRESS,
                "/default/work",
                &[
                    "-o",
                    "/dev/null",
                    "-w",
                    "%{http_code}",
                    "-d",
                    &data,
                    "-H",
                    &id,
                    "-H",
                    "ce-specversion: 1.0",
                    "-H",
                    "ce-type: t",
                    "-H",
                    "ce-source: /me",
                    "-H",
                    "content-type: application/json",
                ],
            )?
            .ok()?;
        ensure!(code == "202", "{code}");
        Ok(())
    };
    for id in ["1", "1", "2"] {
        post(id)?;
    }
    // Only when all three are answered is the second of the same known to have made nothing.
    eventually("an answer for each delivery", || {
        let taken = platform.metric("job_sink_requests_total{code=\"202\"}")?;
        ensure!(taken >= 3.0, "{taken} so far");
        Ok(())
    })?;
    eventually("a complete job for each event", || {
        let jobs = jobs()?;
        let complete = |job: &&Value| {
            let conditions = job["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|c| c["type"] == "Complete" && c["status"] == "True")
        };
        let complete = jobs.iter().filter(complete).count();
        ensure!(
            jobs.len() == 2 && complete == 2,
            "{} jobs, {complete} complete",
            jobs.len()
        );
        Ok(())
    })?;
    let mut printed = String::new();
    for job in jobs()? {
        let name = job["metadata"]["name"].as_str().context("no name")?;
        printed += &platform.kubectl(&["logs", &format!("job/{name}")])?.ok()?;
        let secret = platform.get(&["secret", name])?;
        ensure!(
            secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"],
            "{secret}"
        );
    }
    for part in [r#""id":"1""#, r#""id":"2""#, r#"{"of":"2"}"#, "mode=batch"] {
        ensure!(printed.contains(part), "no {part} in {printed}");
    }
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            jobs_run_until_they_are_complete_or_have_failed,
            an_event_for_a_job_sink_makes_one_job,
            a_killed_platform_completes_a_job_with_no_pod_too_many,
        ]],
        stop_shared,
    )
}
