//! The server is killed at random instants, without a chance to clean up, and goes on where it was.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use e2e::raw::send;
use e2e::remains::{nothing_is_left_over, pods};
use e2e::tools::Need;
use e2e::workload::ready;
use e2e::{Acknowledged, Dice, Options, Platform, Traces, Workload, busybox, cases, eventually, suite};
use serde_json::json;

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl, Need::Busybox];
/// Kills of each kind.
const ROUNDS: u32 = 3;
const PODS: usize = 4;

fn service(name: &str, image: &str, pods: usize) -> Workload {
    Workload::new(name, image)
        .annotation("min-scale", &pods.to_string())
        .spec("timeoutSeconds", 5)
        .small()
}

fn acknowledged_objects_survive(platform: &mut Platform, dice: &mut Dice, round: u32) -> anyhow::Result<()> {
    let acknowledged = Acknowledged::until(platform, &format!("kept-{round}"), |platform| {
        std::thread::sleep(dice.below(Duration::from_millis(500)));
        platform.kill()
    })?;
    platform.restart()?;
    acknowledged.are_there(platform)?;
    acknowledged.delete_services(platform)
}

/// Kills it while pods of a new service are pulled, started and probed, and while requests come in.
fn scale_up_goes_on(
    platform: &mut Platform,
    dice: &mut Dice,
    round: u32,
    known: &mut BTreeSet<String>,
) -> anyhow::Result<()> {
    // An image that was never unpacked: some instants lie between pull and start.
    let fresh = busybox::load(platform, &format!("fresh:{round}"))?;
    let name = format!("burst-{round}");
    let burst =
        service(&name, &fresh, PODS).container("command", json!(["httpd", "-f", "-p", "8080", "-h", "/tmp"]));
    let done = AtomicBool::new(false);
    let port = platform.http_port();
    let asked = AtomicUsize::new(0);
    let restarted: anyhow::Result<Duration> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if send(port, "web.default.localhost", "GET", "/", "").is_ok() {
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let result = (|| {
            burst.apply(platform)?;
            std::thread::sleep(dice.below(Duration::from_secs(3)));
            known.extend(pods(platform)?);
            platform.kill()?;
            let killed = Instant::now();
            platform.restart()?;
            eventually("the service to answer again", || {
                let code = send(platform.http_port(), "web.default.localhost", "GET", "/", "")?;
                ensure!(code == 200, "answered {code}");
                Ok(())
            })?;
            Ok(killed.elapsed())
        })();
        done.store(true, Ordering::Relaxed);
        result
    });
    let restarted = restarted?;
    ensure!(asked.load(Ordering::Relaxed) > 0, "no request was answered");
    ensure!(
        restarted < Duration::from_secs(60),
        "it took {restarted:?} until the service answered again"
    );
    ready(platform, &[&name, "web"])?;
    eventually("exactly the pods that are wanted", || {
        let selector = format!("serving.knative.dev/service={name}");
        let list = platform.get(&["pods", "-l", &selector])?;
        let items = list["items"].as_array().context("no list")?;
        let ready = items.iter().filter(|pod| {
            let conditions = pod["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|c| c["type"] == "Ready" && c["status"] == "True")
        });
        let ready = ready.count();
        ensure!(
            items.len() == PODS && ready == PODS,
            "{} pods, {ready} ready",
            items.len()
        );
        Ok(())
    })?;
    nothing_is_left_over(platform, known)?;
    platform
        .kubectl(&["delete", "ksvc", &name, "--wait=false"])?
        .ok()?;
    Ok(())
}

fn killed_servers_go_on_where_they_were() -> anyhow::Result<()> {
    let mut dice = Dice::from_environment();
    let mut platform = Platform::start(Options::default())?;
    let mut known = BTreeSet::new();
    let web = service("web", &format!("{}/hello", platform.registry()), 1);
    web.deploy(&platform)?;
    let traces = Traces::of(&platform)?;
    for round in 0..ROUNDS {
        scale_up_goes_on(&mut platform, &mut dice, round, &mut known)?;
    }
    for round in 0..ROUNDS {
        acknowledged_objects_survive(&mut platform, &mut dice, round)?;
    }
    nothing_is_left_over(&platform, &mut known)?;

    // `spindrift down` after a kill: what was left behind goes.
    platform.kill()?;
    let down = e2e::run(
        platform
            .program("spindrift")
            .args(["down", "--data-dir"])
            .arg(platform.data_dir()),
    )?;
    down.ok()?;
    traces.gone()?;
    // And it starts again, with everything that was stored; Ctrl-C leaves nothing either.
    platform.restart()?;
    eventually("the service to answer", || {
        let answer = platform.curl("web.default.localhost", "/", &[])?.ok()?;
        ensure!(answer.trim() == "Hello World!", "{answer}");
        Ok(())
    })?;
    let start = Instant::now();
    platform.stop()?;
    // Pods that end in time need no grace period, and nobody else takes over whom to wait for.
    ensure!(
        start.elapsed() < Duration::from_secs(20),
        "Ctrl-C took {:?}",
        start.elapsed()
    );
    traces.gone()
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            killed_servers_go_on_where_they_were,
        ]],
        || Ok(()),
    )
}
