//! The shim's event loop: one thread, `poll`, and everything it owns.

mod connection;
mod container;
mod creation;

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use connection::Connection;
use container::{Container, Exec};
use creation::Creation;

use super::creator::Workshop;
use super::protocol::{Answer, Call, Event, Message, Request, State};
use super::{LOCK_FILE, PID_FILE, SOCKET_FILE, ShimConfig, exit, sandbox};
use crate::cgroup::{Cgroup, Hierarchies};
use crate::signal;

/// Agents, and whoever else asks; more are refused.
const MAX_CONNECTIONS: usize = 16;
/// How long `Shutdown` waits for killed processes.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

/// Makes this process the pod's only shim. An agent that was killed right after it started one cannot tell the next
/// agent of it.
fn lock(pod_dir: &Path) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(pod_dir.join(LOCK_FILE))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another shim of this pod is still there")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Who asked, and under which number.
#[derive(Debug, Clone, Copy)]
struct Asker {
    connection: u64,
    request: u64,
}

pub(super) struct Server {
    /// Held while this process lives.
    _lock: File,
    config: ShimConfig,
    workshop: Workshop,
    listener: UnixListener,
    signals: SignalFd,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    creations: Vec<Creation>,
    containers: BTreeMap<String, Container>,
    execs: Vec<Exec>,
    /// Processes reaped before their creator reported them.
    unclaimed: HashMap<i32, (i32, Option<i32>)>,
    shutdown: Option<(Asker, Instant)>,
    /// Agents that came while containers were made: told of half of one, they would make it again.
    greetings: Vec<Asker>,
    log_bytes_dropped: u64,
}

/// What a descriptor in the poll set belongs to.
#[derive(Debug, Clone)]
enum Source {
    Listener,
    Signals,
    Connection(u64),
    Creation(usize),
    Container(String),
    Exec(usize),
}

impl Server {
    /// Becomes the sandbox and opens the socket.
    pub(super) fn open(pod_dir: PathBuf, config: ShimConfig) -> io::Result<Self> {
        nix::unistd::setsid().ok();
        nix::sys::prctl::set_child_subreaper(true)?;
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let lock = lock(&pod_dir)?;
        let cgroup = Cgroup::new(Hierarchies::detect()?, &config.cgroup);
        cgroup.child("shim").join_trackers(std::process::id())?;
        // The directory may be too deep for a socket address, hence the relative name.
        std::env::set_current_dir(&pod_dir)?;
        let _ = std::fs::remove_file(SOCKET_FILE);
        let listener = UnixListener::bind(SOCKET_FILE)?;
        listener.set_nonblocking(true)?;
        sandbox::enter(&pod_dir, &config)?;
        std::fs::write(PID_FILE, std::process::id().to_string())?;
        std::env::set_current_dir("/")?;
        let workshop = Workshop {
            pod_dir,
            cgroup,
            filters: Rc::default(),
        };
        let mut server = Self {
            _lock: lock,
            config,
            workshop,
            listener,
            signals,
            connections: BTreeMap::new(),
            next_connection: 0,
            creations: Vec::new(),
            containers: BTreeMap::new(),
            execs: Vec::new(),
            unclaimed: HashMap::new(),
            shutdown: None,
            greetings: Vec::new(),
            log_bytes_dropped: 0,
        };
        server.adopt_standard_input();
        Ok(server)
    }

    /// The agent hands over one end of a socket pair, so that its first calls wait in the socket while the shim
    /// starts. The descriptor is replaced, lest containers inherit it.
    fn adopt_standard_input(&mut self) {
        let Ok(fd) = io::stdin().as_fd().try_clone_to_owned() else {
            return;
        };
        let is_socket = nix::sys::socket::getsockopt(&fd, nix::sys::socket::sockopt::SockType).is_ok();
        if let Ok(null) = File::open("/dev/null") {
            let _ = nix::unistd::dup2_stdin(&null);
        }
        if is_socket {
            self.connect(UnixStream::from(fd));
        }
    }

