//! Each component is somebody of its own to the API, with the rights of the install: they are enough, and no more than that.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use e2e::eventually;
use serde_json::{Value, json};

use super::processes::{Separate, platform};

/// Beginning of the names of those whom the install gives their rights.
const OURS: [&str; 3] = ["knative-serving:", "knative-eventing:", "tekton-"];

/// What accounts may do and may not: account, verb, resource, and where.
const RIGHTS: &[(&str, &str, &str, &str, bool)] = &[
    ("knative-serving:activator", "watch", "endpointslices", "", true),
    ("knative-serving:activator", "get", "secrets", "default", false),
    (
        "knative-serving:activator",
        "list",
        "configmaps",
        "default",
        false,
    ),
    ("knative-serving:activator", "patch", "pods", "default", false),
    (
        "knative-serving:activator",
        "update",
        "revisions.serving.knative.dev",
        "default",
        false,
    ),
    ("knative-serving:gateway", "watch", "services", "", true),
    ("knative-serving:gateway", "create", "pods", "default", false),
    ("knative-serving:gateway", "get", "secrets", "default", false),
    (
        "knative-serving:gateway",
        "patch",
        "ingresses.networking.internal.knative.dev",
        "default",
        false,
    ),
    (
        "knative-serving:autoscaler",
        "patch",
        "deployments.apps/scale",
        "default",
        true,
    ),
    (
        "knative-serving:autoscaler",
        "patch",
        "deployments.apps",
        "default",
        false,
    ),
    ("knative-serving:autoscaler", "delete", "pods", "default", false),
    ("knative-serving:autoscaler", "get", "secrets", "default", false),
    (
        "knative-serving:controller",
        "create",
        "deployments.apps",
        "default",
        true,
    ),
    ("knative-serving:controller", "get", "secrets", "default", true),
    ("knative-serving:controller", "list", "secrets", "default", false),
    ("knative-serving:controller", "create", "pods", "default", false),
    (
        "knative-serving:controller",
        "list",
        "configmaps",
        "default",
        false,
    ),
    (
        "knative-serving:webhook",
        "get",
        "secrets/webhook-certs",
        "knative-serving",
        true,
    ),
    (
        "knative-serving:webhook",
        "get",
        "secrets/other",
        "knative-serving",
        false,
    ),
    ("knative-serving:webhook", "get", "secrets", "default", false),
    (
        "knative-serving:webhook",
        "patch",
        "mutatingwebhookconfigurations/webhook.serving.knative.dev",
        "",
        true,
    ),
    (
        "knative-serving:webhook",
        "patch",
        "mutatingwebhookconfigurations/other",
        "",
        false,
    ),
    (
        "knative-serving:webhook",
        "delete",
        "validatingwebhookconfigurations",
        "",
        false,
    ),
    (
        "knative-eventing:broker",
        "create",
        "deployments.apps",
        "default",
        false,
    ),
    ("knative-eventing:broker", "get", "secrets", "default", false),
    (
        "knative-eventing:broker",
        "watch",
        "secrets/mt-broker-ingress-server-tls",
        "knative-eventing",
        true,
    ),
    (
        "knative-eventing:broker",
        "watch",
        "secrets/job-sink-server-tls",
        "knative-eventing",
        false,
    ),
    (
        "knative-eventing:broker",
        "update",
        "brokers.eventing.knative.dev/status",
        "default",
        false,
    ),
    (
        "knative-eventing:eventing-controller",
        "update",
        "brokers.eventing.knative.dev/status",
        "default",
        true,
    ),
    (
        "knative-eventing:eventing-controller",
        "list",
        "secrets",
        "default",
        false,
    ),
    (
        "knative-eventing:eventing-controller",
        "create",
        "serviceaccounts/token",
        "default",
        false,
    ),
    ("knative-eventing:event-sources", "list", "pods", "default", true),
    (
        "knative-eventing:event-sources",
        "list",
        "secrets",
        "default",
        false,
    ),
    (
        "knative-eventing:event-sources",
        "create",
        "jobs.batch",
        "default",
        false,
    ),
    (
        "knative-eventing:event-sinks",
        "create",
        "jobs.batch",
        "default",
        true,
    ),
    ("knative-eventing:event-sinks", "create", "pods", "default", false),
    (
        "tekton-pipelines:tekton-pipelines-controller",
        "create",
        "pods",
        "default",
        true,
    ),
    (
        "tekton-pipelines:tekton-pipelines-controller",
        "create",
        "pods/exec",
        "default",
        false,
    ),
    (
        "tekton-pipelines:tekton-pipelines-controller",
        "list",
        "secrets",
        "default",
        false,
    ),
    (
        "tekton-pipelines:tekton-pipelines-controller",
        "create",
        "clusterrolebindings.rbac.authorization.k8s.io",
        "",
        false,
    ),
    (
        "tekton-pipelines:run-archive",
        "delete",
        "taskruns.tekton.dev",
        "default",
        true,
    ),
    (
        "tekton-pipelines:run-archive",
        "create",
        "taskruns.tekton.dev",
        "default",
        false,
    ),
    ("tekton-pipelines:run-archive", "delete", "pods", "default", false),
    ("tekton-pipelines:run-archive", "get", "secrets", "default", false),
    (
        "tekton-pipelines:push-controller",
        "create",
        "pods",
        "default",
        false,
    ),
    (
        "tekton-pipelines:push-controller",
        "delete",
        "secrets",
        "default",
        false,
    ),
    (
        "tekton-pipelines-resolvers:tekton-pipelines-resolvers",
        "create",
        "taskruns.tekton.dev",
        "default",
        false,
    ),
    (
        "tekton-pipelines-resolvers:tekton-pipelines-resolvers",
        "list",
        "secrets",
        "default",
        false,
    ),
    // People: what the built-in roles say in the namespace that somebody has them in.
    (
        "default:viewer",
        "list",
        "services.serving.knative.dev",
        "default",
        true,
    ),
    (
        "default:viewer",
        "create",
        "services.serving.knative.dev",
        "default",
        false,
    ),
    (
        "default:viewer",
        "get",
        "services.serving.knative.dev",
        "kube-system",
        false,
    ),
    (
        "default:editor",
        "create",
        "services.serving.knative.dev",
        "default",
        true,
    ),
    (
        "default:editor",
        "delete",
        "triggers.eventing.knative.dev",
        "default",
        true,
    ),
    (
        "default:editor",
        "create",
        "pipelineruns.tekton.dev",
        "default",
        true,
    ),
    (
        "default:editor",
        "create",
        "repositories.spindrift.dev",
        "default",
        true,
    ),
    (
        "default:editor",
        "update",
        "services.serving.knative.dev/status",
        "default",
        false,
    ),
    (
        "default:editor",
        "patch",
        "ingresses.networking.internal.knative.dev",
        "default",
        false,
    ),
];

