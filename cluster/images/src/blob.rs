//! Content-addressed files. A blob exists only whole, verified and synced.

use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::durable;
use crate::error::ImageError;

/// Bytes read at once when a file is copied or hashed.
pub(crate) const COPY_BUFFER: usize = 64 << 10;

/// `blobs/sha256/<hex>` and the directory of unfinished ones.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    dir: PathBuf,
    tmp: PathBuf,
}

impl Blobs {
    pub(crate) fn open(dir: PathBuf, tmp: PathBuf) -> Result<Self, ImageError> {
        durable::create_dir(&dir)?;
        Ok(Self { dir, tmp })
    }

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.hex())
    }

    /// Size in bytes; `None` when the blob is not here.
    pub(crate) fn size(&self, digest: &Digest) -> Result<Option<u64>, ImageError> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if durable::absent(&error) => Ok(None),
            Err(source) => Err(ImageError::Io {
                action: "read",
                path,
                source,
            }),
        }
    }

    /// Like [`Blobs::size`], and marks the blob as just used, which keeps the collector from it for a while.
    pub(crate) fn touch(&self, digest: &Digest) -> Result<Option<u64>, ImageError> {
        let size = self.size(digest)?;
        if size.is_some() {
            let path = self.path(digest);
            let touched = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            touched.map_err(ImageError::io("touch", &path))?;
        }
        Ok(size)
    }

    pub(crate) fn file(&self, digest: &Digest) -> Result<File, ImageError> {
        let path = self.path(digest);
        File::open(&path).map_err(|source| match durable::absent(&source) {
            true => ImageError::MissingBlob(*digest),
            false => ImageError::Io {
                action: "open",
                path,
                source,
            },
        })
    }

    /// Reads a small document whole.
    pub(crate) fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        let mut file = self.file(digest)?.take(limit + 1);
        file.read_to_end(&mut bytes)
            .map_err(ImageError::io("read", self.path(digest)))?;
        if bytes.len() as u64 > limit {
            return Err(ImageError::TooLarge {
                what: format!("blob {digest}"),
                limit: format!("{limit} bytes"),
            });
        }
        Ok(bytes)
    }

    /// Starts a blob of at most `limit` bytes.
    pub(crate) fn writer(&self, limit: u64) -> Result<BlobWriter, ImageError> {
        let path = self.tmp.join(uuid::Uuid::new_v4().to_string());
        let file = File::create(&path).map_err(ImageError::io("create", &path))?;
        let temporary = Temporary { path };
        Ok(BlobWriter {
            file,
            temporary,
            hasher: Sha256::new(),
            size: 0,
            limit,
            blobs: self.dir.clone(),
        })
    }

    /// Stores a document whole.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<Digest, ImageError> {
        let digest = Digest::of(bytes);
        if self.touch(&digest)?.is_none() {
            let mut writer = self.writer(bytes.len() as u64)?;
            writer.write(bytes)?;
            writer.commit(Some(&digest))?;
        }
        Ok(digest)
    }

    /// All blobs with size and last use.
    pub(crate) fn list(&self) -> Result<Vec<(Digest, u64, SystemTime)>, ImageError> {
        let entries = fs::read_dir(&self.dir).map_err(ImageError::io("read", &self.dir))?;
        let mut blobs = Vec::new();
        for entry in entries {
            let entry = entry.map_err(ImageError::io("read", &self.dir))?;
            let Some(digest) = entry.file_name().to_str().and_then(Digest::from_hex) else {
                continue;
            };
            if let Ok(metadata) = entry.metadata() {
                blobs.push((
                    digest,
                    metadata.len(),
                    metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                ));
            }
        }
        Ok(blobs)
    }

    pub(crate) fn remove(&self, digest: &Digest) -> Result<bool, ImageError> {
        durable::remove(&self.path(digest))
    }
}

/// A blob being written. Dropped before [`BlobWriter::commit`], it leaves nothing.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    file: File,
    temporary: Temporary,
    hasher: Sha256,
    size: u64,
    limit: u64,
    blobs: PathBuf,
}

impl BlobWriter {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends; refuses what would pass the limit.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        let size = self.size.saturating_add(bytes.len() as u64);
        if size > self.limit {
            return Err(ImageError::TooLarge {
                what: "blob".into(),
                limit: format!("{} bytes", self.limit),
            });
        }
        self.file
            .write_all(bytes)
            .map_err(ImageError::io("write", &self.temporary.path))?;
        self.hasher.update(bytes);
        self.size = size;
        Ok(())
    }

    /// Copies a reader to its end.
    pub(crate) fn write_from(&mut self, mut reader: impl Read) -> Result<(), ImageError> {
        let mut buffer = vec![0; COPY_BUFFER];
        loop {
            let count = reader
                .read(&mut buffer)
                .map_err(ImageError::io("read into", &self.temporary.path))?;
            match buffer.get(..count) {
                Some([]) | None => return Ok(()),
                Some(bytes) => self.write(bytes)?,
            }
        }
    }

    /// Digest of what was written so far.
    pub(crate) fn digest(&self) -> Digest {
        Digest::from_hasher(self.hasher.clone())
    }

    /// Verifies, syncs and publishes the blob. Blocks on the disk.
    pub(crate) fn commit(self, expected: Option<&Digest>) -> Result<(Digest, u64), ImageError> {
        let actual = self.digest();
        if let Some(expected) = expected.filter(|expected| **expected != actual) {
            return Err(ImageError::DigestMismatch {
                expected: *expected,
                actual,
            });
        }
        self.file
            .sync_all()
            .map_err(ImageError::io("sync", &self.temporary.path))?;
        durable::publish(&self.temporary.path, &self.blobs.join(actual.hex()))?;
        Ok((actual, self.size))
    }
}

/// Removes its path when dropped; after a rename there is nothing left to remove.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Best effort: the next start clears the directory of unfinished files.
        let _ = match self.path.is_dir() {
            true => fs::remove_dir_all(&self.path),
            false => fs::remove_file(&self.path),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs(dir: &Path) -> Blobs {
        durable::create_dir(&dir.join("tmp")).unwrap();
        Blobs::open(dir.join("blobs"), dir.join("tmp")).unwrap()
    }

    #[test]
    fn only_whole_verified_blobs_appear() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(dir.path());
        let digest = Digest::of(b"hello");
        let mut wrong = blobs.writer(10).unwrap();
        wrong.write(b"other").unwrap();
        assert!(matches!(
            wrong.commit(Some(&digest)),
            Err(ImageError::DigestMismatch { .. })
        ));
        let mut dropped = blobs.writer(10).unwrap();
        dropped.write(b"hel").unwrap();
        drop(dropped);
        assert_eq!(blobs.size(&digest).unwrap(), None);
        assert_eq!(
            fs::read_dir(dir.path().join("tmp")).unwrap().count(),
            0,
            "nothing unfinished is left"
        );
        assert_eq!(blobs.write(b"hello").unwrap(), digest);
        assert_eq!(blobs.read(&digest, 5).unwrap(), b"hello");
        assert!(matches!(blobs.read(&digest, 4), Err(ImageError::TooLarge { .. })));
    }

    #[test]
    fn the_limit_holds() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = blobs(dir.path()).writer(4).unwrap();
        writer.write(b"1234").unwrap();
        assert!(matches!(writer.write(b"5"), Err(ImageError::TooLarge { .. })));
        assert_eq!(writer.size(), 4);
    }
}
