//! `spindrift up` from its first instant on.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::Context;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use crate::Platform;
use crate::ports::Ports;
use crate::programs::programs;
use crate::run::run;
use crate::wait::eventually;

/// How a platform is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further arguments of `spindrift up`.
    pub arguments: Vec<String>,
    /// An existing data folder; a temporary one by default.
    pub data_dir: Option<PathBuf>,
    /// Where it listens; free ports that no other instance of this test program has by default.
    pub ports: Option<Ports>,
    /// Whether it gets signals as from a terminal of its own: with all processes that are still in its group.
    pub terminal: bool,
}

/// A process that may not be up yet.
pub struct Starting {
    child: Child,
    terminal: bool,
    ports: Ports,
    data_dir: PathBuf,
    /// Bytes of the log that earlier processes wrote.
    earlier: u64,
    /// Whether another process has taken its place.
    replaced: bool,
    /// Keeps the folder until the platform is gone.
    _temporary: Option<tempfile::TempDir>,
    bin: PathBuf,
}

impl Starting {
    /// Starts `spindrift up`.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn new(options: Options) -> anyhow::Result<Self> {
        let bin = programs()?.to_path_buf();
        let ports = match options.ports {
            Some(ports) => ports,
            None => Ports::free()?,
        };
        let temporary = match options.data_dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("spindrift-e2e-").tempdir()?),
        };
        let data_dir = match (options.data_dir, &temporary) {
            (Some(given), _) => given,
            (None, Some(temporary)) => temporary.path().to_path_buf(),
            (None, None) => anyhow::bail!("no data folder"),
        };
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(data_dir.join("e2e.log"))?;
        let earlier = log.metadata()?.len();
        let mut command = Command::new(bin.join("spindrift"));
        command
            .arg("up")
            .arg("--data-dir")
            .arg(&data_dir)
            .args(["--log", "info"])
            .args(ports.arguments())
            .args(&options.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if options.terminal {
            command.process_group(0);
        }
        Ok(Self {
            child: command.spawn().context("cannot start spindrift")?,
            terminal: options.terminal,
            ports,
            data_dir,
            earlier,
            replaced: false,
            _temporary: temporary,
            bin,
        })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// With its log, if it does not come up.
    pub fn ready(mut self) -> anyhow::Result<Platform> {
        let pid = self.child.id();
        let status = eventually("the platform to be ready", || {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Err(status));
            }
            let run: Value = serde_json::from_str(&std::fs::read_to_string(self.data_dir.join("run.json"))?)?;
            anyhow::ensure!(
                run["ready"] == true && run["pid"] == pid,
                "not ready: {}",
                self.log()
            );
            Ok(Ok(run))
        })?;
        match status {
            Ok(status) => Ok(Platform::new(self, status)),
            Err(status) => anyhow::bail!("spindrift ended ({status}): {}", self.log()),
        }
    }

    /// Where it keeps its data.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The folder of our programs.
    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }

    pub(crate) fn terminal(&self) -> bool {
        self.terminal
    }

    pub(crate) fn ports(&self) -> Ports {
        self.ports
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has come so far as to log something.
    pub fn has_logged(&self) -> bool {
        let log = std::fs::metadata(self.data_dir.join("e2e.log"));
        log.is_ok_and(|log| log.len() > self.earlier)
    }

    /// What it logged last.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.data_dir.join("e2e.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Ctrl-C.
    ///
    /// # Errors
    /// If it does not end.
    pub fn interrupt(&mut self) -> anyhow::Result<ExitStatus> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        match self.terminal {
            true => killpg(pid, Signal::SIGINT)?,
            false => kill(pid, Signal::SIGINT)?,
        }
        eventually("spindrift to stop", || {
            self.child.try_wait()?.context("it still runs")
        })
    }

    /// Kills it without a chance to clean up.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Takes the place of a process that has ended, on the same folder.
    pub(crate) fn replace(&mut self, mut next: Self) {
        std::mem::swap(&mut self.child, &mut next.child);
        self.earlier = next.earlier;
        next.replaced = true;
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        let ended = match self.child.try_wait() {
            Ok(Some(status)) => Some(status.success()),
            _ => None,
        };
        if self.replaced || ended == Some(true) {
            return;
        }
        if ended.is_none() {
            let _ = self.kill();
        }
        // A test that failed leaves nothing to the next one.
        let _ = run(Command::new(self.bin.join("spindrift"))
            .arg("down")
            .arg("--data-dir")
            .arg(&self.data_dir));
    }
}
