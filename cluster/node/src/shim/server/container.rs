//! A container and an exec as the shim sees them: a process, its output, its end.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde_json::Value;

use super::Asker;
use crate::shim::log::{Lines, LogFiles, Stream};
use crate::shim::protocol::{Answer, ContainerState, ExecProcess, SeccompProfile, StartContainer};
use crate::shim::{EXIT_FILE, Exit, RECORD_FILE};
use crate::signal;

/// Read at a time, and so the share one container gets before the next has its turn.
const READ_BYTES: usize = 64 * 1024;
/// Read at most when the process has ended; its descendants may hold the pipe open and keep writing.
const DRAIN_BYTES: usize = 4 << 20;

/// The reading end of an output pipe.
pub(super) struct Output(File);

/// What one read brought.
enum Chunk {
    Data(Vec<u8>),
    Nothing,
    End,
}

impl Output {
    pub(super) fn new(fd: OwnedFd) -> std::io::Result<Self> {
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self(File::from(fd)))
    }

    fn read(&mut self) -> Chunk {
        let mut buffer = vec![0; READ_BYTES];
        match self.0.read(&mut buffer) {
            Ok(0) => Chunk::End,
            Ok(length) => {
                buffer.truncate(length);
                Chunk::Data(buffer)
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Chunk::Nothing,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Chunk::Nothing,
            Err(_) => Chunk::End,
        }
    }
}

pub(super) struct Container {
    pub(super) id: String,
    pub(super) pid: i32,
    pub(super) started_at: Timestamp,
    pub(super) exit: Option<Exit>,
    pub(super) seccomp: SeccompProfile,
    dir: PathBuf,
    outputs: [Option<Output>; 2],
    lines: [Lines; 2],
    log: LogFiles,
    note: Value,
}

impl Container {
    pub(super) fn new(
        request: &StartContainer,
        dir: PathBuf,
        outputs: [Option<Output>; 2],
        log: (u64, u32),
    ) -> Self {
        Self {
            id: request.id.clone(),
            pid: 0,
            started_at: Timestamp::UNIX_EPOCH,
            exit: None,
            seccomp: request.seccomp,
            dir,
            outputs,
            lines: [Lines::new(Stream::Stdout), Lines::new(Stream::Stderr)],
            log: LogFiles::open(request.log.clone(), log.0, log.1),
            note: request.note.clone(),
        }
    }

    pub(super) fn open_outputs(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.outputs.iter().flatten().map(|output| output.0.as_fd())
    }

    pub(super) fn log_bytes_dropped(&self) -> u64 {
        self.log.dropped
    }

    /// Takes what the pipes hold now, one share each. Returns whether there was anything.
    pub(super) fn read_outputs(&mut self) -> usize {
        let mut records = Vec::new();
        let mut taken = 0;
        for (output, lines) in self.outputs.iter_mut().zip(&mut self.lines) {
            let Some(open) = output else { continue };
            match open.read() {
                Chunk::Data(data) => {
                    taken += data.len();
                    lines.push(&data, Timestamp::now(), &mut records);
                }
                Chunk::Nothing => {}
                Chunk::End => *output = None,
            }
        }
        self.log.write(&records);
        taken
    }

    /// Completes the log and records the end, on disk before anyone is told.
    pub(super) fn ended(&mut self, code: i32, signal: Option<i32>, oom_killed: bool) -> Exit {
        let mut drained = 0;
        loop {
            match self.read_outputs() {
                0 => break,
                length => drained += length,
            }
            if drained > DRAIN_BYTES {
                break;
            }
        }
        self.outputs = [None, None];
        let mut records = Vec::new();
        let now = Timestamp::now();
        for lines in &mut self.lines {
            lines.finish(now, &mut records);
        }
        self.log.write(&records);
        let exit = Exit {
            code,
            signal,
            oom_killed,
            started_at: self.started_at,
            finished_at: now,
        };
        self.exit = Some(exit.clone());
        self.save(EXIT_FILE, &exit);
        exit
    }

    /// Writes the record with which a container is known after its shim is gone.
    pub(super) fn record(&self) {
        self.save(RECORD_FILE, &self.state());
    }

    fn save(&self, name: &str, value: &impl serde::Serialize) {
        if let Ok(text) = serde_json::to_vec(value) {
            let _ = std::fs::write(self.dir.join(name), text);
        }
    }

    pub(super) fn state(&self) -> ContainerState {
        ContainerState {
            id: self.id.clone(),
            pid: self.pid,
            started_at: self.started_at,
            exit: self.exit.clone(),
            note: self.note.clone(),
        }
    }
}

/// A process run inside a container on request.
pub(super) struct Exec {
    pub(super) asker: Asker,
    pub(super) pid: i32,
    output: Option<Output>,
    text: Vec<u8>,
    limit: usize,
    deadline: Instant,
    exit_code: Option<i32>,
    timed_out: bool,
}

impl Exec {
    pub(super) fn new(asker: Asker, output: Output, request: &ExecProcess) -> Self {
        Self {
            asker,
            pid: 0,
            output: Some(output),
            text: Vec::new(),
            limit: request.output_limit,
            deadline: Instant::now() + Duration::from_millis(request.timeout_millis),
            exit_code: None,
            timed_out: false,
        }
    }

    pub(super) fn open_output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(|output| output.0.as_fd())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.timed_out).then_some(self.deadline)
    }

    pub(super) fn read_output(&mut self) -> usize {
        let Some(open) = &mut self.output else { return 0 };
        match open.read() {
            Chunk::Data(data) => {
                let room = self.limit.saturating_sub(self.text.len());
                self.text.extend(data.iter().take(room));
                data.len()
            }
            Chunk::Nothing => 0,
            Chunk::End => {
                self.output = None;
                0
            }
        }
    }

    pub(super) fn ended(&mut self, code: i32) {
        let mut drained = 0;
        while drained < DRAIN_BYTES {
            match self.read_output() {
                0 => break,
                length => drained += length,
            }
        }
        self.exit_code = Some(code);
    }

    /// The answer, once the process has ended; past its time it is killed.
    pub(super) fn outcome(&mut self, now: Instant) -> Option<Answer> {
        if self.exit_code.is_none() && !self.timed_out && now >= self.deadline {
            self.timed_out = true;
            signal::kill(self.pid, signal::KILL);
        }
        let exit_code = self.exit_code?;
        let output = String::from_utf8_lossy(&self.text).into_owned();
        Some(Answer::Executed {
            exit_code,
            output,
            timed_out: self.timed_out,
        })
    }
}
