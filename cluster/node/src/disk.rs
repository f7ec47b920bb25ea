//! How full a disk is, and where on it files come to lie.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

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

/// Lets ext4 put each new directory in `dir` into another part of the disk, as it does with the homes of users (`chattr
/// +T`). It does not reuse the inode of a removed file for a minute or more and searches past each of them for a new one:
/// directories of pods that come and go in one part make each other slower. Other file systems know no such thing.
///
/// # Errors
/// What the file system says.
pub(crate) fn spread(dir: &Path) -> io::Result<()> {
    let dir = File::open(dir)?;
    let flags = ioctl_getflags(&dir)?;
    Ok(ioctl_setflags(&dir, flags | IFlags::TOPDIR)?)
}
