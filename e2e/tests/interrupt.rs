//! Ctrl-C at random instants: nothing stays on the machine, and the next start has all that was acknowledged.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use e2e::tools::Need;
use e2e::workload::at_zero;
use e2e::{
    Acknowledged, Dice, Options, Platform, Ports, Starting, Traces, Workload, busybox, cases, eventually,
    raw, suite,
};
use serde_json::json;

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl, Need::Busybox];
/// Interrupted starts on an empty folder, and again on one with pods.
const STARTS: u32 = 6;
/// Interrupts of each other kind.
const ROUNDS: u32 = 3;
/// A start takes about this long; some interrupts come after it.
const START: Duration = Duration::from_millis(1500);
/// `spindrift` itself waits 5 s for requests that are under way.
const LONGEST_STOP: Duration = Duration::from_secs(20);
/// Exit code of whoever is interrupted before it is up.
const INTERRUPTED: i32 = 130;

fn options(data_dir: &Path, ports: Ports) -> Options {
    Options {
        ports: Some(ports),
        data_dir: Some(data_dir.to_path_buf()),
        terminal: true,
        ..Options::default()
    }
}

/// Ctrl-C, with a bound on how long the user waits.
fn stop(platform: &mut Platform) -> anyhow::Result<()> {
    let begun = Instant::now();
    platform.stop()?;
    ensure!(
        begun.elapsed() < LONGEST_STOP,
        "Ctrl-C took {:?}: {}",
        begun.elapsed(),
        platform.log()
    );
    Ok(())
}

fn answers(platform: &Platform, service: &str, body: &str) -> anyhow::Result<()> {
    eventually("the service to answer", || {
        let answer = platform
            .curl(&format!("{service}.default.localhost"), "/", &["-f"])?
            .ok()?;
        ensure!(answer.trim() == body, "{answer}");
        Ok(())
    })
}

fn web(platform: &Platform) -> Workload {
    Workload::new("web", &format!("{}/hello", platform.registry()))
        .annotation("min-scale", "1")
        .small()
}

/// What the instances on a folder leave, learnt from one that runs a service there.
fn learn(data_dir: &Path, ports: Ports) -> anyhow::Result<Traces> {
    let mut platform = Platform::start(options(data_dir, ports))?;
    web(&platform).deploy(&platform)?;
    let traces = Traces::of(&platform)?;
    stop(&mut platform)?;
    traces.gone()?;
    Ok(traces)
}

/// Starts, and interrupts that within the time that a start takes.
fn interrupt_a_start(
    data_dir: &Path,
    ports: Ports,
    arguments: &[&str],
    dice: &mut Dice,
) -> anyhow::Result<()> {
    let mut starting = Starting::new(Options {
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        ..options(data_dir, ports)
    })?;
    let instant = dice.below(START);
    std::thread::sleep(instant);
    let begun = Instant::now();
    let status = starting.interrupt()?;
    // Within its first milliseconds it has not even begun to listen for signals.
    ensure!(
        matches!(status.code(), Some(0 | INTERRUPTED)) || !starting.has_logged(),
        "interrupted {instant:?} after the start, it ended with {status}: {}",
        starting.log()
    );
    ensure!(
        begun.elapsed() < LONGEST_STOP,
        "interrupted {instant:?} after the start, it took {:?}",
        begun.elapsed()
    );
    Ok(())
}

fn interrupted_starts_leave_nothing_and_the_next_one_works() -> anyhow::Result<()> {
    let mut dice = Dice::from_environment();
    let folder = tempfile::Builder::new().prefix("spindrift-e2e-").tempdir()?;
    let data_dir = folder.path().join("data");
    std::fs::create_dir(&data_dir)?;
    let ports = Ports::free()?;
    let traces = learn(&data_dir, ports)?;

    // On an empty folder, with and without the demo, which deploys and waits.
    for round in 0..STARTS {
        std::fs::remove_dir_all(&data_dir)?;
        std::fs::create_dir(&data_dir)?;
        let demo: &[&str] = if round % 2 == 0 { &["--demo"] } else { &[] };
        interrupt_a_start(&data_dir, ports, demo, &mut dice)?;
        traces.gone()?;
    }
    let mut platform = Platform::start(options(&data_dir, ports))?;
    web(&platform).deploy(&platform)?;

    // With pods of a killed instance that are just being taken over.
    for _ in 0..STARTS / 2 {
        platform.kill()?;
        interrupt_a_start(&data_dir, ports, &[], &mut dice)?;
        traces.gone()?;
        platform.restart()?;
        answers(&platform, "web", "Hello World!")?;
    }
    stop(&mut platform)?;
    traces.gone()
}