    /// Serves until told to shut down.
    pub(super) fn run(&mut self) -> io::Result<()> {
        loop {
            for (source, flags) in self.wait()? {
                self.serve(&source, flags);
            }
            // Indices into these lists are valid within one round only.
            self.settle_creations();
            self.settle_execs();
            self.connections.retain(|_, connection| !connection.closed);
            if self.finish_shutdown() {
                return Ok(());
            }
        }
    }

    fn wait(&self) -> io::Result<Vec<(Source, PollFlags)>> {
        let mut sources: Vec<(Source, BorrowedFd<'_>, PollFlags)> = vec![
            (Source::Listener, self.listener.as_fd(), PollFlags::POLLIN),
            (Source::Signals, self.signals.as_fd(), PollFlags::POLLIN),
        ];
        for (&key, connection) in &self.connections {
            sources.push((Source::Connection(key), connection.as_fd(), connection.interest()));
        }
        for (index, creation) in self.creations.iter().enumerate() {
            sources.push((Source::Creation(index), creation.as_fd(), PollFlags::POLLIN));
        }
        for (id, container) in &self.containers {
            for fd in container.open_outputs() {
                sources.push((Source::Container(id.clone()), fd, PollFlags::POLLIN));
            }
        }
        for (index, exec) in self.execs.iter().enumerate() {
            if let Some(fd) = exec.open_output() {
                sources.push((Source::Exec(index), fd, PollFlags::POLLIN));
            }
        }
        let mut fds: Vec<PollFd<'_>> = sources
            .iter()
            .map(|(_, fd, flags)| PollFd::new(*fd, *flags))
            .collect();
        match poll(&mut fds, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<PollFlags> = fds
            .iter()
            .map(|fd| fd.revents().unwrap_or(PollFlags::empty()))
            .collect();
        Ok(sources
            .into_iter()
            .zip(ready)
            .filter(|(_, flags)| !flags.is_empty())
            .map(|((source, _, _), flags)| (source, flags))
            .collect())
    }

    /// Until the nearest deadline of a creation, an exec or the shutdown.
    fn timeout(&self) -> PollTimeout {
        let creations = self.creations.iter().map(Creation::deadline);
        let execs = self.execs.iter().filter_map(Exec::deadline);
        let shutdown = self.shutdown.iter().map(|(_, deadline)| *deadline);
        let Some(nearest) = creations.chain(execs).chain(shutdown).min() else {
            return PollTimeout::NONE;
        };
        let left = nearest.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    }

    fn serve(&mut self, source: &Source, flags: PollFlags) {
        match source {
            Source::Listener => self.accept(),
            Source::Signals => self.reap(),
            Source::Connection(key) => self.converse(*key, flags),
            Source::Creation(index) => {
                if let Some(creation) = self.creations.get_mut(*index) {
                    creation.receive();
                }
            }
            Source::Container(id) => {
                if let Some(container) = self.containers.get_mut(id) {
                    container.read_outputs();
                }
            }
            Source::Exec(index) => {
                if let Some(exec) = self.execs.get_mut(*index) {
                    exec.read_output();
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.connections.len() < MAX_CONNECTIONS {
                self.connect(stream);
            }
        }
    }

    fn connect(&mut self, stream: UnixStream) {
        if stream.set_nonblocking(true).is_ok() {
            self.connections
                .insert(self.next_connection, Connection::new(stream));
            self.next_connection += 1;
        }
    }

    fn converse(&mut self, key: u64, flags: PollFlags) {
        let Some(connection) = self.connections.get_mut(&key) else {
            return;
        };
        let requests = connection.converse(flags);
        for request in requests {
            self.answer(key, request);
        }
    }

    fn answer(&mut self, connection: u64, request: Request) {
        let asker = Asker {
            connection,
            request: request.id,
        };
        let result = match request.call {
            Call::Hello if self.creations.iter().any(Creation::is_start) => {
                return self.greetings.push(asker);
            }
            Call::Hello => Ok(Answer::State(self.state())),
            Call::Tmpfs(tmpfs) => sandbox::mount_tmpfs(&tmpfs)
                .map(|()| Answer::Done)
                .map_err(|error| format!("mount {}: {error}", tmpfs.path.display())),
            Call::Signal { container, signal } => self.signal(&container, signal),
            Call::Remove { container } => self.remove(&container),
            Call::Start(start) => match self.start(asker, *start) {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            Call::Exec(exec) => match self.exec(asker, exec) {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            Call::Shutdown => return self.begin_shutdown(asker),
        };
        self.reply(asker, result);
    }

    fn state(&self) -> State {
        let dropped: u64 = self.containers.values().map(Container::log_bytes_dropped).sum();
        State {
            pid: Pid::this().as_raw(),
            containers: self.containers.values().map(Container::state).collect(),
            log_bytes_dropped: self.log_bytes_dropped + dropped,
        }
    }

    fn signal(&self, id: &str, number: i32) -> Result<Answer, String> {
        let container = self
            .containers
            .get(id)
            .ok_or_else(|| format!("no container {id}"))?;
        // The shim alone reaps this process, so its number cannot have gone to another one.
        if container.exit.is_none() {
            signal::kill(container.pid, number);
        }
        Ok(Answer::Done)
    }

    fn remove(&mut self, id: &str) -> Result<Answer, String> {
        match self.containers.get(id) {
            Some(container) if container.exit.is_none() => return Err(format!("container {id} is running")),
            Some(container) => self.log_bytes_dropped += container.log_bytes_dropped(),
            None => {}
        }
        self.containers.remove(id);
        self.workshop.remove(id);
        Ok(Answer::Done)
    }

    /// Reaps every process that has ended: containers, execs, creators, and orphans of all of them.
    fn reap(&mut self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(_) => break,
                Ok(status) => {
                    if let Some((pid, code, signal)) = exit::code_of(status) {
                        self.ended(pid, code, signal);
                    }
                }
            }
        }
    }

    fn ended(&mut self, pid: i32, code: i32, signal: Option<i32>) {
        let running = |container: &&Container| container.pid == pid && container.exit.is_none();
        if let Some(id) = self
            .containers
            .values()
            .find(running)
            .map(|container| container.id.clone())
        {
            self.exited(&id, code, signal);
        } else if let Some(exec) = self.execs.iter_mut().find(|exec| exec.pid == pid) {
            exec.ended(code);
        } else if !self.creations.is_empty() {
            self.unclaimed.insert(pid, (code, signal));
        }
    }

    fn exited(&mut self, id: &str, code: i32, signal: Option<i32>) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        let oom_killed = self.workshop.cgroup.child(id).oom_kills() > 0;
        let exit = container.ended(code, signal, oom_killed);
        self.broadcast(&Message::Event(Event::Exited {
            container: id.to_owned(),
            exit,
        }));
    }

    fn settle_execs(&mut self) {
        let now = Instant::now();
        let mut finished = Vec::new();
        self.execs.retain_mut(|exec| match exec.outcome(now) {
            Some(answer) => {
                finished.push((exec.asker, answer));
                false
            }
            None => true,
        });
        for (asker, answer) in finished {
            self.reply(asker, Ok(answer));
        }
    }

    fn begin_shutdown(&mut self, asker: Asker) {
        for container in self
            .containers
            .values()
            .filter(|container| container.exit.is_none())
        {
            signal::kill(container.pid, signal::KILL);
            self.workshop.cgroup.child(&container.id).kill();
        }
        self.shutdown = Some((asker, Instant::now() + SHUTDOWN_DEADLINE));
    }

    fn finish_shutdown(&mut self) -> bool {
        let Some((asker, deadline)) = self.shutdown else {
            return false;
        };
        let alive = self.containers.values().any(|container| container.exit.is_none());
        if (alive || !self.creations.is_empty()) && Instant::now() < deadline {
            return false;
        }
        let ids: Vec<String> = self.containers.keys().cloned().collect();
        for id in ids {
            self.workshop.remove(&id);
        }
        let _ = std::fs::remove_file(self.workshop.pod_dir.join(SOCKET_FILE));
        self.reply(asker, Ok(Answer::Done));
        true
    }

    fn reply(&mut self, asker: Asker, result: Result<Answer, String>) {
        if let Some(connection) = self.connections.get_mut(&asker.connection) {
            connection.send(&Message::Reply {
                id: asker.request,
                result,
            });
        }
    }

    fn broadcast(&mut self, message: &Message) {
        for connection in self.connections.values_mut() {
            connection.send(message);
        }
    }
}
