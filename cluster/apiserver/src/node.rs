//! The link to the node agent, which alone knows about running containers.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::status::StatusError;

/// Which part of a container's log to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Keep sending as the container writes.
    pub follow: bool,
    /// The log of the previous run of the container.
    pub previous: bool,
    /// Start each line with the time it was written at.
    pub timestamps: bool,
    /// Only the last so many lines.
    pub tail_lines: Option<u64>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
    /// Only lines younger than this many seconds.
    pub since_seconds: Option<u64>,
    /// Only lines written at or after this time.
    pub since_time: Option<jiff::Timestamp>,
}

/// A log as it is sent: pieces of text, in order.
pub type LogStream = BoxStream<'static, std::io::Result<Bytes>>;

/// What the API server asks a node for.
pub trait NodeApi: Send + Sync + 'static {
    /// Reads the log of one container.
    fn logs<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<LogStream, StatusError>>;
}

/// A place for the node, which starts after the API server because it needs a client of it.
#[derive(Clone, Default)]
pub struct NodeLink {
    node: Arc<OnceLock<Arc<dyn NodeApi>>>,
}

impl NodeLink {
    /// Connects the node. A second call changes nothing and returns `false`.
    pub fn connect(&self, node: Arc<dyn NodeApi>) -> bool {
        self.node.set(node).is_ok()
    }

    pub(crate) fn get(&self) -> Option<Arc<dyn NodeApi>> {
        self.node.get().cloned()
    }
}
