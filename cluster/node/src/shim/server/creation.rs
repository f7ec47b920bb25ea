//! Creations under way: creators that were forked, what they report, and what becomes of it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::fcntl::OFlag;
use nix::unistd::Pid;

use super::container::{Container, Exec, Output};
use super::{Asker, Server};
use crate::shim::creator::{self, Report, Streams};
use crate::shim::protocol::{Answer, ExecProcess, StartContainer};
use crate::signal;

/// A creation that takes longer is given up.
const CREATE_DEADLINE: Duration = Duration::from_secs(60);
/// A creator at work.
pub(super) struct Creation {
    pid: Pid,
    asker: Asker,
    report: File,
    received: Vec<u8>,
    deadline: Instant,
    purpose: Purpose,
}

enum Purpose {
    Start(Box<Container>),
    Exec(Box<Exec>),
}

impl Server {
    pub(super) fn start(&mut self, asker: Asker, request: StartContainer) -> Result<(), String> {
        let starting =
            |creation: &Creation| matches!(&creation.purpose, Purpose::Start(c) if c.id == request.id);
        if self.containers.contains_key(&request.id) || self.creations.iter().any(starting) {
            return Err(format!("container {} exists", request.id));
        }
        self.workshop.prepare(request.seccomp)?;
        let dir = self.workshop.container_dir(&request.id);
        std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let (streams, stdout, stderr) = streams(true).map_err(|error| format!("make pipes: {error}"))?;
        let limits = (self.config.log_max_bytes, self.config.log_max_files);
        let container = Container::new(&request, dir, [Some(stdout), stderr], limits);
        let workshop = self.workshop.clone();
        self.create(asker, Purpose::Start(Box::new(container)), move || {
            workshop.start(request, streams)
        })
    }

    pub(super) fn exec(&mut self, asker: Asker, request: ExecProcess) -> Result<(), String> {
        let container = self
            .containers
            .get(&request.container)
            .filter(|container| container.exit.is_none());
        let profile = container
            .ok_or_else(|| format!("container {} is not running", request.container))?
            .seccomp;
        let (streams, output, _) = streams(false).map_err(|error| format!("make pipes: {error}"))?;
        let exec = Exec::new(asker, output, &request);
        let workshop = self.workshop.clone();
        self.create(asker, Purpose::Exec(Box::new(exec)), move || {
            workshop.exec(&request.container, &request.command, profile, streams)
        })
    }

    fn create(
        &mut self,
        asker: Asker,
        purpose: Purpose,
        work: impl FnOnce() -> Result<i32, String>,
    ) -> Result<(), String> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
            .map_err(|error| format!("make a pipe: {error}"))?;
        let pid = creator::spawn(File::from(write), work).map_err(|error| format!("fork: {error}"))?;
        let deadline = Instant::now() + CREATE_DEADLINE;
        let report = File::from(read);
        self.creations.push(Creation {
            pid,
            asker,
            report,
            received: Vec::new(),
            deadline,
            purpose,
        });
        Ok(())
    }

    /// Takes over what finished creators made and gives up on those that hang.
    pub(super) fn settle_creations(&mut self) {
        let now = Instant::now();
        let (done, waiting) = std::mem::take(&mut self.creations)
            .into_iter()
            .partition(|c| c.outcome().is_some() || c.deadline <= now);
        self.creations = waiting;
        for creation in done {
            let creation: Creation = creation;
            let outcome = creation.outcome().unwrap_or_else(|| {
                signal::kill(creation.pid.as_raw(), signal::KILL);
                Report::Failed("creating the process took too long".to_owned())
            });
            match (outcome, creation.purpose) {
                (Report::Pid(pid), Purpose::Start(container)) => {
                    self.started(creation.asker, *container, pid)
                }
                (Report::Pid(pid), Purpose::Exec(mut exec)) => {
                    exec.pid = pid;
                    if let Some((code, _)) = self.unclaimed.remove(&pid) {
                        exec.ended(code);
                    }
                    self.execs.push(*exec);
                }
                (Report::Failed(message), Purpose::Start(container)) => {
                    self.workshop.cgroup.child(&container.id).kill();
                    self.workshop.remove(&container.id);
                    self.reply(creation.asker, Err(message));
                }
                (Report::Failed(message), Purpose::Exec(_)) => self.reply(creation.asker, Err(message)),
            }
        }
        if self.creations.is_empty() {
            self.unclaimed.clear();
        }
        if !self.creations.iter().any(Creation::is_start) {
            for asker in std::mem::take(&mut self.greetings) {
                self.reply(asker, Ok(Answer::State(self.state())));
            }
        }
    }

    fn started(&mut self, asker: Asker, mut container: Container, pid: i32) {
        container.pid = pid;
        container.started_at = Timestamp::now();
        container.record();
        let started_at = container.started_at;
        let id = container.id.clone();
        self.containers.insert(id.clone(), container);
        self.reply(asker, Ok(Answer::Started { pid, started_at }));
        if let Some((code, signal)) = self.unclaimed.remove(&pid) {
            self.exited(&id, code, signal);
        }
    }
}

impl Creation {
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }

    pub(super) fn is_start(&self) -> bool {
        matches!(self.purpose, Purpose::Start(_))
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn receive(&mut self) {
        let mut buffer = [0; 4096];
        match self.report.read(&mut buffer) {
            // End of file: the creator has ended, with or without a report.
            Ok(0) => self.received.push(0),
            Ok(length) => self.received.extend(buffer.iter().take(length)),
            Err(_) => {}
        }
    }

    /// The report, once the pipe is closed; a creator that died without one has failed.
    fn outcome(&self) -> Option<Report> {
        let (0, report) = self.received.split_last().map(|(last, rest)| (*last, rest))? else {
            return None;
        };
        let died = || Report::Failed("the creating process died".to_owned());
        Some(serde_json::from_slice(report).unwrap_or_else(|_| died()))
    }
}

/// Standard streams of a new process and the ends that stay here; without `separate` both outputs are one pipe.
fn streams(separate: bool) -> io::Result<(Streams, Output, Option<Output>)> {
    let stdin = OwnedFd::from(File::open("/dev/null")?);
    let (out_read, out_write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let (err_read, err_write) = match separate {
        true => nix::unistd::pipe2(OFlag::O_CLOEXEC).map(|(read, write)| (Some(read), write))?,
        false => (None, out_write.try_clone()?),
    };
    let stdout = Output::new(out_read)?;
    let stderr = err_read.map(Output::new).transpose()?;
    Ok((
        Streams {
            stdin,
            stdout: out_write,
            stderr: err_write,
        },
        stdout,
        stderr,
    ))
}
