//! The agent's side of a shim's socket: starting one, finding one again, asking it.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::shim::protocol::{Answer, Call, Event, MAX_LINE_BYTES, Message, Request, State};
use crate::shim::{PID_FILE, SOCKET_FILE, ShimConfig};

/// Calls that may wait for the socket.
const QUEUE: usize = 64;

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The shim's process is gone, and with it the sandbox.
    #[error("the pod's shim has ended")]
    Gone,
    /// The shim refused or could not do it.
    #[error("{0}")]
    Refused(String),
}

/// What a shim tells unasked.
#[derive(Debug)]
pub enum ShimEvent {
    /// Something happened to a container.
    Container(Event),
    /// The shim has ended; no further event comes.
    Gone,
}

type Replies = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Result<Answer, String>>>>>>;

/// A connection to one shim; clones share it.
#[derive(Debug, Clone)]
pub struct ShimClient {
    calls: mpsc::Sender<Vec<u8>>,
    replies: Replies,
    next: Arc<std::sync::atomic::AtomicU64>,
}

impl ShimClient {
    /// Starts a shim and connects to it. The first calls may be sent at once; they wait in the socket.
    ///
    /// # Errors
    /// Fails when the program cannot be run or the directory cannot be written.
    pub fn spawn(
        program: &Path,
        pod_dir: &Path,
        config: &ShimConfig,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<ShimEvent>)> {
        config.save(pod_dir)?;
        let (ours, theirs) = StdUnixStream::pair()?;
        let log = std::fs::File::create(pod_dir.join("shim.log"))?;
        let mut child = tokio::process::Command::new(program)
            .arg("shim")
            .arg(pod_dir)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .kill_on_drop(false)
            .spawn()?;
        // A dead shim must be reaped; a living one belongs to nobody.
        tokio::spawn(async move { child.wait().await.map(|_| ()) });
        ours.set_nonblocking(true)?;
        Ok(Self::over(UnixStream::from_std(ours)?))
    }

    /// Connects to a shim that an earlier agent started.
    ///
    /// # Errors
    /// Fails when no shim answers there.
    pub fn connect(pod_dir: &Path) -> io::Result<(Self, mpsc::UnboundedReceiver<ShimEvent>)> {
        // The directory may be too deep for a socket address; a descriptor of it is not.
        let dir = rustix::fs::open(
            pod_dir,
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )?;
        let short = format!(
            "/proc/self/fd/{}/{SOCKET_FILE}",
            std::os::fd::AsRawFd::as_raw_fd(&dir)
        );
        let stream = StdUnixStream::connect(short)?;
        stream.set_nonblocking(true)?;
        Ok(Self::over(UnixStream::from_std(stream)?))
    }

    /// The process id that a shim left in its directory.
    pub fn recorded_pid(pod_dir: &Path) -> Option<i32> {
        std::fs::read_to_string(pod_dir.join(PID_FILE))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    fn over(stream: UnixStream) -> (Self, mpsc::UnboundedReceiver<ShimEvent>) {
        let (read, write) = stream.into_split();
        let (calls, queue) = mpsc::channel(QUEUE);
        // One message per container end: bounded by the containers a pod has.
        let (events, receiver) = mpsc::unbounded_channel();
        let replies: Replies = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(send(write, queue));
        tokio::spawn(receive(read, Arc::clone(&replies), events));
        (
            Self {
                calls,
                replies,
                next: Arc::default(),
            },
            receiver,
        )
    }

    /// Asks the shim for something and waits for its answer.
    ///
    /// # Errors
    /// Fails when the shim refuses or ends.
    pub async fn call(&self, call: Call) -> Result<Answer, CallError> {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        match self.replies.lock().as_mut() {
            Some(replies) => replies.insert(id, reply),
            None => return Err(CallError::Gone),
        };
        let mut line = serde_json::to_vec(&Request { id, call })
            .map_err(|error| CallError::Refused(error.to_string()))?;
        line.push(b'\n');
        self.calls.send(line).await.map_err(|_| CallError::Gone)?;
        match answer.await {
            Ok(result) => result.map_err(CallError::Refused),
            Err(_) => Err(CallError::Gone),
        }
    }

    /// Asks for the state of the sandbox; also the way to learn that it stands.
    ///
    /// # Errors
    /// As [`ShimClient::call`].
    pub async fn hello(&self) -> Result<State, CallError> {
        match self.call(Call::Hello).await? {
            Answer::State(state) => Ok(state),
            _ => Err(CallError::Refused("the shim answered something else".to_owned())),
        }
    }
}

async fn send(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = queue.recv().await {
        if write.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn receive(read: OwnedReadHalf, replies: Replies, events: mpsc::UnboundedSender<ShimEvent>) {
    let mut reader = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader)
            .take(MAX_LINE_BYTES as u64)
            .read_until(b'\n', &mut line)
            .await;
        if !matches!(read, Ok(length) if length > 0) {
            break;
        }
        match serde_json::from_slice(&line) {
            Ok(Message::Reply { id, result }) => {
                if let Some(waiting) = replies.lock().as_mut().and_then(|replies| replies.remove(&id)) {
                    let _ = waiting.send(result);
                }
            }
            Ok(Message::Event(event)) => {
                let _ = events.send(ShimEvent::Container(event));
            }
            Err(_) => break,
        }
    }
    // Dropping the senders fails every call that still waits.
    replies.lock().take();
    let _ = events.send(ShimEvent::Gone);
}