impl Separate {
    /// Credentials of the account of a component; as files lie, those of the cluster with another user.
    pub(super) fn credentials(&self, command: &str) -> anyhow::Result<PathBuf> {
        let component = accounts::COMPONENTS
            .iter()
            .find(|component| component.command == command)
            .with_context(|| format!("{command} has no account"))?;
        self.credentials_of(component.namespace, component.account)
    }

    pub(super) fn credentials_of(&self, namespace: &str, account: &str) -> anyhow::Result<PathBuf> {
        let token = self
            .kubectl(&["-n", namespace, "create", "token", account, "--duration=6h"])?
            .ok()?;
        let config = self.kubectl(&["config", "view", "--raw", "-o", "json"])?.ok()?;
        let mut config: Value = serde_json::from_str(&config)?;
        config["users"][0]["user"] = json!({"token": token.trim()});
        let path = self.data_dir.join(format!("{namespace}-{account}.kubeconfig"));
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }

    /// What the API server has refused to our accounts, each thing once.
    fn denied(&self) -> anyhow::Result<BTreeSet<String>> {
        let log = std::fs::read_to_string(self.data_dir.join("cluster.log"))?;
        let lines = log.lines().filter(|line| line.contains("Request is denied"));
        let of_ours = |line: &str| {
            let (_, user) = line.split_once("system:serviceaccount:")?;
            OURS.iter()
                .any(|ours| user.starts_with(ours))
                .then(|| user.to_owned())
        };
        Ok(lines.filter_map(of_ours).collect())
    }
}

