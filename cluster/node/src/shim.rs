//! The container shim: one small process per pod that holds the pod's namespaces, creates its containers, owns their
//! output and outlives the agent.
//!
//! It is the agent's own binary, re-executed as `<exe> shim <pod dir>`. The container library clones the calling
//! process and allocates in the child, which only works where no second thread can hold a lock; hence [`main`] must
//! run before any thread exists. Even the shim does not call the library itself: it forks a short-lived *creator* per
//! start or exec, so containers of a pod start in parallel, a creation that hangs does not stop the logs, and what
//! the library does to its own process (working directory, dumpability, out-of-memory score) ends with the creator.
//!
//! The shim unshares its network, ipc, uts and mount namespaces and so *is* the pod's sandbox: root file systems and
//! memory volumes are mounted where only the pod sees them, and the kernel removes all of it with the last process.
//! Nothing can be left behind in the host's mount table, however the shim ends.
//!
//! The agent talks to it over a unix socket in JSON lines; see [`protocol`].

mod ahead;
mod config;
mod copy;
mod creator;
mod executor;
mod exit;
mod log;
pub mod protocol;
mod rootfs;
mod sandbox;
mod seccomp;
mod server;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub use config::ShimConfig;
pub use exit::Exit;

/// The file names inside a pod's directory.
pub(crate) const CONFIG_FILE: &str = "shim.json";
pub(crate) const SOCKET_FILE: &str = "shim.sock";
pub(crate) const LOCK_FILE: &str = "shim.lock";
pub(crate) const PID_FILE: &str = "shim.pid";
pub(crate) const CONTAINERS_DIR: &str = "containers";
pub(crate) const EXIT_FILE: &str = "exit.json";
pub(crate) const RECORD_FILE: &str = "container.json";
/// Memory volumes live below this directory, on a tmpfs that only the pod's mount namespace has.
pub(crate) const MEMORY_DIR: &str = "memory";
/// What the shim itself needs while it lives, on a tmpfs too: bundles, mount points, the library's state. Files on the
/// disk cost more than they look: for a while after files were removed, ext4 searches past each of them for every file
/// it makes.
const RUN_DIR: &str = "run";

/// Runs the shim until it is told to shut down. `pod_dir` is the argument after `shim`: the pod's directory.
///
/// Call it first thing in `main`, before any thread exists. Standard input is the socket of the agent that started
/// the shim, or anything else, in which case the shim waits for an agent on its socket file.
pub fn main(pod_dir: Option<OsString>) -> ExitCode {
    let Some(pod_dir) = pod_dir.map(PathBuf::from) else {
        return fail("usage: shim <pod dir>");
    };
    let result = ShimConfig::load(&pod_dir).and_then(|config| server::Server::open(pod_dir, config));
    match result.and_then(|mut server| server.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

/// Standard error is the shim's log file: a process this small needs no logging library.
#[expect(clippy::print_stderr, reason = "standard error is the shim's log file")]
fn fail(message: &str) -> ExitCode {
    eprintln!("shim: {message}");
    ExitCode::FAILURE
}
