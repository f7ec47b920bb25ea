//! `examples/rebuild` as it is, but for the names of what it cannot know: GitHub is played, as are its deliveries.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use e2e::git_hub::GitHub;
use e2e::{busybox, eventually, run};
use serde_json::{Value, json};

use super::Home;

/// Where webhooks arrive, as the gateway knows it.
const RECEIVER: &str = "github-source.knative-eventing.localhost";
const SECRET: &str = "hush";

/// The example, for this repository.
fn example(home: &Home, github: &GitHub) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rebuild/rebuild.yaml");
    let mut text = std::fs::read_to_string(path)?;
    let image = busybox::load_with(home.platform, "curl", "curl")?;
    let api = format!("  ownerAndRepository: me/web\n  githubAPIURL: {}", github.url());
    let page = format!("{}/me/web", github.url());
    for (of_example, ours) in [
        ("https://github.com/me/web.git", home.checkout.url().as_str()),
        ("https://github.com/me/web", &page),
        ("  ownerAndRepository: me/web", &api),
        ("a-secret-that-github-signs-with", SECRET),
        ("docker.io/curlimages/curl:8.11.1", &image),
    ] {
        ensure!(text.contains(of_example), "the example has no {of_example}");
        text = text.replace(of_example, ours);
    }
    Ok(text)
}

/// Has GitHub tell of a push; the status that it gets.
fn deliver(home: &Home, id: &str, git_ref: &str, before: &str, after: &str) -> anyhow::Result<String> {
    let body = json!({
        "ref": git_ref, "before": before, "after": after, "forced": false,
        "compare": format!("https://github.com/me/web/compare/{before}...{after}"),
        "head_commit": {"id": after, "message": "Say something", "author": {"name": "Jane Doe"}},
        "repository": {"name": "web", "full_name": "me/web", "owner": {"login": "me"}},
        "sender": {"login": "jane"},
    });
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), body.to_string())?;
    let mut openssl = Command::new("openssl");
    openssl
        .args(["dgst", "-sha256", "-hmac", SECRET])
        .arg(file.path());
    let digest = run(&mut openssl)?.ok()?;
    let (_, digest) = digest.trim().rsplit_once("= ").context("no digest")?;
    let (id, signature) = (
        format!("X-GitHub-Delivery: {id}"),
        format!("X-Hub-Signature-256: sha256={digest}"),
    );
    let data = format!("@{}", file.path().to_string_lossy());
    let mut arguments = vec!["-o", "/dev/null", "-w", "%{http_code}", "--data-binary", &data];
    for header in [
        id.as_str(),
        &signature,
        "X-GitHub-Event: push",
        "Content-Type: application/json",
    ] {
        arguments.extend(["-H", header]);
    }
    home.platform.curl(RECEIVER, "/default/web", &arguments)?.ok()
}

fn jobs(home: &Home) -> anyhow::Result<Vec<Value>> {
    let list = home.platform.get(&["job"])?;
    let all = list["items"].as_array().cloned().unwrap_or_default();
    let of_sink = |job: &Value| {
        let name = job["metadata"]["name"].as_str();
        name.is_some_and(|name| name.starts_with("rebuild-web"))
    };
    Ok(all.into_iter().filter(of_sink).collect())
}

/// A page is committed, pushed, and told of.
fn push(home: &Home, id: &str, page: &str) -> anyhow::Result<(String, String)> {
    let before = home.checkout.git(&["rev-parse", "HEAD"])?.trim().to_owned();
    let after = home.checkout.commit(page)?;
    home.checkout.git(&["push", "-q", "origin", "main"])?;
    let status = deliver(home, id, "refs/heads/main", &before, &after)?;
    ensure!(status == "202", "{status}");
    Ok((before, after))
}

pub fn a_push_as_an_event_becomes_a_revision() -> anyhow::Result<()> {
    let home = Home::start("web")?;
    let github = GitHub::start(&home.platform.address()?)?;
    home.checkout.commit("one")?;
    home.checkout.git(&["push", "-q", "origin", "main"])?;
    let example = example(&home, &github)?;
    home.platform.apply(&example, &[])?.ok()?;
    for name in ["githubsource/web", "trigger/rebuild-web", "jobsink/rebuild-web"] {
        let wait = ["wait", name, "--for=condition=Ready", "--timeout=60s"];
        home.platform.kubectl(&wait)?.ok()?;
    }
    home.answers("", "one")?;

    let (before, after) = push(&home, "second", "two")?;
    eventually("the Job to be done", || {
        let jobs = jobs(&home)?;
        ensure!(jobs.len() == 1, "{jobs:?}");
        let pods = home
            .platform
            .kubectl(&["get", "pod", "-l", "job-name", "-o", "yaml"])?;
        ensure!(jobs[0]["status"]["succeeded"] == 1, "{} {}", jobs[0], pods.text());
        Ok(())
    })?;
    home.answers("", "two")?;
    let marks = &home.service()?["spec"]["template"]["metadata"]["annotations"];
    ensure!(marks["spindrift.dev/commit"] == after.as_str(), "{marks}");

    // What comes again builds nothing again, and the branch is not the one that is wanted.
    let again = deliver(&home, "second", "refs/heads/main", &before, &after)?;
    let other = deliver(&home, "other", "refs/heads/other", &before, &after)?;
    ensure!(again == "202" && other == "202", "{again} {other}");
    let (_, after) = push(&home, "third", "three")?;
    home.answers("", "three")?;
    let marks = &home.service()?["spec"]["template"]["metadata"]["annotations"];
    ensure!(marks["spindrift.dev/commit"] == after.as_str(), "{marks}");
    let (jobs, runs) = (jobs(&home)?, home.runs()?);
    ensure!(jobs.len() == 2 && runs.len() == 3, "{jobs:?} {}", home.told());

    home.platform.kubectl(&["delete", "githubsource", "web"])?.ok()?;
    eventually("the webhook to be deleted", || {
        ensure!(github.called("DELETE").len() == 1, "it is still there");
        Ok(())
    })?;
    home.platform.kubectl(&["delete", "ksvc", "web"])?.ok().map(drop)
}
