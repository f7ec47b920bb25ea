//! What a log can be told.

use std::sync::Arc;

use jiff::Timestamp;

use super::retention::Retention;

/// Tells the time; tests bring their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Limits of a log. The defaults suit one machine.
#[derive(Clone)]
pub struct Options {
    /// How long records are kept.
    pub retention: Retention,
    /// Bytes after which a topic goes on in a new file; retention takes whole files (default: 64 MiB).
    pub segment_bytes: u64,
    /// Most payload bytes of one append (default: 16 MiB).
    pub append_bytes: usize,
    /// Payload bytes of appends that wait for the disk; further appends wait for room (default: 64 MiB).
    pub pending_bytes: usize,
    /// Bytes of the newest records that are kept in memory, over all topics (default: 16 MiB).
    pub tail_bytes: usize,
    /// Bytes of older records that consumers share while they catch up, over all topics (default: 16 MiB).
    pub chunk_bytes: usize,
    /// Free bytes of the disk under which appends answer that it is full: what else lives there goes on, and so do
    /// the places of consumers (default: 64 MiB).
    pub least_free_bytes: u64,
    /// Threads that write and sync, each one topic at a time (default: 8).
    pub writers: usize,
    /// The time that records get and that retention goes by.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            segment_bytes: 64 << 20,
            append_bytes: 16 << 20,
            pending_bytes: 64 << 20,
            tail_bytes: 16 << 20,
            chunk_bytes: 16 << 20,
            least_free_bytes: 64 << 20,
            writers: 8,
            clock: Arc::new(Timestamp::now),
        }
    }
}
