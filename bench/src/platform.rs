//! The platform as a whole.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::instance::{ASK, Instance, wait};
use crate::wrk::{Target, added, load};
use crate::{http, nginx, percentile, process, say};

/// How long the idle platform is watched.
const IDLE: Duration = Duration::from_secs(20);
/// Longest wait for reports of what has happened already.
const SETTLED: Duration = Duration::from_secs(1);
/// Length of one load.
const LOAD_SECONDS: u32 = 5;

/// Measures and prints.
pub fn measure(bin: &Path, wakes: usize, together: usize, created: usize) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("spindrift-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (instance, cold) = Instance::start(bin, &folder)?;
    say(&format!(
        "up on an empty folder                {:8.2} s",
        cold.as_secs_f64()
    ));
    idle(&instance)?;
    one_after_the_other(&instance, wakes)?;
    at_once(&instance, together)?;
    warm(&instance)?;
    if created > 0 {
        create_together(&instance, created)?;
    }
    instance.stop()?;
    let (instance, warm) = Instance::start(bin, &folder)?;
    say(&format!(
        "up again on what is stored           {:8.2} s",
        warm.as_secs_f64()
    ));
    instance.stop()?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn idle(instance: &Instance) -> anyhow::Result<()> {
    let pid = instance.child.id();
    let before = process::cpu_seconds(pid)?;
    std::thread::sleep(IDLE);
    let share = (process::cpu_seconds(pid)? - before) / IDLE.as_secs_f64() * 100.0;
    say(&format!(
        "idle, without user pods: resident    {:8.1} MiB",
        process::resident_mib(pid)?
    ));
    say(&format!(
        "idle, without user pods: CPU         {share:8.2} % of a core"
    ));
    Ok(())
}

/// Each wake-up is that of a service which has never had a pod, so that none is left from before.
fn one_after_the_other(instance: &Instance, wakes: usize) -> anyhow::Result<()> {
    instance.create("wake", wakes, 0)?;
    wait("the services", ASK, || {
        (instance.ready("wake-") == wakes).then_some(())
    })?;
    let runtime = tokio::runtime::Runtime::new()?;
    let observer = runtime.block_on(async {
        anyhow::Ok(activator::Observer::start(&instance.client().await?, "default").await)
    })?;
    let mut times = Vec::new();
    let mut phases: Vec<(&str, Vec<f64>)> = Vec::new();
    for index in 0..wakes {
        let start = Instant::now();
        let name = format!("wake-{index}");
        let answer = http::get(instance.gateway(), &format!("{name}.default.localhost"))?;
        ensure!(answer.status == 200, "{name} answered {}", answer.status);
        times.push(answer.first_byte.as_secs_f64() * 1000.0);
        let stations = runtime.block_on(observer.settled(&name, SETTLED)).since(start);
        for (phase, at) in stations
            .into_iter()
            .chain(answer.probed.map(|at| ("first successful probe", at)))
        {
            let at = at.as_secs_f64() * 1000.0;
            match phases.iter_mut().find(|(known, _)| *known == phase) {
                Some((_, all)) => all.push(at),
                None => phases.push((phase, vec![at])),
            }
        }
    }
    times.sort_by(f64::total_cmp);
    for (phase, mut at) in phases {
        at.sort_by(f64::total_cmp);
        say(&format!(
            "  {phase:<34} {:8.0} ms p50, {:.0} ms p99",
            percentile(&at, 0.5),
            percentile(&at, 0.99)
        ));
    }
    say(&format!(
        "wake from zero to the first byte     {:8.0} ms p50, {:.0} ms p99 ({wakes} wake-ups)",
        percentile(&times, 0.5),
        percentile(&times, 0.99)
    ));
    let sidecars: Vec<f64> = process::named("queue-proxy")
        .into_iter()
        .filter_map(|pid| process::resident_mib(pid).ok())
        .collect();
    if let Some(largest) = sidecars.iter().copied().reduce(f64::max) {
        say(&format!(
            "queue-proxy after one request        {largest:8.1} MiB resident (largest of {})",
            sidecars.len()
        ));
    }
    instance.kubectl(&["delete", "ksvc", "--all"])?;
    wait("the pods to go", ASK, || (instance.pods() == 0).then_some(()))
}

fn at_once(instance: &Instance, count: usize) -> anyhow::Result<()> {
    instance.create("burst", count, 0)?;
    wait("the services", ASK, || {
        (instance.ready("burst-") == count).then_some(())
    })?;
    let gateway = instance.gateway();
    let start = Instant::now();
    let requests: Vec<_> = (0..count)
        .map(|index| {
            std::thread::spawn(move || http::get(gateway, &format!("burst-{index}.default.localhost")))
        })
        .collect();
    let answered = requests
        .into_iter()
        .filter_map(|request| request.join().ok()?.ok())
        .filter(|answer| answer.status == 200)
        .count();
    say(&format!(
        "{count} services woken at once            {:8.2} s, {answered} answered 200",
        start.elapsed().as_secs_f64()
    ));
    instance.kubectl(&["delete", "ksvc", "--all"])?;
    wait("the pods to go", ASK, || (instance.pods() == 0).then_some(()))
}

fn create_together(instance: &Instance, count: usize) -> anyhow::Result<()> {
    let start = Instant::now();
    instance.create("many", count, 1)?;
    wait("the services", ASK, || {
        (instance.ready("many-") == count).then_some(())
    })?;
    say(&format!(
        "{count} services created, all Ready       {:8.1} s",
        start.elapsed().as_secs_f64()
    ));
    wait("the pods to go", ASK, || (instance.pods() == 0).then_some(()))?;
    say(&format!(
        "and at zero again after              {:8.1} s",
        start.elapsed().as_secs_f64()
    ));
    let pid = instance.child.id();
    let before = process::cpu_seconds(pid)?;
    std::thread::sleep(IDLE);
    let share = (process::cpu_seconds(pid)? - before) / IDLE.as_secs_f64() * 100.0;
    say(&format!(
        "with {count} services at zero: resident  {:8.1} MiB",
        process::resident_mib(pid)?
    ));
    say(&format!(
        "with {count} services at zero: CPU       {share:8.2} % of a core"
    ));
    Ok(())
}

/// One service that is up: what gateway and queue-proxy add to its container, and nginx to the same container.
fn warm(instance: &Instance) -> anyhow::Result<()> {
    instance.create("warm", 1, 1)?;
    wait("the service", ASK, || {
        (instance.ready("warm-") == 1).then_some(())
    })?;
    let pod = instance.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].status.podIP}:8080"])?;
    let container = pod.trim().parse().context("the pod has no address")?;
    let _nginx = nginx::start(&instance.folder, container)?;
    http::answers(nginx::PROXY)?;
    let host = "warm-0.default.localhost";
    let ours = Target::new(instance.gateway(), host);
    let [container, proxy] = [container, nginx::PROXY].map(|address| Target::new(address, host));
    let (by_nginx, by_us) = added(&container, &proxy, &ours)?;
    say(&format!(
        "gateway and queue-proxy add, p50     {by_us:8.0} µs; nginx adds {by_nginx:.0} µs; ratio {:.2}",
        by_us / by_nginx
    ));
    let (nginx, gateway) = (load(&proxy, 32, LOAD_SECONDS)?, load(&ours, 32, LOAD_SECONDS)?);
    say(&format!(
        "through both, 32 connections         {:8.0} requests/s; nginx {:.0}; ratio {:.2}",
        gateway.requests_per_second,
        nginx.requests_per_second,
        gateway.requests_per_second / nginx.requests_per_second
    ));
    instance.kubectl(&["delete", "ksvc", "--all"])?;
    wait("the pods to go", ASK, || (instance.pods() == 0).then_some(()))
}
