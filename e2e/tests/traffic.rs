//! Traffic while everything under it changes: not one request may fail.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use e2e::load::Tally;
use e2e::tools::Need;
use e2e::{Client, Load, Platform, block_on, cases, eventually, shared, stop_shared, suite};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl];
/// Pause of a worker between an answer and its next request.
const PAUSE: Duration = Duration::from_millis(5);

/// Deploys a service with these annotations and lines of its revision's spec, and waits until it is ready.
fn deploy(
    platform: &Platform,
    name: &str,
    image: &str,
    annotations: &[(&str, &str)],
    spec: &str,
) -> anyhow::Result<()> {
    let annotations: String = annotations
        .iter()
        .map(|(key, value)| format!("\n        autoscaling.knative.dev/{key}: \"{value}\""))
        .collect();
    let manifest = format!(
        "apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: {name}
spec:
  template:
    metadata:
      annotations:{annotations}
    spec:{spec}
      containers:
        - image: {}/{image}
          env:
            - name: TARGET
              value: one
",
        platform.registry()
    );
    platform.apply(&manifest, &["--server-side"])?.ok()?;
    ready(platform, name)
}

fn ready(platform: &Platform, name: &str) -> anyhow::Result<()> {
    let service = format!("ksvc/{name}");
    platform
        .kubectl(&["wait", &service, "--for=condition=Ready", "--timeout=100s"])?
        .ok()?;
    Ok(())
}

/// Runs a program while the load of this test goes on.
async fn meanwhile(work: impl FnOnce() -> anyhow::Result<()> + Send + 'static) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(work).await?
}

/// Two revisions that stay up, called without an activator between.
const UP: &[(&str, &str)] = &[("min-scale", "1"), ("target-burst-capacity", "0")];

fn a_split_moves_from_one_revision_to_the_other() -> anyhow::Result<()> {
    let platform = shared()?;
    deploy(platform, "split", "hello", UP, "")?;
    let hold = ["--traffic", "split-00001=100"];
    platform
        .kn(&[&["service", "update", "split", "--env", "TARGET=two"][..], &hold].concat())?
        .ok()?;
    block_on(async {
        let load = Load::start(Client::of(platform), "split.default.localhost", "/", 4, PAUSE);
        only(&load.next(200).await?, "Hello one!")?;

        let halves = [
            "service",
            "update",
            "split",
            "--traffic",
            "split-00001=50",
            "--traffic",
            "split-00002=50",
        ];
        meanwhile(move || platform.kn(&halves)?.ok().map(drop)).await?;
        load.take().await.faultless()?;
        let both = load.next(2_000).await?;
        let ones = both.answers.get("Hello one!").copied().unwrap_or(0);
        let (total, deviation) = (both.total() as f64, (both.total() as f64).sqrt() / 2.0);
        ensure!(both.answers.len() == 2, "{both:?}");
        // Five standard deviations of a binomial with p = 1/2: one false alarm in 1.7 million.
        ensure!(
            (ones as f64 - total / 2.0).abs() < 5.0 * deviation,
            "{ones} of {total} went to the first revision"
        );

        let moved = ["service", "update", "split", "--traffic", "split-00002=100"];
        meanwhile(move || platform.kn(&moved)?.ok().map(drop)).await?;
        load.take().await.faultless()?;
        only(&load.next(500).await?, "Hello two!")?;
        load.stop().await.faultless()
    })?;
    platform.kn(&["service", "delete", "split"])?.ok().map(drop)
}

/// All answers are `body`, from the first request that began after the change was reported on.
fn only(tally: &Tally, body: &str) -> anyhow::Result<()> {
    // The requests that were under way meanwhile are one per worker.
    let others = tally.total() - tally.answers.get(body).copied().unwrap_or(0);
    ensure!(others <= 4, "{tally:?}");
    Ok(())
}

fn new_revisions_roll_out_one_after_the_other() -> anyhow::Result<()> {
    let platform = shared()?;
    deploy(platform, "roll", "hello", UP, "")?;
    block_on(async {
        let load = Load::start(Client::of(platform), "roll.default.localhost", "/", 4, PAUSE);
        load.next(100).await?;
        for target in ["two", "three", "four"] {
            meanwhile(move || {
                let variable = format!("TARGET={target}");
                platform
                    .kn(&["service", "update", "roll", "--env", &variable])?
                    .ok()
                    .map(drop)
            })
            .await?;
            load.take().await.faultless()?;
            only(&load.next(300).await?, &format!("Hello {target}!"))?;
        }
        load.stop().await.faultless()
    })?;
    platform.kn(&["service", "delete", "roll"])?.ok().map(drop)
}

fn pods_come_and_go_with_the_load() -> anyhow::Result<()> {
    let platform = shared()?;
    let scale = [("window", "6s"), ("target", "10"), ("max-scale", "4")];
    deploy(platform, "elastic", "autoscale", &scale, "")?;
    let replicas = |wanted: u64| {
        move || {
            eventually(&format!("{wanted} pods"), || {
                let deployment = platform.get(&["deployment", "elastic-00001-deployment"])?;
                let ready = deployment["status"]["readyReplicas"].as_u64().unwrap_or(0);
                ensure!(ready == wanted, "{ready} are ready");
                Ok(())
            })
        }
    };
    block_on(async {
        let client = Client::of(platform);
        let host = "elastic.default.localhost";
        let few = Load::start(client, host, "/?sleep=100", 2, PAUSE);
        few.next(10).await?;
        // 42 in flight at a target of 70 % of 10 ask for 6; 4 are allowed.
        let many = Load::start(client, host, "/?sleep=500", 40, PAUSE);
        meanwhile(replicas(4)).await?;
        many.take().await.faultless()?;
        let spread = many.next(400).await?;
        let pods = spread
            .answers
            .keys()
            .filter_map(|answer| answer.split(' ').next());
        let pods: std::collections::BTreeSet<&str> = pods.collect();
        ensure!(pods.len() == 4, "requests went to {pods:?}");
        many.stop().await.faultless()?;
        meanwhile(replicas(1)).await?;
        few.stop().await.faultless()
    })?;
    platform.kn(&["service", "delete", "elastic"])?.ok().map(drop)
}

fn the_concurrency_limit_is_exact_in_a_burst_from_zero() -> anyhow::Result<()> {
    let platform = shared()?;
    for limit in [1, 3] {
        let name = format!("exact-{limit}");
        let scale = [("initial-scale", "0"), ("max-scale", "4")];
        let spec = format!("\n      containerConcurrency: {limit}");
        deploy(platform, &name, "autoscale", &scale, &spec)?;
        block_on(async {
            let (client, host) = (Client::of(platform), format!("{name}.default.localhost"));
            let burst = (0..60).map(|_| client.get(&host, "/?sleep=200"));
            for answer in futures::future::try_join_all(burst).await? {
                let text = answer.text();
                ensure!(answer.status == 200, "{}: {text}", answer.status);
                let most: usize = text
                    .trim()
                    .rsplit_once("most=")
                    .and_then(|(_, most)| most.parse().ok())
                    .context(text.clone())?;
                ensure!(most <= limit, "{most} were in flight at once: {text}");
            }
            Ok(())
        })?;
        platform.kn(&["service", "delete", &name])?.ok()?;
    }
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            pods_come_and_go_with_the_load,
            a_split_moves_from_one_revision_to_the_other,
            new_revisions_roll_out_one_after_the_other,
            the_concurrency_limit_is_exact_in_a_burst_from_zero,
        ]],
        stop_shared,
    )
}
