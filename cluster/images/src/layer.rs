//! Layers: compressed tars made into directories that overlayfs can stack.
//!
//! A layer is hostile until proven otherwise: every name is resolved one component at a time from a directory handle,
//! never through a symbolic link, and sizes and counts have caps. Whiteouts become what overlayfs expects.

mod entry;
mod root;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use self::entry::{Entries, Kind, Meta};
use self::root::Root;
use crate::digest::Digest;

/// Marks a removed name.
const WHITEOUT: &[u8] = b".wh.";
/// Marks a directory whose lower content is hidden.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other names of aufs' own bookkeeping.
const AUFS: &[u8] = b".wh..wh.";

/// Largest window a zstd frame may ask memory for, as a power of two (zstd's own default for decoding).
const ZSTD_WINDOW_LOG: u32 = 27;

/// What one layer may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Unpacked tar stream, bytes.
    pub(crate) bytes: u64,
    /// Entries.
    pub(crate) entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 32 << 30,
            entries: 1_000_000,
        }
    }
}

/// What unpacking found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Digest of the uncompressed tar.
    pub(crate) diff_id: Digest,
    /// Bytes of all files.
    pub(crate) bytes: u64,
    /// Device nodes left out: a pod's devices come from its runtime.
    pub(crate) skipped_devices: u64,
}

/// Unpacks a gzip, zstd or plain tar into the empty directory `dir`. `Err` is the reason, for the one who made the
/// layer.
pub(crate) fn unpack(file: File, dir: &Path, limits: Limits) -> Result<Unpacked, String> {
    let stream = Hashing {
        inner: decompress(file)?,
        hasher: Sha256::new(),
        left: limits.bytes,
    };
    let root = Root::open(dir).map_err(|error| format!("cannot open its directory: {error}"))?;
    let mut unpacking = Unpacking {
        root,
        bytes: 0,
        skipped_devices: 0,
        directories: Vec::new(),
    };
    let mut archive = tar::Archive::new(stream);
    {
        let mut entries = Entries::new(&mut archive)?;
        let mut count = 0u64;
        while let Some((meta, mut data)) = entries.next()? {
            count += 1;
            if count > limits.entries {
                return Err(format!("it has more than {} entries", limits.entries));
            }
            unpacking
                .entry(&meta, &mut data)
                .map_err(|reason| format!("entry `{}`: {reason}", String::from_utf8_lossy(&meta.name())))?;
        }
    }
    unpacking.finish()?;
    let mut stream = archive.into_inner();
    // Zero blocks after the end are part of the digest.
    io::copy(&mut stream, &mut io::sink()).map_err(|error| error.to_string())?;
    Ok(Unpacked {
        diff_id: Digest::from_hasher(stream.hasher),
        bytes: unpacking.bytes,
        skipped_devices: unpacking.skipped_devices,
    })
}

/// Gives the plain bytes of a gzip, zstd or uncompressed file, by its first bytes.
pub(crate) fn decompress(file: File) -> Result<Box<dyn Read>, String> {
    use std::io::{Seek as _, SeekFrom};
    let mut file = file;
    let mut magic = Vec::with_capacity(4);
    let read = (&mut file)
        .take(4)
        .read_to_end(&mut magic)
        .and_then(|_| file.seek(SeekFrom::Start(0)));
    read.map_err(|error| error.to_string())?;
    if magic.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(
            BufReader::with_capacity(64 << 10, file),
        )));
    }
    if magic == [0x28, 0xb5, 0x2f, 0xfd] {
        let mut decoder = zstd::Decoder::new(file).map_err(|error| error.to_string())?;
        decoder
            .window_log_max(ZSTD_WINDOW_LOG)
            .map_err(|error| error.to_string())?;
        return Ok(Box::new(decoder));
    }
    Ok(Box::new(BufReader::with_capacity(64 << 10, file)))
}

/// Hashes what is read and stops at the size cap.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    left: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it unpacks to more than the limit of bytes",
            )
        })?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

struct Unpacking {
    root: Root,
    bytes: u64,
    skipped_devices: u64,
    /// Times of directories are set last: writing into one changes its time.
    directories: Vec<(Vec<Vec<u8>>, i64)>,
}

impl Unpacking {
    fn entry(&mut self, meta: &Meta, data: &mut dyn Read) -> Result<(), String> {
        let Some((name, parent)) = meta.path.split_last() else {
            return match meta.kind {
                Kind::Directory => self.root.set_own_attributes(meta).map_err(text),
                _ => Err("the root can only be a directory".into()),
            };
        };
        let parent = self.root.directory(parent).map_err(text)?;
        if name.starts_with(WHITEOUT) {
            return self.whiteout(name, &parent);
        }
        let name = OsStr::from_bytes(name);
        match meta.kind {
            Kind::Directory => {
                parent.make_directory(name, meta).map_err(text)?;
                self.directories.push((meta.path.clone(), meta.mtime));
                Ok(())
            }
            Kind::File => {
                self.bytes += parent.make_file(name, meta, data).map_err(text)?;
                Ok(())
            }
            Kind::Symlink => parent.make_symlink(name, meta.link_target()?, meta).map_err(text),
            Kind::Hardlink => {
                let target = entry::components(meta.link_target()?)?;
                let Some((target_name, target_parent)) = target.split_last() else {
                    return Err("a hard link to the root".into());
                };
                let target_parent =
                    self.root
                        .existing(target_parent)
                        .map_err(|error| match error.kind() {
                            io::ErrorKind::NotFound => "its target is not in this layer".to_owned(),
                            _ => text(error),
                        })?;
                parent
                    .make_hardlink(name, &target_parent, OsStr::from_bytes(target_name))
                    .map_err(text)
            }
            Kind::Fifo => parent.make_fifo(name, meta).map_err(text),
            Kind::Device => {
                self.skipped_devices += 1;
                Ok(())
            }
        }
    }

    fn whiteout(&self, name: &[u8], parent: &root::Directory) -> Result<(), String> {
        if name == OPAQUE {
            return parent.set_opaque().map_err(text);
        }
        if name.starts_with(AUFS) {
            return Ok(());
        }
        match name.get(WHITEOUT.len()..) {
            None | Some(b"" | b"." | b"..") => Err("a whiteout without a name".into()),
            Some(hidden) => parent.make_whiteout(OsStr::from_bytes(hidden)).map_err(text),
        }
    }

    fn finish(&self) -> Result<(), String> {
        for (path, mtime) in &self.directories {
            // A later entry may have replaced the directory by something else.
            if let Ok(directory) = self.root.existing(path) {
                directory.set_own_time(*mtime).map_err(text)?;
            }
        }
        Ok(())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
