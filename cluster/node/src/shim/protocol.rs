//! What agent and shim say to each other: one JSON object per line, in both directions.
//!
//! The agent sends [`Request`]s; the shim answers each with a [`Message::Reply`] of the same id, in any order, and
//! tells every connected agent of [`Event`]s. A new agent says [`Call::Hello`] and learns all that happened meanwhile.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Exit;
use crate::cgroup::Limits;

/// A line longer than this is a broken peer.
pub const MAX_LINE_BYTES: usize = 4 << 20;

/// One question of the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the agent, repeated in the reply.
    pub id: u64,
    /// What to do.
    pub call: Call,
}

/// What a shim can do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// Tell the state of the sandbox.
    Hello,
    /// Mount a memory file system inside the pod's mount namespace.
    Tmpfs(Tmpfs),
    /// Create and start a container.
    Start(Box<StartContainer>),
    /// Send a signal to a container's first process.
    #[serde(rename_all = "camelCase")]
    Signal { container: String, signal: i32 },
    /// Run a process in a running container and wait for it.
    Exec(ExecProcess),
    /// Forget a container that has ended: its mounts and its control group.
    #[serde(rename_all = "camelCase")]
    Remove { container: String },
    /// Kill everything and end.
    Shutdown,
}

/// A memory file system for a volume.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tmpfs {
    /// Where; made if missing.
    pub path: PathBuf,
    /// At most so many bytes; half of the memory otherwise.
    pub size_bytes: Option<u64>,
    /// Permissions of the root directory.
    pub mode: u32,
}

/// A container to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartContainer {
    /// Unique within the pod; names the container's directory.
    pub id: String,
    /// The OCI runtime specification; the shim fills in the root path and the cgroup path.
    pub spec: Value,
    /// Unpacked image layers, lowest first.
    pub layers: Vec<PathBuf>,
    /// Resource limits.
    pub limits: Limits,
    /// Directory and name of the log files: `<log>.<number>.log`.
    pub log: PathBuf,
    /// System call filter.
    pub seccomp: SeccompProfile,
    /// Kept beside the container and given back by `Hello`; the shim does not look into it.
    #[serde(default)]
    pub note: Value,
}

/// Which system calls a container may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SeccompProfile {
    /// All of them.
    Unconfined,
    /// The list that container runtimes allow by default.
    RuntimeDefault,
}

/// A process to run in a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecProcess {
    /// The container.
    pub container: String,
    /// Command and arguments, not run in a shell.
    pub command: Vec<String>,
    /// Killed after this many milliseconds.
    pub timeout_millis: u64,
    /// Bytes of output kept; the rest is read and dropped.
    pub output_limit: usize,
}

/// A line from the shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Message {
    /// The answer to a request.
    Reply {
        /// The request's id.
        id: u64,
        /// What came of it.
        result: Result<Answer, String>,
    },
    /// Something happened.
    Event(Event),
}

/// A successful answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// It is done.
    Done,
    /// To `Hello`.
    State(State),
    /// To `Start`.
    #[serde(rename_all = "camelCase")]
    Started {
        /// First process, as the host sees it.
        pid: i32,
        /// When.
        started_at: Timestamp,
    },
    /// To `Exec`.
    #[serde(rename_all = "camelCase")]
    Executed {
        /// As a shell would report it.
        exit_code: i32,
        /// Both output streams, as they came.
        output: String,
        /// Whether it was killed for taking too long.
        timed_out: bool,
    },
}

/// A sandbox and its containers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The shim's process: its namespaces are the pod's.
    pub pid: i32,
    /// Containers in the order of their ids, ended ones that were not removed included.
    pub containers: Vec<ContainerState>,
    /// Log bytes that could not be written since the shim started.
    pub log_bytes_dropped: u64,
}

/// A container as the shim knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerState {
    /// As given at the start.
    pub id: String,
    /// First process.
    pub pid: i32,
    /// When it started.
    pub started_at: Timestamp,
    /// How it ended; `None` while it runs.
    pub exit: Option<Exit>,
    /// As given at the start.
    #[serde(default)]
    pub note: Value,
}

/// What the shim tells unasked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// A container has ended; its output is complete on disk.
    Exited {
        /// Which.
        container: String,
        /// How.
        exit: Exit,
    },
}
