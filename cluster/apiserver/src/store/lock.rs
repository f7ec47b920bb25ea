//! One process per data directory.

use std::fs::File;
use std::path::Path;

use fs4::FileExt;

use super::OpenError;

/// Held for as long as the directory is in use; the kernel releases it when the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Creates the directory if needed and locks it.
    ///
    /// # Errors
    /// When another process holds the lock, or the directory cannot be written.
    pub(crate) fn acquire(directory: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Directory {
            path: directory.display().to_string(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let path = directory.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Self { _file: file }),
            Err(fs4::TryLockError::WouldBlock) => Err(OpenError::Locked {
                path: directory.display().to_string(),
            }),
            Err(fs4::TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
