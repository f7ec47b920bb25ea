//! What can go wrong, told apart by what the caller can do about it.

use std::io;
use std::sync::Arc;

/// Why the store did not do what it was asked for. Cloneable, since one failed write answers many callers.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full, or a limit on what is kept is reached. Nothing was stored; it is worth trying again later.
    #[error("no room for events: {0}")]
    Full(String),
    /// One append is larger than the store takes. It never will be stored.
    #[error(
        "{bytes} bytes in {records} records are more than one append may have ({limit} bytes, {most} records)"
    )]
    TooLarge {
        /// Bytes of payload in the append.
        bytes: usize,
        /// Records in the append.
        records: usize,
        /// Most bytes.
        limit: usize,
        /// Most records.
        most: usize,
    },
    /// The store is damaged in a way that cannot be contained to some records.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store is shut down, the topic removed, or another subscription took over the consumer.
    #[error("{0}")]
    Closed(&'static str),
    /// Another process has the store open.
    #[error("{0} is in use by another process")]
    InUse(String),
    /// The disk, or the server that keeps the events, failed. Nothing was acknowledged.
    #[error("{attempt}")]
    Io {
        /// What was attempted.
        attempt: String,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
}

impl StoreError {
    /// An I/O error with what was attempted; running out of space is told apart.
    pub fn io(attempt: impl Into<String>, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let attempt = attempt.into();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full(format!("{attempt}: {source}")),
            _ => Self::Io {
                attempt,
                source: Arc::new(source),
            },
        }
    }
}
