//! Runs a program and keeps what it printed.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Longest run of one program.
const LIMIT: Duration = Duration::from_secs(120);

/// What a program printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
    pub took: Duration,
}

impl Output {
    /// Both streams, for messages.
    pub fn text(&self) -> String {
        format!(
            "exit {}\nstdout: {}\nstderr: {}",
            self.code, self.stdout, self.stderr
        )
    }

    /// Standard output if the program succeeded.
    ///
    /// # Errors
    /// With everything it printed, if it failed.
    pub fn ok(self) -> anyhow::Result<String> {
        anyhow::ensure!(self.code == 0, "{}", self.text());
        Ok(self.stdout)
    }
}

/// Runs `command` to its end.
///
/// # Errors
/// If it cannot be started, or takes longer than two minutes.
pub fn run(command: &mut Command) -> anyhow::Result<Output> {
    let start = Instant::now();
    let name = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<String> = command
        .get_args()
        .map(|a| OsStr::to_string_lossy(a).into_owned())
        .collect();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    // Pipes are drained by threads, so that a talkative program cannot block on them.
    let read = |stream: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(
        child
            .stdout
            .take()
            .map(|s| Box::new(s) as Box<dyn std::io::Read + Send>),
    );
    let stderr = read(
        child
            .stderr
            .take()
            .map(|s| Box::new(s) as Box<dyn std::io::Read + Send>),
    );
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            anyhow::bail!("{name} {} has not ended within {LIMIT:?}", arguments.join(" "));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ok(Output {
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
        code: status.code().unwrap_or(-1),
        took: start.elapsed(),
    })
}

/// A program that goes on until this is dropped.
pub struct Background {
    child: Child,
    output: tempfile::NamedTempFile,
}

impl Background {
    /// # Errors
    /// If it cannot be started.
    pub fn start(mut command: Command) -> anyhow::Result<Self> {
        let output = tempfile::NamedTempFile::new()?;
        let child = command
            // What a shell has started ends with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.reopen()?)
            .stderr(output.reopen()?)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
        Ok(Self { child, output })
    }

    /// What it has printed so far.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn printed(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.output.path())?)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}
