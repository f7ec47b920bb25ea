//! A folder as one compressed archive that depends on nothing but names, content and the right to run.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::Limits;
use crate::gather::{Entry, Kind, gather};
use crate::ignore::PatternError;
use crate::link::LinkError;

/// Why a folder cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error("{}: {}", .0.display(), .1)]
    Ignore(PathBuf, PatternError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{} is neither a file nor a folder nor a link", .0.display())]
    Special(PathBuf),
    #[error("{} lies more than {} folders deep", .0.display(), .1)]
    Deep(PathBuf, usize),
    #[error("there are more than {0} files; name those that are not needed in .gitignore or .dockerignore")]
    Entries(usize),
    #[error(
        "the files are more than {0} bytes; name those that are not needed in .gitignore or .dockerignore"
    )]
    Bytes(u64),
    #[error(
        "packed, the folder is more than {0} bytes; name what is not needed in .gitignore or .dockerignore"
    )]
    Packed(u64),
    #[error("{} changed while it was read", .0.display())]
    Changed(PathBuf),
    #[error("cannot write the packed folder")]
    Write(#[source] io::Error),
}

/// A packed folder, in a file without a name that goes with this.
#[derive(Debug)]
pub struct Packed {
    pub(crate) file: File,
    /// Of the packed bytes, `sha256:<hex>`.
    pub digest: String,
    /// Packed bytes.
    pub size: u64,
    /// Files, folders and links in it.
    pub entries: usize,
}

/// Packs `folder` without `.git` and what `.gitignore` and `.dockerignore` name. Equal folders give equal digests.
/// Blocks.
///
/// # Errors
/// [`PackError`].
pub fn pack(folder: &Path, limits: &Limits) -> Result<Packed, PackError> {
    let entries = gather(folder, true, limits)?;
    let file = tempfile::tempfile().map_err(PackError::Write)?;
    let out = Hashing {
        inner: file,
        hash: Sha256::new(),
        written: 0,
        limit: limits.packed,
    };
    let mut encoder = GzEncoder::new(out, Compression::default());
    write_tar(folder, Path::new(""), &entries, &mut encoder).map_err(|error| too_long(error, limits))?;
    let finished = encoder.finish().map_err(PackError::Write);
    let mut out = finished.map_err(|error| too_long(error, limits))?;
    out.inner.rewind().map_err(PackError::Write)?;
    Ok(Packed {
        digest: format!("sha256:{}", hex(&out.hash.finalize())),
        size: out.written,
        entries: entries.len(),
        file: out.inner,
    })
}

fn too_long(error: PackError, limits: &Limits) -> PackError {
    match error {
        PackError::Write(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            PackError::Packed(limits.packed)
        }
        other => other,
    }
}

pub(crate) fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes `entries` of `folder` as an archive, below `prefix` within it: root's, of 1970, readable by all.
///
/// # Errors
/// [`PackError`].
pub fn write_tar(folder: &Path, prefix: &Path, entries: &[Entry], out: impl Write) -> Result<(), PackError> {
    let mut builder = Builder::new(out);
    for entry in entries {
        let inside = prefix.join(&entry.path);
        let mut header = Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        match &entry.kind {
            Kind::Folder => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                builder
                    .append_data(&mut header, &inside, io::empty())
                    .map_err(PackError::Write)?;
            }
            Kind::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                builder
                    .append_link(&mut header, &inside, target)
                    .map_err(PackError::Write)?;
            }
            Kind::File { size, executable } => {
                let place = folder.join(&entry.path);
                let file = File::open(&place).map_err(|error| PackError::Read(place.clone(), error))?;
                header.set_entry_type(EntryType::Regular);
                header.set_mode(if *executable { 0o755 } else { 0o644 });
                header.set_size(*size);
                let mut exact = Exact {
                    inner: file,
                    left: *size,
                    changed: false,
                };
                let written = builder.append_data(&mut header, &inside, &mut exact);
                if exact.changed || (written.is_ok() && exact.grew()) {
                    return Err(PackError::Changed(place));
                }
                written.map_err(PackError::Write)?;
            }
        }
    }
    builder.finish().map_err(PackError::Write)
}

/// Reads as many bytes as the archive has been told, and says if there are others.
struct Exact {
    inner: File,
    left: u64,
    changed: bool,
}

impl Exact {
    fn grew(&mut self) -> bool {
        !matches!(self.inner.read(&mut [0]), Ok(0))
    }
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(room) = buffer.get_mut(..most).filter(|room| !room.is_empty()) else {
            return Ok(0);
        };
        let read = self.inner.read(room)?;
        if read == 0 {
            self.changed = true;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

struct Hashing {
    inner: File,
    hash: Sha256,
    written: u64,
    limit: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written + bytes.len() as u64 > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = gather(folder, true, &Limits::default()).unwrap();
        entries
            .iter()
            .map(|entry| entry.path.display().to_string())
            .collect()
    }

    #[test]
    fn equal_folders_have_equal_digests() {
        let files = [("b", "2"), ("a/x", "1"), (".git/HEAD", "ref: x")];
        let (one, two) = (folder(&files), folder(&files));
        fs::write(two.path().join(".git/HEAD"), "other").unwrap();
        let pack_of = |folder: &Path| pack(folder, &Limits::default()).unwrap();
        let first = pack_of(one.path());
        assert_eq!(first.digest, pack_of(two.path()).digest);
        assert_eq!(first.entries, 3);
        fs::set_permissions(two.path().join("b"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(first.digest, pack_of(two.path()).digest);
    }

    #[test]
    fn what_is_ignored_stays_behind() {
        let folder = folder(&[
            (".gitignore", "target/\n*.log\n"),
            ("target/debug/app", "x"),
            ("a.log", "x"),
            ("sub/.gitignore", "!b.log\n"),
            ("sub/b.log", "x"),
            ("sub/c.log", "x"),
            (".dockerignore", "docs\n!docs/api\nDockerfile\nonly\n"),
            ("docs/guide", "x"),
            ("docs/api", "x"),
            ("only/this", "x"),
            ("Dockerfile", "FROM scratch"),
        ]);
        assert_eq!(
            names(folder.path()),
            [
                ".dockerignore",
                ".gitignore",
                "Dockerfile",
                "docs",
                "docs/api",
                "sub",
                "sub/.gitignore",
                "sub/b.log"
            ]
        );
    }

    #[test]
    fn links_that_lead_out_and_too_much_are_refused() {
        let source = folder(&[("a", "12345"), ("b", "12345")]);
        symlink("a", source.path().join("inside")).unwrap();
        let limits = Limits::default();
        assert!(pack(source.path(), &limits).is_ok());
        for limits in [
            Limits { entries: 2, ..limits },
            Limits { bytes: 9, ..limits },
            Limits { packed: 20, ..limits },
        ] {
            assert!(pack(source.path(), &limits).is_err(), "{limits:?}");
        }
        symlink("/etc/passwd", source.path().join("outside")).unwrap();
        assert!(matches!(pack(source.path(), &limits), Err(PackError::Link(_))));
    }
}
