//! The main job, as a user does it, on one platform that all tests of this file share.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::tools::Need;
use e2e::{cases, eventually, shared, stop_shared, suite, turn};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl];

fn a_service_is_created_called_updated_and_deleted() -> anyhow::Result<()> {
    let (platform, _turn) = (shared()?, turn());
    let image = format!("{}/hello", platform.registry());
    let created = platform.kn(&[
        "service",
        "create",
        "web",
        "--image",
        &image,
        "--env",
        "TARGET=blue",
    ])?;
    ensure!(
        created.code == 0 && created.stdout.contains("web"),
        "{}",
        created.text()
    );
    ensure!(platform.curl("web.default.localhost", "/", &[])?.ok()?.trim() == "Hello blue!");

    let split = [
        "--traffic",
        "web-00001=90",
        "--traffic",
        "@latest=10",
        "--tag",
        "@latest=next",
    ];
    let updated = platform.kn(&[
        &["service", "update", "web", "--env", "TARGET=green"][..],
        &split[..],
    ]
    .concat())?;
    ensure!(updated.code == 0, "{}", updated.text());
    ensure!(
        platform
            .curl("next-web.default.localhost", "/", &[])?
            .ok()?
            .trim()
            == "Hello green!"
    );
    let mut green = 0;
    for _ in 0..200 {
        let answer = platform.curl("web.default.localhost", "/", &[])?.ok()?;
        green += usize::from(answer.trim() == "Hello green!");
    }
    // 10 % of 200: beyond five standard deviations (4.2 each) the split is wrong.
    ensure!(
        (1..=42).contains(&green),
        "{green} of 200 went to the new revision"
    );

    let listed = platform
        .kubectl(&["get", "ksvc,revisions,routes", "-o", "name"])?
        .ok()?;
    for name in [
        "service.serving.knative.dev/web",
        "revision.serving.knative.dev/web-00002",
        "route.serving.knative.dev/web",
    ] {
        ensure!(listed.contains(name), "{name} is missing in {listed}");
    }
    let deleted = platform.kn(&["service", "delete", "web"])?;
    ensure!(deleted.code == 0, "{}", deleted.text());
    eventually("the host to be unknown", || {
        let code = platform
            .curl(
                "web.default.localhost",
                "/",
                &["-o", "/dev/null", "-w", "%{http_code}"],
            )?
            .ok()?;
        ensure!(code == "404", "answered {code}");
        Ok(())
    })
}

fn an_idle_service_goes_to_zero_and_the_next_request_wakes_it() -> anyhow::Result<()> {
    let (platform, _turn) = (shared()?, turn());
    let manifest = format!(
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: sleepy\nspec:\n  template:\n    metadata:\n      \
         annotations:\n        autoscaling.knative.dev/window: 6s\n    spec:\n      containers:\n        - image: {}/hello\n",
        platform.registry()
    );
    platform.apply(&manifest, &["--server-side"])?.ok()?;
    platform
        .kubectl(&["wait", "ksvc/sleepy", "--for=condition=Ready", "--timeout=60s"])?
        .ok()?;
    eventually("no pods", || {
        let pods = platform.get(&["pods", "-l", "serving.knative.dev/service=sleepy"])?;
        let left = pods["items"].as_array().context("no list")?.len();
        ensure!(left == 0, "{left} pods are left");
        Ok(())
    })?;
    ensure!(platform.curl("sleepy.default.localhost", "/", &[])?.ok()?.trim() == "Hello World!");
    platform.kn(&["service", "delete", "sleepy"])?.ok()?;
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            a_service_is_created_called_updated_and_deleted,
            an_idle_service_goes_to_zero_and_the_next_request_wakes_it,
        ]],
        stop_shared,
    )
}