/// Interrupts it while archives are loaded by several at once and pods pull what has come.
fn images_that_were_loaded_are_kept(
    platform: &mut Platform,
    traces: &Traces,
    dice: &mut Dice,
    round: u32,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (next, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let loaded = std::sync::Mutex::new(Vec::new());
    let registry = platform.registry();
    let command = |archive: &Path| {
        let mut command = platform.program("spindrift");
        command
            .args(["image", "load", "--data-dir"])
            .arg(platform.data_dir())
            .arg(archive);
        command
    };
    let commands: Vec<_> = (0..40)
        .map(|number| {
            let name = format!("{registry}/loaded-{round}:v{number}");
            let own = folder.path().join(number.to_string());
            std::fs::create_dir(&own)?;
            let archive = busybox::archive(&own, &name)?;
            Ok((name, std::sync::Mutex::new(command(&archive))))
        })
        .collect::<anyhow::Result<_>>()?;
    let fresh = Workload::new(
        &format!("fresh-{round}"),
        &format!("{registry}/loaded-{round}:v0"),
    )
    .container("command", json!(["httpd", "-f", "-p", "8080", "-h", "/tmp"]))
    .annotation("min-scale", "2")
    .small();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((name, command)) = commands.get(number) else {
                        return;
                    };
                    let Ok(mut command) = command.lock() else { return };
                    if e2e::run(&mut command).is_ok_and(|output| output.code == 0) {
                        loaded.lock().map(|mut all| all.push(name.clone())).ok();
                    }
                }
            });
        }
        let stopped = (|| {
            eventually("a first image", || {
                ensure!(loaded.lock().is_ok_and(|all| !all.is_empty()), "none is loaded");
                Ok(())
            })?;
            fresh.apply(platform)?;
            std::thread::sleep(dice.below(Duration::from_millis(1000)));
            stop(platform)
        })();
        done.store(true, Ordering::Relaxed);
        stopped
    })?;
    let loaded = loaded.into_inner().unwrap_or_default();
    traces.gone()?;
    platform.restart()?;
    let listed = e2e::run(
        platform
            .program("spindrift")
            .args(["image", "list", "--data-dir"])
            .arg(platform.data_dir()),
    )?
    .ok()?;
    for name in &loaded {
        ensure!(listed.contains(name.as_str()), "{name} is gone: {listed}");
    }
    e2e::workload::ready(platform, &[&format!("fresh-{round}")])?;
    platform
        .kubectl(&["delete", "ksvc", &format!("fresh-{round}"), "--wait=false"])?
        .ok()?;
    Ok(())
}

/// Interrupts it while requests wake services out of nothing.
fn wakes_are_cut_short(platform: &mut Platform, dice: &mut Dice) -> anyhow::Result<()> {
    let services = ["sleepy-0", "sleepy-1", "sleepy-2"];
    for name in services {
        at_zero(platform, name)?;
    }
    let port = platform.http_port();
    std::thread::scope(|scope| {
        for name in services.iter().cycle().take(12) {
            scope.spawn(move || {
                // Whatever the answer is, or none: its end is what matters here.
                let _ = raw::send(port, &format!("{name}.default.localhost"), "GET", "/", "");
            });
        }
        std::thread::sleep(dice.below(Duration::from_millis(400)));
        stop(platform)
    })
}

fn an_interrupt_amid_work_leaves_nothing_and_loses_nothing() -> anyhow::Result<()> {
    let mut dice = Dice::from_environment();
    let folder = tempfile::Builder::new().prefix("spindrift-e2e-").tempdir()?;
    let mut platform = Platform::start(options(folder.path(), Ports::free()?))?;
    web(&platform).deploy(&platform)?;
    let traces = Traces::of(&platform)?;
    let soon = r#"{"data": {"scale-to-zero-grace-period": "2s"}}"#;
    platform
        .kubectl(&[
            "patch",
            "cm/config-autoscaler",
            "-n",
            "knative-serving",
            "-p",
            soon,
        ])?
        .ok()?;
    for name in ["sleepy-0", "sleepy-1", "sleepy-2"] {
        Workload::new(name, &format!("{}/hello", platform.registry()))
            .annotation("window", "6s")
            .annotation("initial-scale", "0")
            .env("TARGET", name)
            .small()
            .apply(&platform)?;
    }
    for round in 0..ROUNDS {
        images_that_were_loaded_are_kept(&mut platform, &traces, &mut dice, round).context("images")?;

        let acknowledged = Acknowledged::until(&mut platform, &format!("kept-{round}"), |platform| {
            std::thread::sleep(dice.below(Duration::from_millis(500)));
            stop(platform)
        })?;
        traces.gone()?;
        platform.restart()?;
        acknowledged.are_there(&platform)?;
        acknowledged.delete_services(&platform)?;
        answers(&platform, "web", "Hello World!")?;

        wakes_are_cut_short(&mut platform, &mut dice).context("wakes")?;
        traces.gone()?;
        platform.restart()?;
        for name in ["sleepy-0", "sleepy-1", "sleepy-2"] {
            answers(&platform, name, &format!("Hello {name}!"))?;
        }
    }
    stop(&mut platform)?;
    traces.gone()
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            interrupted_starts_leave_nothing_and_the_next_one_works,
            an_interrupt_amid_work_leaves_nothing_and_loses_nothing,
        ]],
        || Ok(()),
    )
}
