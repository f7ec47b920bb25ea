//! StatefulSets with real containers: names, data, updates.

use std::process::ExitCode;

use anyhow::ensure;
use e2e::tools::Need;
use e2e::{Platform, busybox, cases, eventually, shared, stop_shared, suite};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Busybox];

/// Each pod writes its name where nothing is written yet, and serves what it finds there.
fn database(image: &str) -> Value {
    let script = "[ -e /data/index.html ] || echo first of $HOSTNAME >/data/index.html; \
                  cat /data/index.html; exec httpd -f -p 8080 -h /data";
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "db" },
            "spec": { "clusterIP": "None", "selector": { "app": "db" }, "ports": [{ "port": 8080 }] },
        },
        {
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "db" },
            "spec": {
                "serviceName": "db", "replicas": 2, "selector": { "matchLabels": { "app": "db" } },
                "template": {
                    "metadata": { "labels": { "app": "db" } },
                    "spec": { "terminationGracePeriodSeconds": 1, "containers": [{
                        "name": "c", "image": image, "command": ["sh", "-c", script],
                        "env": [{ "name": "ROUND", "value": "1" }],
                        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
                        "readinessProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 },
                    }]},
                },
                "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
                }}],
            },
        },
    ]})
}

fn rolled_out(platform: &Platform) -> anyhow::Result<()> {
    let status = ["rollout", "status", "statefulset/db", "--timeout=300s"];
    platform.kubectl(&status)?.ok().map(drop)
}

fn pods(platform: &Platform) -> anyhow::Result<Vec<String>> {
    let list = [
        "get",
        "pods",
        "-l",
        "app=db",
        "-o",
        "name",
        "--sort-by=.metadata.name",
    ];
    let names = platform.kubectl(&list)?.ok()?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// Waits until the pod of this name has found the data of the first one that had it.
fn has_its_data(platform: &Platform, pod: &str) -> anyhow::Result<()> {
    eventually("the data of the first pod", || {
        let printed = platform.kubectl(&["logs", pod])?.ok()?;
        ensure!(printed.trim() == format!("first of {pod}"), "{printed}");
        Ok(())
    })
}

fn a_database_keeps_its_names_and_its_data() -> anyhow::Result<()> {
    let platform = shared()?;
    let image = busybox::load(platform, "db:1")?;
    platform.apply(&database(&image).to_string(), &[])?.ok()?;
    rolled_out(platform)?;
    ensure!(
        pods(platform)? == ["pod/db-0", "pod/db-1"],
        "{:?}",
        pods(platform)?
    );
    has_its_data(platform, "db-1")?;
    let listed = platform.kubectl(&["get", "statefulsets"])?.ok()?;
    ensure!(listed.contains("2/2"), "{listed}");

    // Another pod sees each by its own name.
    let script = "for n in 0 1; do until wget -q -O- http://db-$n.db:8080/; do sleep 1; done; done";
    let seen = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "seeks" }, "spec": {
        "restartPolicy": "Never", "containers": [{ "name": "c", "image": image, "command": ["sh", "-c", script] }],
    }});
    platform.apply(&seen.to_string(), &[])?.ok()?;
    let ended = "--for=jsonpath={.status.phase}=Succeeded";
    platform
        .kubectl(&["wait", "pod/seeks", ended, "--timeout=120s"])?
        .ok()?;
    let seen = platform.kubectl(&["logs", "seeks"])?.ok()?;
    ensure!(seen.trim() == "first of db-0\nfirst of db-1", "{seen}");

    let uid = platform.get(&["pod", "db-1"])?["metadata"]["uid"].clone();
    platform.kubectl(&["delete", "pod", "db-1"])?.ok()?;
    eventually("another pod of the same name", || {
        let pod = platform.get(&["pod", "db-1"])?;
        ensure!(pod["metadata"]["uid"] != uid, "the same");
        Ok(())
    })?;
    rolled_out(platform)?;
    has_its_data(platform, "db-1")?;

    // Down and up again: the data was kept.
    platform
        .kubectl(&["scale", "statefulset", "db", "--replicas=1"])?
        .ok()?;
    eventually("one pod", || {
        let pods = pods(platform)?;
        ensure!(pods == ["pod/db-0"], "{pods:?}");
        Ok(())
    })?;
    let claims = platform.kubectl(&["get", "pvc", "-o", "name"])?.ok()?;
    ensure!(
        claims.contains("data-db-0") && claims.contains("data-db-1"),
        "{claims}"
    );
    platform
        .kubectl(&["scale", "statefulset", "db", "--replicas=2"])?
        .ok()?;
    rolled_out(platform)?;
    has_its_data(platform, "db-1")?;

    // A new template, and back.
    platform
        .kubectl(&["set", "env", "statefulset/db", "ROUND=2"])?
        .ok()?;
    rolled_out(platform)?;
    let round = "-o=jsonpath={.items[*].spec.containers[0].env[0].value}";
    let rounds = || platform.kubectl(&["get", "pods", "-l", "app=db", round])?.ok();
    ensure!(rounds()? == "2 2", "{}", rounds()?);
    has_its_data(platform, "db-0")?;
    platform.kubectl(&["rollout", "undo", "statefulset/db"])?.ok()?;
    rolled_out(platform)?;
    ensure!(rounds()? == "1 1", "{}", rounds()?);
    let history = platform
        .kubectl(&["rollout", "history", "statefulset/db"])?
        .ok()?;
    ensure!(history.contains('2') && history.contains('3'), "{history}");

    platform.kubectl(&["delete", "statefulset", "db"])?.ok()?;
    eventually("the pods to go with their set", || {
        let pods = pods(platform)?;
        ensure!(pods.is_empty(), "{pods:?}");
        Ok(())
    })
}

fn a_cordoned_node_takes_no_pods() -> anyhow::Result<()> {
    let platform = shared()?;
    let image = busybox::load(platform, "db:1")?;
    let nodes = platform.kubectl(&["get", "nodes", "-o", "name"])?.ok()?;
    platform.kubectl(&["cordon", nodes.trim()])?.ok()?;
    let late = ["run", "late", "--image", &image, "--restart=Never", "--", "true"];
    platform.kubectl(&late)?.ok()?;
    eventually("the pod to say why it waits", || {
        let told = platform.kubectl(&["describe", "pod", "late"])?.ok()?;
        ensure!(told.contains("1 node(s) were unschedulable"), "{told}");
        Ok(())
    })?;
    platform.kubectl(&["uncordon", nodes.trim()])?.ok()?;
    let ended = "--for=jsonpath={.status.phase}=Succeeded";
    platform
        .kubectl(&["wait", "pod/late", ended, "--timeout=120s"])?
        .ok()
        .map(drop)
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            a_database_keeps_its_names_and_its_data,
            a_cordoned_node_takes_no_pods,
        ]],
        stop_shared,
    )
}
