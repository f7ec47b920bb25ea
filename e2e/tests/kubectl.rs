//! What people do with `kubectl`, with the real one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::images::Workshop;
use e2e::tools::{Need, find};
use e2e::workload::{delete, gone};
use e2e::{Platform, cases, eventually, shared, stop_shared, suite};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl];
const LOG_NEEDS: &[Need] = &[
    Need::Root,
    Need::Kubectl,
    Need::Curl,
    Need::Buildah,
    Need::Busybox,
];

fn kubectl(arguments: &[&str]) -> anyhow::Result<String> {
    shared()?.kubectl(arguments)?.ok()
}

/// A service of the sample, ready.
fn sample(platform: &Platform, name: &str) -> anyhow::Result<String> {
    let manifest = format!(
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  template:\n    spec:\n      \
         containers:\n        - image: {}/hello\n          env:\n            - name: TARGET\n              value: {name}\n",
        platform.registry()
    );
    platform.apply(&manifest, &[])?.ok()?;
    ready(name)?;
    Ok(manifest)
}

fn ready(name: &str) -> anyhow::Result<()> {
    kubectl(&[
        "wait",
        &format!("ksvc/{name}"),
        "--for=condition=Ready",
        "--timeout=100s",
    ])?;
    Ok(())
}

/// Every manifest of the examples.
fn examples() -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples"))? {
        let folder = folder?.path();
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(folder)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "yaml") {
                found.push(file);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn every_example_is_applied_by_client_and_by_server() -> anyhow::Result<()> {
    let platform = shared()?;
    let files = examples()?;
    ensure!(files.len() >= 5, "{files:?}");
    let mut names = Vec::new();
    for file in &files {
        let manifest = std::fs::read_to_string(file)?.replace("localhost:5000", &platform.registry());
        if !manifest.starts_with("apiVersion: serving.knative.dev/v1\n") {
            // It needs a git host before it comes to anything.
            platform.apply(&manifest, &["--dry-run=server"])?.ok()?;
            continue;
        }
        let name = manifest
            .lines()
            .find_map(|line| line.strip_prefix("  name: "))
            .context("no name")?
            .to_owned();
        let service = format!("service.serving.knative.dev/{name}");
        let created = platform.apply(&manifest, &[])?.ok()?;
        ensure!(created.contains(&format!("{service} created")), "{created}");
        ready(&name)?;
        let answer = platform.curl(&format!("{name}.default.localhost"), "/", &["-f"])?;
        ensure!(answer.code == 0, "{name}: {}", answer.text());

        // Whoever applies the same again, in either way, changes nothing. (The client says "configured" since it compares
        // lists of custom resources as a whole, and the container has its defaults now: so it does with Knative.)
        platform.apply(&manifest, &[])?.ok()?;
        // Containers are one value to server-side apply, as in Knative's own schema: what the client's apply left, defaults
        // included, has to be taken over once.
        for arguments in [&["--server-side", "--force-conflicts"][..], &["--server-side"]] {
            let server = platform.apply(&manifest, arguments)?.ok()?;
            ensure!(
                server.contains(&format!("{service} serverside-applied")),
                "{server}"
            );
        }
        let object = platform.get(&["ksvc", &name])?;
        ensure!(object["metadata"]["generation"] == 1, "{object}");
        names.push(name);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    delete(platform, &names)
}

fn watches_show_how_a_service_comes_to_be() -> anyhow::Result<()> {
    let platform = shared()?;
    let watches = ["ksvc", "revisions", "routes", "pods"]
        .map(|kind| Ok((kind, platform.kubectl_in_background(&["get", kind, "-w"])?)))
        .into_iter()
        .collect::<anyhow::Result<Vec<_>>>()?;
    sample(platform, "watched")?;
    for (kind, watch) in &watches {
        eventually("the watch to show it", || {
            let printed = watch.printed()?;
            let mine: Vec<&str> = printed
                .lines()
                .filter(|line| line.starts_with("watched"))
                .collect();
            let done = match *kind {
                "pods" => mine
                    .iter()
                    .any(|line| line.contains("2/2") && line.contains("Running")),
                _ => mine.iter().any(|line| line.contains("True")),
            };
            ensure!(done && mine.len() > 1, "{kind}: {printed}");
            Ok(())
        })?;
    }
    kubectl(&[
        "delete",
        "ksvc",
        "watched",
        "--cascade=foreground",
        "--timeout=100s",
    ])?;
    gone(platform, "watched")
}

fn columns_short_names_and_categories_are_knatives() -> anyhow::Result<()> {
    let platform = shared()?;
    sample(platform, "columns")?;
    for (names, columns) in [
        (
            &["services.serving.knative.dev", "ksvc", "kservice"][..],
            "NAME|URL|LATESTCREATED|LATESTREADY|READY|REASON",
        ),
        (
            &["configurations", "config", "cfg"],
            "NAME|LATESTCREATED|LATESTREADY|READY|REASON",
        ),
        (
            &["revisions", "rev"],
            "NAME|CONFIG NAME|GENERATION|READY|REASON|ACTUAL REPLICAS|DESIRED REPLICAS",
        ),
        (&["routes", "rt"], "NAME|URL|READY|REASON"),
        (
            &["podautoscalers", "kpa", "pa"],
            "NAME|DESIREDSCALE|ACTUALSCALE|READY|REASON",
        ),
        (&["metrics.autoscaling.internal.knative.dev"], "NAME|READY|REASON"),
        (
            &["serverlessservices", "sks"],
            "NAME|MODE|ACTIVATORS|SERVICENAME|PRIVATESERVICENAME|READY|REASON",
        ),
        (
            &["ingresses.networking.internal.knative.dev", "kingress", "king"],
            "NAME|READY|REASON",
        ),
        (&["images.caching.internal.knative.dev"], "NAME|IMAGE"),
    ] {
        for name in names {
            let table = kubectl(&["get", name])?;
            let header = table.lines().next().context("nothing is printed")?;
            let cells: Vec<&str> = header
                .split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect();
            ensure!(cells.join("|") == columns, "{name}: {header}");
        }
    }
    for category in ["knative", "serving", "all"] {
        let listed = kubectl(&["get", category, "-o", "name"])?;
        ensure!(
            listed.contains("service.serving.knative.dev/columns"),
            "{category}: {listed}"
        );
    }
    kubectl(&["delete", "ksvc", "columns"])?;
    Ok(())
}

fn describe_explain_diff_and_patch() -> anyhow::Result<()> {
    let platform = shared()?;
    let manifest = sample(platform, "told")?;
    let described = kubectl(&["describe", "ksvc", "told"])?;
    let words = described.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "Name: told",
        "Kind: Service",
        "Latest Ready Revision Name: told-00001",
        "URL: http://told.default.localhost",
        "Created Configuration \"told\"",
    ] {
        ensure!(words.contains(part), "{part} is not in {described}");
    }
    let explained = kubectl(&["explain", "ksvc.spec.template.spec.containerConcurrency"])?;
    ensure!(
        explained.contains("containerConcurrency <integer>"),
        "{explained}"
    );

    let changed = manifest.replace("value: told", "value: retold");
    let file = tempfile(&changed)?;
    let path = file.path().to_string_lossy().into_owned();
    let difference = platform.kubectl(&["diff", "-f", &path])?;
    ensure!(
        difference.code == 1 && difference.stdout.contains("+          value: retold"),
        "{}",
        difference.text()
    );
    let patch = r#"{"spec":{"template":{"spec":{"containerConcurrency":7}}}}"#;
    kubectl(&["patch", "ksvc", "told", "--type=merge", "-p", patch])?;
    kubectl(&[
        "wait",
        "ksvc/told",
        "--for=jsonpath={.status.latestReadyRevisionName}=told-00002",
        "--timeout=100s",
    ])?;
    ready("told")?;

    for (broken, message) in [
        (
            manifest.replace("containers:", "containerz:"),
            "unknown field \"spec.template.spec.containerz\"",
        ),
        (
            manifest.replace(
                "spec:\n  template:\n    spec:",
                "spec:\n  template:\n    spec:\n      containerConcurrency: 5000",
            ),
            "expected 0 <= 5000 <= 1000: spec.template.spec.containerConcurrency",
        ),
    ] {
        let refused = platform.apply(&broken, &["--server-side", "--force-conflicts"])?;
        ensure!(
            refused.code == 1 && refused.stderr.contains(message),
            "{}",
            refused.text()
        );
    }
    kubectl(&["delete", "ksvc", "told", "--wait=true"])?;
    Ok(())
}

fn logs_follow_a_deployment() -> anyhow::Result<()> {
    let platform = shared()?;
    let workshop = Workshop::new()?;
    let busybox = find("busybox").context("busybox was there a moment ago")?;
    let container = workshop.buildah(&["from", "scratch"])?;
    workshop.buildah(&[
        "copy",
        "--quiet",
        &container,
        &busybox.to_string_lossy(),
        "/busybox",
    ])?;
    // `-vv` writes a line for each request.
    let entrypoint = r#"["/busybox", "httpd", "-f", "-vv", "-p", "8080"]"#;
    workshop.buildah(&["config", "--entrypoint", entrypoint, &container])?;
    workshop.buildah(&["commit", "--quiet", "--rm", &container, "localhost/httpd:e2e"])?;
    let image = format!("{}/httpd:v1", platform.registry());
    workshop.push("localhost/httpd:e2e", &image)?;
    platform
        .kn(&[
            "service",
            "create",
            "logging",
            "--image",
            &image,
            "--scale-min",
            "1",
        ])?
        .ok()?;
    let follow = [
        "logs",
        "-f",
        "deploy/logging-00001-deployment",
        "-c",
        "user-container",
    ];
    let following = platform.kubectl_in_background(&follow)?;
    for number in 1..=3 {
        let path = format!("/request-{number}");
        platform.curl("logging.default.localhost", &path, &[])?.ok()?;
        eventually("the line to be followed", || {
            let printed = following.printed()?;
            ensure!(printed.contains(&path), "{printed}");
            Ok(())
        })?;
    }
    let tail = kubectl(&[
        "logs",
        "deploy/logging-00001-deployment",
        "-c",
        "user-container",
        "--tail=1",
        "--timestamps",
    ])?;
    ensure!(tail.lines().count() == 1 && tail.starts_with("20"), "{tail}");
    kubectl(&["delete", "ksvc", "logging"])?;
    Ok(())
}

fn tempfile(content: &str) -> anyhow::Result<tempfile::NamedTempFile> {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    std::fs::write(file.path(), content)?;
    Ok(file)
}

fn main() -> ExitCode {
    suite(
        cases![
            NEEDS => [every_example_is_applied_by_client_and_by_server, watches_show_how_a_service_comes_to_be, columns_short_names_and_categories_are_knatives, describe_explain_diff_and_patch],
            LOG_NEEDS => [logs_follow_a_deployment],
        ],
        stop_shared,
    )
}
