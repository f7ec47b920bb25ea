//! Pods are somebody: the account that they run as, its token, and what it may do at the API.

use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use e2e::task_runs::{ended, expect, platform, run_of};
use e2e::tools::Need;
use e2e::workload::pod;
use e2e::{Platform, busybox, cases, eventually, run, stop_shared, suite, turn};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl, Need::Busybox];
/// Where a container finds token, authority and namespace.
const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A TaskRun as `reader` whose step runs `script`; the image has the real kubectl.
fn read(image: &str, script: &str) -> Value {
    run_of(
        "reads",
        json!({
            "serviceAccountName": "reader",
            "taskSpec": {
                "results": [{"name": "said"}],
                "steps": [{"name": "s", "image": image, "script": format!("#!/bin/sh\n{script}")}],
            },
        }),
    )
}

fn said(run: &Value) -> &str {
    run["status"]["results"][0]["value"].as_str().unwrap_or_default()
}

fn kubectl_in_a_step_may_do_what_roles_allow() -> anyhow::Result<()> {
    let (platform, _) = platform()?;
    let image = {
        let _turn = turn();
        busybox::load_with(platform, "kubectl:e2e", "kubectl")?
    };
    for line in [
        "create serviceaccount reader",
        "create configmap word-of-the-day --from-literal=word=plover",
        "create role reads-maps --verb=get --resource=configmaps",
    ] {
        platform.kubectl(&line.split(' ').collect::<Vec<_>>())?.ok()?;
    }
    let refused = ended(
        platform,
        &read(
            &image,
            "kubectl get configmap word-of-the-day >$(results.said.path) 2>&1 && exit 1; exit 0",
        ),
    )?;
    expect(&refused, "True", "Succeeded", "")?;
    ensure!(
        said(&refused)
            == "Error from server (Forbidden): configmaps \"word-of-the-day\" is forbidden: User \
                \"system:serviceaccount:default:reader\" cannot get resource \"configmaps\" in API group \"\" in the \
                namespace \"default\"\n",
        "{}",
        refused["status"]
    );
    let bind = "create rolebinding reads-maps --role=reads-maps --serviceaccount=default:reader";
    platform.kubectl(&bind.split(' ').collect::<Vec<_>>())?.ok()?;
    // By the address in the environment, and by each of the names that the certificate is for.
    let by_name = format!(
        "for name in kubernetes.default kubernetes.default.svc kubernetes.default.svc.cluster.local; do \
         kubectl --server https://$name --certificate-authority {PATH}/ca.crt --token $(cat {PATH}/token) \
         -n $(cat {PATH}/namespace) get configmap word-of-the-day -o 'jsonpath={{.data.word}}' || exit 1; done"
    );
    let script = format!(
        "(kubectl get configmap word-of-the-day -o 'jsonpath={{.data.word}}'; {by_name}) >$(results.said.path) 2>&1"
    );
    let allowed = ended(platform, &read(&image, &script))?;
    expect(&allowed, "True", "Succeeded", "")?;
    ensure!(said(&allowed) == "plover".repeat(4), "{}", allowed["status"]);
    Ok(())
}

fn log_of(platform: &Platform, namespace: &str, name: &str) -> anyhow::Result<String> {
    platform.kubectl(&["logs", "-n", namespace, name])?.ok()
}

fn the_first_pods_of_new_namespaces_have_their_tokens() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let names: Vec<String> = (0..5).map(|number| format!("fresh-{number}")).collect();
    let script = format!("cat {PATH}/namespace; echo; head -n 1 {PATH}/ca.crt; cut -c 1-2 {PATH}/token");
    let objects = names.iter().flat_map(|name| {
        let mut first = pod(
            "first",
            json!({
                "restartPolicy": "Never",
                "containers": [{"name": "c", "image": image, "command": ["sh", "-c", script]}],
            }),
        );
        first["metadata"]["namespace"] = json!(name);
        [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
            first,
        ]
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>()});
    platform.apply(&list.to_string(), &[])?.ok()?;
    for name in &names {
        eventually(&format!("the end of the pod of {name}"), || {
            let pod = platform.get(&["pod", "first", "-n", name])?;
            ensure!(pod["status"]["phase"] == "Succeeded", "{}", pod["status"]);
            Ok(())
        })?;
        let log = log_of(platform, name, "first")?;
        ensure!(
            log == format!("{name}\n-----BEGIN CERTIFICATE-----\ney\n"),
            "{log}"
        );
    }
    let mut delete = vec!["delete", "namespace", "--wait=false"];
    delete.extend(names.iter().map(String::as_str));
    platform.kubectl(&delete)?.ok()?;
    Ok(())
}

