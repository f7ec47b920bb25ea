//! Unpacked layers, one directory per layer content.
//!
//! A directory is named by the digest of the uncompressed tar (the diff id), not by the chain of layers below: with
//! overlayfs the content of a layer does not depend on what is under it, so images that share a layer in different
//! places share its directory. The name is cut to 128 bits, because overlayfs gets all paths in one page of mount
//! options.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::blob::Temporary;
use crate::digest::Digest;
use crate::durable;
use crate::error::ImageError;
use crate::layer::{self, Limits};

/// The tree that is mounted.
const CONTENT: &str = "fs";
/// Its size in bytes and the whole diff id.
const RECORD: &str = "record";
/// Hex digits of a directory's name.
const NAME_LENGTH: usize = 32;

/// `layers/`.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    dir: PathBuf,
    tmp: PathBuf,
}

/// One unpacked layer.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) diff_id: Digest,
    pub(crate) bytes: u64,
    pub(crate) used: SystemTime,
}

impl Layers {
    pub(crate) fn open(dir: PathBuf, tmp: PathBuf) -> Result<Self, ImageError> {
        durable::create_dir(&dir)?;
        Ok(Self { dir, tmp })
    }

    fn home(&self, diff_id: &Digest) -> PathBuf {
        let mut name = diff_id.hex();
        name.truncate(NAME_LENGTH);
        self.dir.join(name)
    }

    /// The layer's directory when it is unpacked; marks it as used.
    pub(crate) fn touch(&self, diff_id: &Digest) -> Result<Option<PathBuf>, ImageError> {
        let home = self.home(diff_id);
        let record = home.join(RECORD);
        let Some((found, _)) = read_record(&record)? else {
            return Ok(None);
        };
        if found != *diff_id {
            return Ok(None);
        }
        let touched = fs::File::open(&record).and_then(|file| file.set_modified(SystemTime::now()));
        touched.map_err(ImageError::io("touch", &record))?;
        Ok(Some(home.join(CONTENT)))
    }

    /// Unpacks a layer's blob and publishes the directory. `blob` names it in errors.
    pub(crate) fn unpack(
        &self,
        blob: &Digest,
        file: fs::File,
        diff_id: &Digest,
    ) -> Result<PathBuf, ImageError> {
        let fail = |reason: String| ImageError::Unpack { layer: *blob, reason };
        let temporary = Temporary::new(self.tmp.join(uuid::Uuid::new_v4().to_string()));
        let content = temporary.path().join(CONTENT);
        fs::create_dir_all(&content).map_err(ImageError::io("create", &content))?;
        let unpacked = layer::unpack(file, &content, Limits::default()).map_err(fail)?;
        if unpacked.diff_id != *diff_id {
            return Err(fail(format!(
                "its content is {}, the image says {diff_id}",
                unpacked.diff_id
            )));
        }
        let record = temporary.path().join(RECORD);
        fs::write(&record, format!("{diff_id} {}", unpacked.bytes))
            .map_err(ImageError::io("write", &record))?;
        // One sync of the filesystem instead of one per file: a layer that exists is whole, even after a power cut.
        let synced = fs::File::open(&record).and_then(|file| Ok(rustix::fs::syncfs(file)?));
        synced.map_err(ImageError::io("sync", &record))?;
        let home = self.home(diff_id);
        // A leftover without a valid record is in the way of the rename.
        remove_tree(&home)?;
        durable::publish(temporary.path(), &home)?;
        tracing::debug!(layer = %blob, bytes = unpacked.bytes, skipped_devices = unpacked.skipped_devices, "Layer unpacked");
        Ok(home.join(CONTENT))
    }

    pub(crate) fn list(&self) -> Result<Vec<Layer>, ImageError> {
        let entries = fs::read_dir(&self.dir).map_err(ImageError::io("read", &self.dir))?;
        let mut layers = Vec::new();
        for entry in entries {
            let record = entry
                .map_err(ImageError::io("read", &self.dir))?
                .path()
                .join(RECORD);
            let Some((diff_id, bytes)) = read_record(&record)? else {
                continue;
            };
            let used = fs::metadata(&record).and_then(|metadata| metadata.modified());
            layers.push(Layer {
                diff_id,
                bytes,
                used: used.unwrap_or(SystemTime::UNIX_EPOCH),
            });
        }
        Ok(layers)
    }

    pub(crate) fn size(&self) -> Result<u64, ImageError> {
        Ok(self.list()?.iter().map(|layer| layer.bytes).sum())
    }

    /// Removes a layer: its name first, so that a half-removed one is never mounted.
    pub(crate) fn remove(&self, diff_id: &Digest) -> Result<(), ImageError> {
        let temporary = Temporary::new(self.tmp.join(uuid::Uuid::new_v4().to_string()));
        let home = self.home(diff_id);
        fs::rename(&home, temporary.path()).map_err(ImageError::io("remove", home))
    }
}

fn remove_tree(path: &Path) -> Result<(), ImageError> {
    match fs::remove_dir_all(path) {
        Err(error) if !durable::absent(&error) => Err(ImageError::Io {
            action: "remove",
            path: path.into(),
            source: error,
        }),
        _ => Ok(()),
    }
}

fn read_record(path: &Path) -> Result<Option<(Digest, u64)>, ImageError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if durable::absent(&error) => return Ok(None),
        Err(source) => {
            return Err(ImageError::Io {
                action: "read",
                path: path.into(),
                source,
            });
        }
    };
    Ok(text
        .split_once(' ')
        .and_then(|(digest, bytes)| Some((digest.parse().ok()?, bytes.parse().ok()?))))
}
