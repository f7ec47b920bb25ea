//! A folder as an artifact of a registry: what `kn` uploads and a build starts from.
//!
//! [`pack`] makes one reproducible layer of a folder, so that equal folders have equal digests and are built once;
//! [`push`] puts it into a registry. [`pull`] and [`unpack`] are the way back, for content that nobody trusts.

mod artifact;
mod gather;
mod ignore;
mod link;
mod pack;
mod unpack;

pub use artifact::{ARTIFACT_TYPE, LAYER_TYPE, TransferError, pull, push};
pub use gather::{Entry, Kind, gather};
pub use ignore::{Ignore, PatternError};
pub use link::{LinkError, check as check_link};
pub use pack::{PackError, Packed, pack, write_tar};
pub use unpack::{UnpackError, unpack};

/// How much a folder may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files, folders and links.
    pub entries: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of the packed folder.
    pub packed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            bytes: 2 << 30,
            packed: 1 << 30,
        }
    }
}