fn a_token_is_its_users_and_dies_with_the_pod() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let script = format!("set -- $(ls -lnL {PATH}/token); echo $1 $3; cat {PATH}/token; echo; sleep 1000");
    let container = json!({"name": "c", "image": image, "command": ["sh", "-c", script]});
    let mut bare = pod(
        "bare",
        json!({"automountServiceAccountToken": false, "containers": [container]}),
    );
    bare["spec"]["containers"][0]["command"] = json!(["sh", "-c", format!("ls {PATH} || sleep 1000")]);
    platform.apply(&bare.to_string(), &[])?.ok()?;
    for (name, security, wanted) in [
        ("as-root", json!({}), "-rw-r--r-- 0"),
        ("as-somebody", json!({"runAsUser": 1234}), "-rw------- 1234"),
    ] {
        let owner = pod(
            name,
            json!({
                "securityContext": security, "terminationGracePeriodSeconds": 0, "containers": [container],
            }),
        );
        platform.apply(&owner.to_string(), &[])?.ok()?;
        let token = eventually(&format!("the token of {name}"), || {
            let log = log_of(platform, "default", name)?;
            let mut lines = log.lines();
            let (rights, token) = (
                lines.next().context("nothing")?,
                lines.next().context("no token")?,
            );
            ensure!(rights == wanted, "{rights}");
            Ok(token.to_owned())
        })?;
        // Everybody with a name may ask who they are.
        ensure!(status(platform, &token)? == "200", "the token of a pod that runs");
        platform.kubectl(&["delete", "pod", name])?.ok()?;
        ensure!(
            status(platform, &token)? == "401",
            "the token of a pod that is gone"
        );
    }
    eventually("the pod without a token", || {
        let bare = platform.get(&["pod", "bare"])?;
        ensure!(bare["status"]["phase"] == "Running", "{}", bare["status"]);
        ensure!(bare["spec"].get("volumes").is_none(), "{}", bare["spec"]);
        let log = log_of(platform, "default", "bare")?;
        ensure!(log.contains("No such file"), "{log}");
        Ok(())
    })?;
    platform
        .kubectl(&["delete", "pod", "bare", "--grace-period=0", "--force"])?
        .ok()?;
    Ok(())
}

/// What the API answers to a token.
fn status(platform: &Platform, token: &str) -> anyhow::Result<String> {
    let config = platform.kubectl(&[
        "config",
        "view",
        "--minify",
        "-o",
        "jsonpath={.clusters[0].cluster.server}",
    ])?;
    let url = format!("{}/apis", config.ok()?);
    let bearer = format!("authorization: Bearer {token}");
    run(Command::new("curl").args([
        "-sk",
        "--max-time",
        "20",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        &bearer,
        &url,
    ]))?
    .ok()
}

fn a_pod_of_an_unknown_account_is_refused() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let container = json!({"name": "c", "image": image});
    let pod = pod(
        "nobody",
        json!({"serviceAccountName": "nobody", "containers": [container]}),
    );
    let refused = platform.apply(&pod.to_string(), &[])?;
    let words = "pods \"nobody\" is forbidden: error looking up service account default/nobody: serviceaccount \
                 \"nobody\" not found";
    ensure!(
        refused.code == 1 && refused.stderr.contains(words),
        "{}",
        refused.text()
    );
    Ok(())
}

fn main() -> ExitCode {
    let cases = cases![
        NEEDS => [
            kubectl_in_a_step_may_do_what_roles_allow,
            the_first_pods_of_new_namespaces_have_their_tokens,
            a_token_is_its_users_and_dies_with_the_pod,
            a_pod_of_an_unknown_account_is_refused,
        ],
    ];
    suite(cases, stop_shared)
}
