//! An archive of somebody's into a folder: nothing outside of it is touched, whatever the archive says.

mod metered;

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use crate::Limits;
use crate::link::{self, LinkError};
use metered::Metered;

/// Bytes of the headers of one entry, with the long names and attributes that may go before it: they are held in memory.
const HEADERS: u64 = 128 << 10;
/// Bytes of headers that entries have on average, at most.
const USUAL_HEADERS: u64 = 4 << 10;

/// Why an archive is not unpacked any further.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("the archive is damaged")]
    Damaged(#[source] io::Error),
    #[error("{0:?} in the archive is not a path within a folder")]
    Path(String),
    #[error("{0} in the archive is neither a file nor a folder nor a symbolic link")]
    Special(String),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{0} in the archive lies behind a link, or is there twice")]
    Twice(String),
    #[error("the archive has more than {0} entries")]
    Entries(usize),
    #[error("the archive has more than {0} bytes of files")]
    Bytes(u64),
    #[error(
        "the archive has too many bytes that are of no file: long names, attributes, or what is behind folders and links"
    )]
    Headers,
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

/// Unpacks a compressed archive into `folder`, which must be empty and nobody else's. Returns how many entries there
/// were. Blocks.
///
/// # Errors
/// [`UnpackError`]; what has been written by then is to be thrown away.
pub fn unpack(packed: impl Read, folder: &Path, limits: &Limits) -> Result<usize, UnpackError> {
    let (reader, meter) = Metered::new(MultiGzDecoder::new(packed));
    let mut archive = Archive::new(reader);
    let damaged = |error| match meter.is_used_up() {
        true => UnpackError::Headers,
        false => UnpackError::Damaged(error),
    };
    let mut left = limits.bytes;
    let mut headers_left = USUAL_HEADERS.saturating_mul(limits.entries as u64 + 1);
    let mut count = 0;
    let mut entries = archive.entries().map_err(UnpackError::Damaged)?;
    loop {
        let allowed = HEADERS.min(headers_left);
        meter.allow(allowed);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(damaged)?;
        headers_left -= allowed - meter.left();
        count += 1;
        if count > limits.entries {
            return Err(UnpackError::Entries(limits.entries));
        }
        let named = entry.path().map_err(UnpackError::Damaged)?.into_owned();
        let Some(path) = plain(&named)? else { continue };
        let place = folder.join(&path);
        parents(folder, &path)?;
        let failed = |error| write_error(&path, &place, error);
        match entry.header().entry_type() {
            EntryType::Directory => make_folder(&place).map_err(failed)?,
            EntryType::Regular | EntryType::Continuous => {
                let mode = if entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0) {
                    0o755
                } else {
                    0o644
                };
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .open(&place)
                    .map_err(failed)?;
                // One more than is left: that it is there says that it is too much.
                let wanted = left.saturating_add(1);
                // A sparse file has more headers before its content.
                meter.allow(wanted.saturating_add(HEADERS));
                let mut bounded = (&mut entry).take(wanted);
                let written = io::copy(&mut bounded, &mut file).map_err(failed)?;
                left = left
                    .checked_sub(written)
                    .ok_or(UnpackError::Bytes(limits.bytes))?;
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(UnpackError::Damaged)?;
                let target = target.ok_or_else(|| UnpackError::Path(path.display().to_string()))?;
                link::check(&path, &target)?;
                symlink(&target, &place).map_err(failed)?;
            }
            EntryType::XGlobalHeader => {}
            _ => return Err(UnpackError::Special(path.display().to_string())),
        }
    }
    Ok(count)
}

/// The path without `.`; `None` for the folder itself.
fn plain(named: &Path) -> Result<Option<PathBuf>, UnpackError> {
    let mut path = PathBuf::new();
    for component in named.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            _ => return Err(UnpackError::Path(named.display().to_string())),
        }
    }
    Ok((!path.as_os_str().is_empty()).then_some(path))
}

/// Makes the folders above `path`; none of them may be a link, or what follows would be written elsewhere.
fn parents(folder: &Path, path: &Path) -> Result<(), UnpackError> {
    let mut place = folder.to_path_buf();
    for component in path.parent().into_iter().flat_map(Path::components) {
        place.push(component);
        make_folder(&place).map_err(|error| write_error(path, &place, error))?;
    }
    Ok(())
}

/// Makes a folder unless one, and no link to one, is there.
fn make_folder(place: &Path) -> io::Result<()> {
    match fs::create_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match fs::symlink_metadata(place)?.is_dir() {
                true => Ok(()),
                false => Err(error),
            }
        }
        other => other,
    }
}

