//! Goes on in the background: starts this program again in a session of its own, and waits until it is ready.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use crate::run_file::Run;

/// How often the new process is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Longest wait for it to be ready.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lines of its log that are shown when it fails.
const LOG_LINES: usize = 20;

/// Runs this very command without `--detach` in the background, logging to a file in `data_dir`.
///
/// # Errors
/// With the end of its log, if it stops before it is ready.
pub async fn run(data_dir: &Path) -> anyhow::Result<Run> {
    std::fs::create_dir_all(data_dir).with_context(|| format!("cannot create {}", data_dir.display()))?;
    let log_path = data_dir.join("spindrift.log");
    let log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
    let arguments: Vec<OsString> = std::env::args_os()
        .skip(1)
        .filter(|argument| argument != "--detach")
        .collect();
    let mut command = Command::new(std::env::current_exe().context("cannot tell where this program lies")?);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    // A session of its own: closing this terminal, or Ctrl-C in it, does not reach the background process.
    command.process_group(0);
    let mut child = command.spawn().context("cannot start the background process")?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            let text = std::fs::read_to_string(&log_path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            anyhow::bail!("it stopped at once ({status}):\n{end}");
        }
        let run = Run::read(data_dir)?.filter(|run| run.ready && u32::try_from(run.pid) == Ok(child.id()));
        if let Some(run) = run {
            return Ok(run);
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "it is not ready within {PATIENCE:?}; its log is {}",
            log_path.display()
        );
        tokio::time::sleep(LOOK).await;
    }
}