pub(super) fn accounts_may_do_no_more_than_they_need() -> anyhow::Result<()> {
    let platform = platform()?;
    let platform = platform.as_ref().context("it does not run")?;
    for (account, role) in [("viewer", "view"), ("editor", "edit")] {
        platform.kubectl(&["create", "serviceaccount", account])?.ok()?;
        let binding = ["create", "rolebinding", account, "--clusterrole", role];
        let subject = format!("default:{account}");
        platform
            .kubectl(&[&binding[..], &["--serviceaccount", &subject]].concat())?
            .ok()?;
    }
    let mut wrong = Vec::new();
    for (account, verb, resource, namespace, expected) in RIGHTS {
        let user = format!("system:serviceaccount:{account}");
        let group = account.split(':').next().unwrap_or_default();
        let group = format!("system:serviceaccounts:{group}");
        // kubectl writes a subresource apart; what follows the slash of others is a name.
        let subresources = ["scale", "status", "token", "exec"];
        let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
        let mut arguments = vec!["auth", "can-i", verb];
        let (named, subresource) = (format!("{resource}/{part}"), format!("--subresource={part}"));
        match part {
            "" => arguments.push(resource),
            part if subresources.contains(&part) => arguments.extend([resource, &subresource]),
            _ => arguments.push(&named),
        }
        arguments.extend([
            "--as",
            &user,
            "--as-group",
            &group,
            "--as-group",
            "system:serviceaccounts",
        ]);
        match *namespace {
            "" => arguments.push("--all-namespaces"),
            namespace => arguments.extend(["-n", namespace]),
        }
        let answer = platform.kubectl(&arguments)?;
        let allowed = answer.stdout.trim() == "yes";
        if allowed != *expected || !["yes", "no"].contains(&answer.stdout.trim()) {
            wrong.push(format!("{arguments:?}: {}", answer.text()));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The last of all: what the others did was done with the rights of these accounts.
pub(super) fn accounts_may_do_all_they_need() -> anyhow::Result<()> {
    let platform = platform()?;
    let platform = platform.as_ref().context("it does not run")?;
    let denied = platform.denied()?;
    ensure!(denied.is_empty(), "{denied:#?}");
    // They are seen here: what an account may not do is told.
    let credentials = platform.credentials("activator")?;
    let asked = e2e::run(
        std::process::Command::new("kubectl")
            .env("KUBECONFIG", credentials)
            .args(["get", "secrets"]),
    )?;
    ensure!(asked.stderr.contains("Forbidden"), "{}", asked.text());
    let denied = platform.denied()?;
    ensure!(denied.len() == 1, "{denied:#?}");
    Ok(())
}

/// Objects of the kinds of events that nothing else here makes, while senders have identities and addresses https.
pub(super) fn kinds_of_events_become_ready() -> anyhow::Result<()> {
    let platform = platform()?;
    let platform = platform.as_ref().context("it does not run")?;
    let features = [
        "-n",
        "knative-eventing",
        "patch",
        "configmap",
        "config-features",
        "--type=merge",
        "-p",
    ];
    let set = |mode: &str, identities: &str| {
        let data = json!({"data": {"transport-encryption": mode, "authentication-oidc": identities}});
        let data = data.to_string();
        platform.kubectl(&[&features[..], &[&data]].concat())?.ok()
    };
    set("permissive", "enabled")?;
    platform.kubectl(&["create", "serviceaccount", "watcher"])?.ok()?;
    let binding = [
        "create",
        "rolebinding",
        "watcher",
        "--clusterrole=view",
        "--serviceaccount=default:watcher",
    ];
    platform.kubectl(&binding)?.ok()?;
    let image = format!("{}/event-display", platform.registry);
    let sink = json!({"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "kinds"}});
    let channel =
        json!({"ref": {"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "kinds"}});
    let template = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel"});
    let of = |api_version: &str, kind: &str, spec: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "kinds"}, "spec": spec});
    let pod = json!({"containers": [{"name": "c", "image": image}]});
    let labels = json!({"app": "kinds"});
    let items = [
        of("eventing.knative.dev/v1", "Broker", json!({})),
        of(
            "eventing.knative.dev/v1",
            "Trigger",
            json!({"broker": "kinds", "subscriber": channel}),
        ),
        of("messaging.knative.dev/v1", "Channel", json!({})),
        of(
            "messaging.knative.dev/v1",
            "Subscription",
            json!({
                "channel": {"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "kinds"},
                "subscriber": sink,
            }),
        ),
        of(
            "flows.knative.dev/v1",
            "Sequence",
            json!({"channelTemplate": template, "steps": [sink], "reply": sink}),
        ),
        of(
            "flows.knative.dev/v1",
            "Parallel",
            json!({
                "channelTemplate": template, "branches": [{"subscriber": sink}], "reply": sink,
            }),
        ),
        of(
            "sources.knative.dev/v1",
            "PingSource",
            json!({"schedule": "* * * * *", "sink": sink}),
        ),
        of(
            "sources.knative.dev/v1",
            "ApiServerSource",
            json!({
                "serviceAccountName": "watcher", "resources": [{"apiVersion": "v1", "kind": "Pod"}], "sink": sink,
            }),
        ),
        of(
            "sources.knative.dev/v1",
            "ContainerSource",
            json!({"template": {"spec": pod}, "sink": sink}),
        ),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "kinds"}, "spec": {
            "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod},
        }}),
        of(
            "sources.knative.dev/v1",
            "SinkBinding",
            json!({
                "subject": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "kinds"}, "sink": sink,
            }),
        ),
    ];
    for item in &items {
        platform.apply(item)?;
    }
    for item in &items {
        let kind = item["kind"].as_str().unwrap_or_default();
        // Bound workloads are given no tokens, and these two say so while identities are on.
        let condition = match kind {
            "Deployment" => "Available",
            "ContainerSource" => "ReceiveAdapterReady",
            "SinkBinding" => "SinkBindingAvailable",
            _ => "Ready",
        };
        let object = format!("{}/kinds", kind.to_lowercase());
        let condition = format!("--for=condition={condition}");
        platform
            .kubectl(&["wait", &object, &condition, "--timeout=90s"])?
            .ok()?;
    }
    eventually("the address over TLS", || {
        let addresses = [
            "get",
            "broker",
            "kinds",
            "-o",
            "jsonpath={.status.addresses[*].url}",
        ];
        let addresses = platform.kubectl(&addresses)?.ok()?;
        ensure!(addresses.contains("https://"), "{addresses}");
        Ok(())
    })?;
    let env = "jsonpath={.spec.template.spec.containers[0].env[*].name}";
    eventually("the Deployment to be bound", || {
        let env = platform
            .kubectl(&["get", "deployment", "kinds", "-o", env])?
            .ok()?;
        ensure!(env.contains("K_SINK"), "{env}");
        Ok(())
    })?;
    set("disabled", "disabled")?;
    let mut made = vec!["delete", "--wait=false"];
    let names: Vec<String> = items
        .iter()
        .filter_map(|item| Some(format!("{}/kinds", item["kind"].as_str()?.to_lowercase())))
        .collect();
    made.extend(names.iter().map(String::as_str));
    platform.kubectl(&made)?.ok()?;
    eventually("them to go", || {
        let left = [&["get", "-o", "name", "--ignore-not-found"][..], &made[2..]].concat();
        let left = platform.kubectl(&left)?.ok()?;
        ensure!(left.trim().is_empty(), "{left}");
        Ok(())
    })
}
