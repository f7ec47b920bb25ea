//! What the store needs from a disk engine. Small on purpose, so that another engine can stand in.

/// Changes that become durable together or not at all.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Key and new value; `None` removes the key.
    pub(crate) entries: Vec<(String, Option<bytes::Bytes>)>,
    /// No revision up to this one may be given out again after a restart.
    pub(crate) revision_ceiling: u64,
}

impl Batch {
    /// Bytes of keys and values.
    pub(super) fn size(&self) -> u64 {
        let sizes = self
            .entries
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, bytes::Bytes::len));
        sizes.sum::<usize>() as u64
    }
}

/// Why the engine refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    #[error("{0}")]
    Engine(String),
    #[error("format {found} is newer than {supported}")]
    Format { found: u64, supported: u64 },
}

/// A durable, ordered map of bytes.
pub(crate) trait Backend: Send {
    /// Calls `visit` for every entry in key order and returns the revision ceiling.
    ///
    /// # Errors
    /// When the disk cannot be read or the format is unknown.
    fn range(&mut self, visit: &mut dyn FnMut(&str, &[u8])) -> Result<u64, BackendError>;

    /// Makes a batch durable.
    ///
    /// After an error nothing is known about the batch: the caller must write the keys again. The next commit tries
    /// to recover by itself (a full disk may have space again).
    ///
    /// # Errors
    /// When the disk refuses.
    fn commit(&mut self, batch: &Batch) -> Result<(), BackendError>;

    /// Bytes that the disk would still take; `None` if the engine cannot tell.
    fn room(&self) -> Option<u64> {
        None
    }
}