fn write_error(path: &Path, place: &Path, error: io::Error) -> UnpackError {
    match error.kind() {
        io::ErrorKind::AlreadyExists => UnpackError::Twice(path.display().to_string()),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => UnpackError::Damaged(error),
        _ => UnpackError::Write(place.to_path_buf(), error),
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use tar::{Builder, Header};

    use super::*;

    enum What<'a> {
        File(&'a str),
        Link(&'a str),
        Hard(&'a str),
        Device,
    }

    fn archive(entries: &[(&str, What<'_>)]) -> Vec<u8> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, what) in entries {
            let mut header = Header::new_gnu();
            // Written past the library, which refuses such names.
            let bytes = &mut header.as_gnu_mut().unwrap().name;
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            header.set_mode(0o755);
            header.set_size(0);
            let (kind, target, content) = match what {
                What::File(content) => (EntryType::Regular, "", *content),
                What::Link(target) => (EntryType::Symlink, *target, ""),
                What::Hard(target) => (EntryType::Link, *target, ""),
                What::Device => (EntryType::Char, "", ""),
            };
            header.set_entry_type(kind);
            header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn nothing_outside_is_touched() {
        use What::{Device, File, Hard, Link};
        let table: Vec<(Vec<(&str, What<'_>)>, &str)> = vec![
            (vec![("../x", File("x"))], "not a path"),
            (vec![("/x", File("x"))], "not a path"),
            (vec![("a/../../x", File("x"))], "not a path"),
            (vec![("a", Link("/tmp")), ("a/x", File("x"))], "leads out"),
            (vec![("a", Link("..")), ("a/x", File("x"))], "leads out"),
            (
                vec![("b/y", File("")), ("a", Link("b")), ("a/x", File("x"))],
                "behind a link",
            ),
            (vec![("b", File("")), ("a", Link("b")), ("a", File("x"))], "twice"),
            (vec![("d/l", Link("..")), ("m", Link("d/l/.."))], "goes back up"),
            (vec![("a", Hard("/etc/passwd"))], "neither"),
            (vec![("a", Device)], "neither"),
            (
                vec![("a", File("12345")), ("b", File("12345"))],
                "more than 9 bytes",
            ),
            (
                vec![("a", File("")), ("b", File("")), ("c", File("")), ("d", File(""))],
                "more than 3 entries",
            ),
        ];
        let limits = Limits {
            entries: 3,
            bytes: 9,
            packed: 0,
        };
        for (entries, expected) in table {
            let around = tempfile::tempdir().unwrap();
            let folder = around.path().join("folder");
            fs::create_dir(&folder).unwrap();
            let error = unpack(archive(&entries).as_slice(), &folder, &limits).unwrap_err();
            assert!(error.to_string().contains(expected), "{error} is not {expected}");
            assert_eq!(fs::read_dir(around.path()).unwrap().count(), 1, "{expected}");
        }
    }

    /// A header of `kind` with `size` zeros behind it, and a file.
    fn with_ballast(kind: EntryType, size: u64) -> Vec<u8> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path("ballast").unwrap();
        header.set_mode(0o755);
        header.set_size(size);
        header.set_cksum();
        builder.append(&header, io::repeat(0).take(size)).unwrap();
        header.set_entry_type(EntryType::Regular);
        header.set_path("file").unwrap();
        header.set_size(1);
        header.set_cksum();
        builder.append(&header, b"x".as_slice()).unwrap();
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn what_is_packed_well_is_not_unpacked_without_end() {
        let kinds = [
            EntryType::XHeader,
            EntryType::XGlobalHeader,
            EntryType::GNULongName,
            EntryType::GNULongLink,
            EntryType::Directory,
        ];
        for kind in kinds {
            let packed = with_ballast(kind, 64 << 20);
            assert!(packed.len() < 1 << 20, "{}", packed.len());
            let folder = tempfile::tempdir().unwrap();
            let error = unpack(packed.as_slice(), folder.path(), &Limits::default()).unwrap_err();
            assert!(matches!(error, UnpackError::Headers), "{kind:?}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            bytes: 1 << 20,
            ..Limits::default()
        };
        let packed = with_ballast(EntryType::Regular, 64 << 20);
        let error = unpack(packed.as_slice(), folder.path(), &limits).unwrap_err();
        assert!(matches!(error, UnpackError::Bytes(_)), "{error}");
        assert!(fs::metadata(folder.path().join("ballast")).unwrap().len() <= (1 << 20) + 1);
        // Many small ones add up.
        let limits = Limits {
            entries: 10,
            ..Limits::default()
        };
        let packed = with_ballast(EntryType::Directory, 60 << 10);
        let error = unpack(packed.as_slice(), tempfile::tempdir().unwrap().path(), &limits).unwrap_err();
        assert!(matches!(error, UnpackError::Headers), "{error}");
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let source = tempfile::tempdir().unwrap();
        fs::create_dir(source.path().join("deep")).unwrap();
        let long = "n".repeat(150);
        fs::write(source.path().join("deep").join(&long), "content").unwrap();
        symlink(format!("deep/{long}"), source.path().join("link")).unwrap();
        let packed = crate::pack(source.path(), &Limits::default()).unwrap();
        let target = tempfile::tempdir().unwrap();
        let count = unpack(&packed.file, target.path(), &Limits::default()).unwrap();
        assert_eq!(count, 3);
        assert_eq!(fs::read_to_string(target.path().join("link")).unwrap(), "content");
        let again = crate::pack(target.path(), &Limits::default()).unwrap();
        assert_eq!(again.digest, packed.digest);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let folder = tempfile::tempdir().unwrap();
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            io::Write::write_all(&mut encoder, &bytes).unwrap();
            let _ = unpack(encoder.finish().unwrap().as_slice(), folder.path(), &Limits::default());
            let _ = unpack(bytes.as_slice(), folder.path(), &Limits::default());
        }
    }
}
