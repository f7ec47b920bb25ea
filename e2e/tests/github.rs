//! From GitHub, played by a server that keeps webhooks, to the subscriber, with the programs that people use.

use std::process::ExitCode;

use anyhow::ensure;
use e2e::git_hub::GitHub;
use e2e::tools::Need;
use e2e::{Platform, Workload, cases, eventually, shared, stop_shared, suite};
use serde_json::json;

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl];
/// Where webhooks arrive, as the gateway knows it.
const RECEIVER: &str = "github-source.knative-eventing.localhost";

const BODY: &str = r#"{"ref": "refs/heads/main", "compare": "https://github.com/me/web/compare/a...b", "repository": {"name": "web", "owner": {"login": "me"}}, "sender": {"login": "you"}}"#;
/// Of that body with the secret `hush`, by `openssl dgst -sha256 -hmac hush`.
const SIGNATURE: &str = "ddcef5282b9a57cd13c274d0a0f129f90b9f0e83b39bca315a5d305a0ff303cf";

/// What the subscriber printed.
fn printed(platform: &Platform) -> anyhow::Result<String> {
    platform
        .kubectl(&["logs", "deploy/pushes-00001-deployment", "-c", "user-container"])?
        .ok()
}

fn deliver(platform: &Platform, event: &str, id: &str, signature: &str) -> anyhow::Result<String> {
    let (event, id) = (
        format!("X-GitHub-Event: {event}"),
        format!("X-GitHub-Delivery: {id}"),
    );
    let signature = format!("X-Hub-Signature-256: sha256={signature}");
    let headers = [
        "-H",
        &event,
        "-H",
        &id,
        "-H",
        &signature,
        "-H",
        "Content-Type: application/json",
    ];
    let rest = ["-o", "/dev/null", "-w", "%{http_code}", "--data-binary", BODY];
    platform
        .curl(RECEIVER, "/default/hooks", &[&headers[..], &rest].concat())?
        .ok()
}

fn a_signed_delivery_reaches_the_subscriber_once() -> anyhow::Result<()> {
    let platform = shared()?;
    let github = GitHub::start(&platform.address()?)?;
    let url = format!("{}/", github.url());
    Workload::new("pushes", &format!("{}/event-display", platform.registry()))
        .annotation("autoscaling.knative.dev/min-scale", "1")
        .annotation("autoscaling.knative.dev/max-scale", "1")
        .small()
        .deploy(platform)?;
    let secret = [
        "create",
        "secret",
        "generic",
        "github",
        "--from-literal=token=t",
        "--from-literal=secret=hush",
    ];
    platform.kubectl(&secret)?.ok()?;
    let source = [
        "source",
        "github",
        "create",
        "hooks",
        "--repository",
        "me/web",
        "--event",
        "push",
        "--access-token",
        "github:token",
        "--secret-token",
        "github:secret",
        "--api-url",
        &url,
        "--sink",
        "ksvc:pushes",
    ];
    platform.kn(&source)?.ok()?;
    platform
        .kubectl(&[
            "wait",
            "githubsource/hooks",
            "--for=condition=Ready",
            "--timeout=60s",
        ])?
        .ok()?;

    let made = github.called("POST");
    let config = json!({
        "url": format!("http://{RECEIVER}:{}/default/hooks", platform.http_port()),
        "content_type": "json", "secret": "hush", "insecure_ssl": "0",
    });
    let expected = json!({"name": "web", "active": true, "events": ["push"], "config": config});
    ensure!(
        made == [("/api/v3/repos/me/web/hooks".to_owned(), expected)],
        "{made:?}"
    );

    let forged = SIGNATURE.replace('d', "e");
    for (event, id, signature, status) in [
        ("push", "forged", forged.as_str(), "400"),
        ("push", "first", SIGNATURE, "202"),
        ("push", "first", SIGNATURE, "202"),
        ("issues", "unwanted", SIGNATURE, "404"),
        ("ping", "ping", SIGNATURE, "200"),
        ("push", "last", SIGNATURE, "202"),
    ] {
        let code = deliver(platform, event, id, signature)?;
        ensure!(code == status, "{event} {id}: {code} instead of {status}");
    }
    eventually("the events to be displayed", || {
        let text = printed(platform)?;
        let ids: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("  id: "))
            .collect();
        ensure!(ids == ["first", "last"], "{text}");
        for line in [
            "type: dev.knative.source.github.push",
            "source: http://", // of an installation of its own
            "subject: a...b",
            "\"ref\": \"refs/heads/main\"",
        ] {
            ensure!(text.contains(line), "{line}: {text}");
        }
        Ok(())
    })?;
    let described = platform.kn(&["source", "github", "describe", "hooks"])?.ok()?;
    ensure!(described.contains("me/web"), "{described}");

    platform.kn(&["source", "github", "delete", "hooks"])?.ok()?;
    eventually("the webhook to be deleted", || {
        let deleted = github.called("DELETE");
        ensure!(
            deleted.len() == 1 && deleted[0].0 == "/api/v3/repos/me/web/hooks/17",
            "{deleted:?}"
        );
        Ok(())
    })?;
    ensure!(
        deliver(platform, "push", "late", SIGNATURE)? == "404",
        "nobody is there any more"
    );
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [a_signed_delivery_reaches_the_subscriber_once]],
        stop_shared,
    )
}
