//! Writes that survive a power cut: temporary file, sync, rename, sync of the directory.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::error::ImageError;

/// Syncs a directory, so that a rename in it lasts.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), ImageError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(ImageError::io("sync", dir))
}

/// `mkdir -p` whose new entries are synced.
pub(crate) fn create_dir(dir: &Path) -> Result<(), ImageError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_dir(parent)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.map_err(ImageError::io("create", dir))?,
    }
    dir.parent().map_or(Ok(()), sync_dir)
}

/// Replaces the file at `path` with `bytes`. `tmp` is on the same filesystem.
pub(crate) fn write(tmp: &Path, path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let temporary = tmp.join(uuid::Uuid::new_v4().to_string());
    let mut file = File::create(&temporary).map_err(ImageError::io("create", &temporary))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(ImageError::io("write", &temporary))?;
    publish(&temporary, path)
}

/// Moves a synced file to its place.
pub(crate) fn publish(temporary: &Path, path: &Path) -> Result<(), ImageError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    create_dir(dir)?;
    fs::rename(temporary, path).map_err(ImageError::io("rename to", path))?;
    sync_dir(dir)
}

/// Removes a file; `false` when there was none.
pub(crate) fn remove(path: &Path) -> Result<bool, ImageError> {
    match fs::remove_file(path) {
        Ok(()) => {
            path.parent().map_or(Ok(()), sync_dir)?;
            Ok(true)
        }
        Err(error) if absent(&error) => Ok(false),
        Err(source) => Err(ImageError::Io {
            action: "remove",
            path: path.into(),
            source,
        }),
    }
}

/// Whether the error means "there is no such file".
pub(crate) fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
