//! A network of the test program's own that leads nowhere: what works in it needs no other machine.

use std::fs::File;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::Context;
use nix::sched::{CloneFlags, setns, unshare};

use crate::run::run;

/// Moves this thread, and whatever it starts from now on, into the network of this test program in which there is
/// nothing but the loopback device.
///
/// # Errors
/// If the kernel refuses, or there is no busybox.
pub fn enter() -> anyhow::Result<()> {
    static NETWORK: OnceLock<Result<File, String>> = OnceLock::new();
    let made = NETWORK.get_or_init(|| {
        let thread = std::thread::spawn(make);
        let made = thread
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked")));
        made.map_err(|error| format!("{error:?}"))
    });
    let network = made.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    setns(network, CloneFlags::CLONE_NEWNET).context("cannot enter the network")
}

fn make() -> anyhow::Result<File> {
    unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network")?;
    run(Command::new("busybox").args(["ip", "link", "set", "lo", "up"]))?.ok()?;
    Ok(File::open("/proc/thread-self/ns/net")?)
}
