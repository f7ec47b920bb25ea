//! Containers of people's own that send events, told where to by their environment.

use std::process::ExitCode;

use anyhow::ensure;
use e2e::tools::Need;
use e2e::{Platform, Workload, busybox, cases, eventually, shared, stop_shared, suite};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Busybox];
/// Says where it was told to send events, and stays.
const TELL: &str = "echo \"told of <$K_SINK>\"; while true; do sleep 1; done";

fn image(platform: &Platform) -> anyhow::Result<String> {
    busybox::load(platform, "sender:1")
}

fn sink_of(broker: &str) -> String {
    format!("http://broker-ingress.knative-eventing.svc.cluster.local/default/{broker}")
}

fn is_ready(platform: &Platform, object: &str) -> anyhow::Result<()> {
    platform
        .kubectl(&["wait", object, "--for=condition=Ready", "--timeout=60s"])?
        .ok()?;
    Ok(())
}

fn deployment(name: &str, image: &str) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": image, "command": ["sh", "-c", TELL]}],
            }},
        },
    })
    .to_string()
}

/// The value of a variable in the template of a Deployment.
fn variable(deployment: &Value, name: &str) -> Option<String> {
    let env = deployment
        .pointer("/spec/template/spec/containers/0/env")?
        .as_array()?;
    let found = env.iter().find(|variable| variable["name"] == name)?;
    Some(found["value"].as_str().unwrap_or_default().to_owned())
}

fn logs(platform: &Platform, object: &str) -> anyhow::Result<String> {
    platform.kubectl(&["logs", object])?.ok()
}

fn a_container_source_sends_into_a_broker() -> anyhow::Result<()> {
    let platform = shared()?;
    let image = image(platform)?;
    platform.kn(&["broker", "create", "own"])?.ok()?;
    Workload::new("shown", &format!("{}/event-display", platform.registry()))
        .annotation("autoscaling.knative.dev/min-scale", "1")
        .annotation("autoscaling.knative.dev/max-scale", "1")
        .small()
        .deploy(platform)?;
    platform
        .kn(&[
            "trigger",
            "create",
            "shown",
            "--broker",
            "own",
            "--sink",
            "ksvc:shown",
        ])?
        .ok()?;
    is_ready(platform, "trigger/shown")?;
    let post = "i=0; while true; do i=$((i+1)); wget -q -O- --header 'ce-specversion: 1.0' \
        --header 'ce-type: dev.example.beat' --header 'ce-source: /own' --header \"ce-id: $i\" \
        --header 'content-type: application/json' --post-data '{\"beat\":1}' \"$K_SINK\"; sleep 1; done";
    let create = [
        "source",
        "container",
        "create",
        "beat",
        "--image",
        &image,
        "--cmd",
        "sh",
        "--arg",
        "-c",
        "--arg",
        post,
        "--sink",
        "broker:own",
    ];
    platform.kn(&create)?.ok()?;
    is_ready(platform, "containersource/beat")?;
    eventually("events of the container to be displayed", || {
        let text = platform
            .kubectl(&["logs", "deploy/shown-00001-deployment", "-c", "user-container"])?
            .ok()?;
        ensure!(
            text.contains("type: dev.example.beat") && text.contains("source: /own"),
            "{text}"
        );
        Ok(())
    })?;
    let source = platform.get(&["containersource", "beat"])?;
    ensure!(source["status"]["sinkUri"] == sink_of("own"), "{source}");
    let listed = platform.kn(&["source", "container", "list"])?.ok()?;
    ensure!(listed.contains("beat") && listed.contains("True"), "{listed}");
    // The first pod already knew the sink: its template was never changed.
    let deployment = platform.get(&["deployment", "beat-deployment"])?;
    ensure!(deployment["metadata"]["generation"] == 1, "{deployment}");
    platform.kn(&["source", "container", "delete", "beat"])?.ok()?;
    eventually("its children to go", || {
        let left = platform
            .kubectl(&["get", "deployment,sinkbinding", "-o", "name"])?
            .ok()?;
        ensure!(!left.contains("beat"), "{left}");
        Ok(())
    })
}

