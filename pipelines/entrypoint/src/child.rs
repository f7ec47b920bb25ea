//! Runs the user's command.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg, pthread_sigmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::outcome::End;
use crate::signals::Signals;
use crate::wait::Cancellation;

/// What a process that outlives the command still prints is copied this long.
const DRAIN: Duration = Duration::from_secs(1);

/// A command and what is asked of its run.
pub(crate) struct Child<'a> {
    pub command: &'a [String],
    /// Variables whose values are not those of this process.
    pub variables: Vec<(String, String)>,
    pub timeout: Option<Duration>,
    /// Files that get copies of the output.
    pub stdout: Option<&'a Path>,
    pub stderr: Option<&'a Path>,
    pub cancellation: &'a Cancellation<'a>,
}

/// Runs it to its end, and passes signals on to all of its processes.
pub(crate) fn run(child: &Child<'_>, signals: &mut Signals) -> io::Result<End> {
    let (program, arguments) = child
        .command
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no command"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(child.variables.iter().map(|(name, value)| (name, value)))
        .process_group(0);
    let mut files = Files::open(child)?;
    if files.stdout.is_some() {
        command.stdout(Stdio::piped());
    }
    if files.stderr.is_some() {
        command.stderr(Stdio::piped());
    }
    let unblock = || {
        Ok(pthread_sigmask(
            SigmaskHow::SIG_SETMASK,
            Some(&SigSet::empty()),
            None,
        )?)
    };
    // SAFETY: between fork and exec only functions that are safe in signal handlers may be called;
    // `pthread_sigmask` is one, and nothing is allocated.
    #[expect(
        unsafe_code,
        reason = "the command must not inherit the signals that are blocked here"
    )]
    unsafe {
        command.pre_exec(unblock)
    };
    let deadline = child.timeout.map(|limit| Instant::now() + limit);
    let mut running = command.spawn()?;
    let mut copies = Copies::default();
    if let (Some(from), Some(file)) = (running.stdout.take(), files.stdout.take()) {
        copies.start(from, io::stdout(), file);
    }
    if let (Some(from), Some(file)) = (running.stderr.take(), files.stderr.take()) {
        copies.start(from, io::stderr(), file);
    }
    let group = Pid::from_raw(i32::try_from(running.id()).map_err(io::Error::other)?);
    let end = supervise(group, deadline, child.cancellation, signals)?;
    copies.finish();
    Ok(end)
}

fn supervise(
    group: Pid,
    deadline: Option<Instant>,
    cancellation: &Cancellation<'_>,
    signals: &mut Signals,
) -> io::Result<End> {
    // What the end of the command means once it was killed.
    let mut killed = None;
    loop {
        while let Some(signal) = signals.take() {
            if signal != Signal::SIGCHLD as i32
                && let Ok(signal) = Signal::try_from(signal)
            {
                // It may just have ended.
                let _ = killpg(group, signal);
            }
        }
        if let Some(end) = reap(group)? {
            return Ok(killed.unwrap_or(end));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if killed.is_none() {
            killed = if cancellation.has_come() {
                Some(End::Cancelled)
            } else {
                (left == Some(Duration::ZERO)).then_some(End::TimedOut)
            };
            if killed.is_some() {
                let _ = killpg(group, Signal::SIGKILL);
            }
        }
        match killed {
            None => cancellation.wait(signals, left)?,
            Some(_) => signals.wait(None, None)?,
        }
    }
}

/// Takes note of all processes that have ended; the first of a container inherits those whose parents are gone.
fn reap(wanted: Pid) -> io::Result<Option<End>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == wanted => return Ok(Some(End::Exited(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == wanted => {
                return Ok(Some(End::Killed(signal as i32)));
            }
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Where copies of the output go.
struct Files {
    stdout: Option<File>,
    stderr: Option<File>,
}

impl Files {
    fn open(child: &Child<'_>) -> io::Result<Self> {
        let stdout = child.stdout.map(create).transpose()?;
        let stderr = match (&stdout, child.stderr) {
            (Some(same), path) if path == child.stdout => Some(same.try_clone()?),
            (_, path) => path.map(create).transpose()?,
        };
        Ok(Self { stdout, stderr })
    }
}

fn create(path: &Path) -> io::Result<File> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(named)?;
    }
    File::create(path).map_err(named)?;
    // Both streams may go to the same file.
    OpenOptions::new().append(true).open(path).map_err(named)
}

/// Threads that copy output.
#[derive(Default)]
struct Copies {
    running: Vec<mpsc::Receiver<()>>,
}

impl Copies {
    fn start(
        &mut self,
        mut from: impl Read + Send + 'static,
        mut log: impl Write + Send + 'static,
        mut file: File,
    ) {
        let (done, over) = mpsc::channel();
        self.running.push(over);
        thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(length) = from.read(&mut buffer) {
                let Some(read) = buffer.get(..length).filter(|read| !read.is_empty()) else {
                    break;
                };
                // A full disk must not stop the log, nor the other way round.
                let _ = log.write_all(read);
                let _ = log.flush();
                let _ = file.write_all(read);
            }
            drop(done);
        });
    }

    /// Waits for the ends of the streams, but not for ever: a process in the background may hold them.
    fn finish(self) {
        let deadline = Instant::now() + DRAIN;
        for over in self.running {
            let _ = over.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }
}
