//! Events that nobody takes: what they cost in memory.
//!
//! The data plane runs in a process of its own (this program again, as `soak-plane`), with a trigger whose sink refuses
//! every connection. Events of 1 KiB are posted to its ingress until as many are stored as asked for.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::events::producer;
use crate::process::{Killed, cpu_seconds, resident_mib};
use crate::say;

/// Producers that wait for each answer before they send again.
const PRODUCERS: usize = 64;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long it is looked at after the last event, for that of retries.
const AFTER: Duration = Duration::from_secs(20);
/// What it should stay below.
const AIM_MIB: f64 = 150.0;

/// Measures in a folder that is made, and removed after, below `beside`.
pub fn measure(beside: &Path, count: u64) -> anyhow::Result<()> {
    let folder = beside.join(format!("bench-backlog-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let measured = Runtime::new()?.block_on(filled(&folder, count));
    std::fs::remove_dir_all(&folder)?;
    measured
}

async fn filled(folder: &Path, count: u64) -> anyhow::Result<()> {
    // Of two free ports, one is served, and to the other nobody listens any more.
    let free = || std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr();
    let (address, sink): (SocketAddr, SocketAddr) = (free()?, free()?);
    let log = std::fs::File::create(folder.join("plane.log"))?;
    let plane = Command::new(std::env::current_exe()?)
        .args(["soak-plane", "--port", &address.port().to_string(), "--folder"])
        .arg(folder.join("log"))
        .arg(format!("--subscriber=http://{sink}/"))
        // It ends when this is closed.
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start the data plane")?;
    let plane = Killed(plane);
    let pid = plane.0.id();
    listens(address).await?;
    producer::ready(address).await?;
    let empty = resident_mib(pid)?;

    let (began, cpu) = (Instant::now(), cpu_seconds(pid)?);
    let mut posting = Box::pin(producer::produce_all(address, PRODUCERS, count));
    let mut most = empty;
    let posted = loop {
        tokio::select! {
            posted = &mut posting => break posted?,
            () = tokio::time::sleep(LOOK) => most = most.max(resident_mib(pid)?),
        }
    };
    let took = began.elapsed();
    let at_end = resident_mib(pid)?;
    most = most.max(at_end);
    let until = Instant::now() + AFTER;
    while Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        most = most.max(resident_mib(pid)?);
    }
    let cpu = cpu_seconds(pid)? - cpu;
    say(&format!(
        "{posted} events of 1 KiB that nobody takes    {:.0}/s stored",
        posted as f64 / took.as_secs_f64()
    ));
    say(&format!(
        "resident MiB: empty {empty:.1}, after the last event {at_end:.1}, {} s later {:.1}, most {most:.1} (aim: below {AIM_MIB})",
        AFTER.as_secs(),
        resident_mib(pid)?,
    ));
    say(&format!("CPU of the data plane: {cpu:.1} s"));
    Ok(())
}

/// Waits until somebody listens.
async fn listens(address: SocketAddr) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(10);
    while tokio::net::TcpStream::connect(address).await.is_err() {
        anyhow::ensure!(Instant::now() < until, "the data plane does not come up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