fn a_binding_tells_a_deployment_of_its_sink_until_it_is_deleted() -> anyhow::Result<()> {
    let platform = shared()?;
    let image = image(platform)?;
    platform.kn(&["broker", "create", "told"])?.ok()?;
    platform.apply(&deployment("teller", &image), &[])?.ok()?;
    eventually("a pod that knows of no sink", || {
        let text = logs(platform, "deploy/teller")?;
        ensure!(text.contains("told of <>"), "{text}");
        Ok(())
    })?;
    let create = [
        "source",
        "binding",
        "create",
        "tell",
        "--subject",
        "Deployment:apps/v1:teller",
        "--sink",
        "broker:told",
        "--ce-override",
        "origin=teller",
    ];
    platform.kn(&create)?.ok()?;
    is_ready(platform, "sinkbinding/tell")?;
    let bound = platform.get(&["deployment", "teller"])?;
    ensure!(variable(&bound, "K_SINK") == Some(sink_of("told")), "{bound}");
    let overrides = variable(&bound, "K_CE_OVERRIDES").unwrap_or_default();
    ensure!(overrides == r#"{"extensions":{"origin":"teller"}}"#, "{bound}");
    let told = format!("told of <{}>", sink_of("told"));
    eventually("a pod that knows of the sink", || {
        let text = logs(platform, "deploy/teller")?;
        ensure!(text.contains(&told), "{text}");
        Ok(())
    })?;
    // `kubectl apply` of the same manifest leaves it bound.
    platform.apply(&deployment("teller", &image), &[])?.ok()?;
    let applied = platform.get(&["deployment", "teller"])?;
    ensure!(variable(&applied, "K_SINK") == Some(sink_of("told")), "{applied}");
    platform.kn(&["source", "binding", "delete", "tell"])?.ok()?;
    eventually("the Deployment to forget the sink", || {
        let unbound = platform.get(&["deployment", "teller"])?;
        ensure!(
            unbound.pointer("/spec/template/spec/containers/0/env").is_none(),
            "{unbound}"
        );
        Ok(())
    })
}

fn what_is_created_after_the_binding_is_bound_from_the_start() -> anyhow::Result<()> {
    let platform = shared()?;
    let image = image(platform)?;
    platform.kn(&["broker", "create", "first"])?.ok()?;
    let create = [
        "source",
        "binding",
        "create",
        "jobs",
        "--subject",
        "Job:batch/v1:app=report",
        "--sink",
        "broker:first",
    ];
    platform.kn(&create)?.ok()?;
    is_ready(platform, "sinkbinding/jobs")?;
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "report", "labels": {"app": "report"}},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": image, "command": ["sh", "-c", "echo \"told of <$K_SINK>\""]}],
        }}},
    });
    platform.apply(&job.to_string(), &[])?.ok()?;
    platform
        .kubectl(&["wait", "job/report", "--for=condition=Complete", "--timeout=60s"])?
        .ok()?;
    let text = logs(platform, "job/report")?;
    ensure!(
        text.contains(&format!("told of <{}>", sink_of("first"))),
        "{text}"
    );
    platform.kn(&["source", "binding", "delete", "jobs"])?.ok()?;
    eventually("the binding to go", || {
        let left = platform.kubectl(&["get", "sinkbinding", "-o", "name"])?.ok()?;
        ensure!(!left.contains("jobs"), "{left}");
        Ok(())
    })
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            a_container_source_sends_into_a_broker,
            a_binding_tells_a_deployment_of_its_sink_until_it_is_deleted,
            what_is_created_after_the_binding_is_bound_from_the_start,
        ]],
        stop_shared,
    )
}
