//! How full a disk is.

use std::path::Path;

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Bytes in all.
    pub(crate) capacity: u64,
    /// Bytes that can still be written.
    pub(crate) available: u64,
}

impl Disk {
    /// The one that holds `path`; `None` if it cannot be asked.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let stat = rustix::fs::statvfs(path).ok()?;
        Some(Self {
            capacity: stat.f_blocks.saturating_mul(stat.f_frsize),
            available: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}
