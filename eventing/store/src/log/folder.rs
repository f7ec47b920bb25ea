//! The folder of a store: its lock, its format, its secret.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::block::Salt;
use crate::StoreError;

/// First word of the format file. Stores of another version are refused, not guessed at.
const FORMAT: &str = "spindrift-event-log-1";

/// An open folder. No other process can open it before this is dropped.
pub struct Folder {
    /// Where it is.
    pub root: PathBuf,
    /// Its secret.
    pub salt: Salt,
    _lock: File,
}

impl Folder {
    /// Opens or makes a folder.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let failed = |what: &str, error| StoreError::io(format!("{what} {}", root.display()), error);
        let made = std::fs::create_dir_all(root.join("topics")).and_then(|()| sync_parent(root));
        made.map_err(|error| failed("cannot make", error))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"));
        let lock = lock.map_err(|error| failed("cannot open the lock of", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(root.display().to_string())),
            Err(TryLockError::Error(error)) => return Err(failed("cannot lock", error)),
        }
        let salt = match std::fs::read_to_string(root.join("format")) {
            Ok(text) => read_format(&text).ok_or_else(|| {
                StoreError::Damaged(format!(
                    "{} is not of this version, or damaged: its first word should be {FORMAT}",
                    root.join("format").display()
                ))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let salt = Salt(rand::random());
                let made = replace(&root.join("format"), write_format(salt).as_bytes());
                made.map_err(|error| failed("cannot write the format of", error))?;
                salt
            }
            Err(error) => return Err(failed("cannot read the format of", error)),
        };
        Ok(Self {
            root: root.to_owned(),
            salt,
            _lock: lock,
        })
    }

    /// Where the segments of all topics are.
    pub fn topics(&self) -> PathBuf {
        self.root.join("topics")
    }
}

/// The secret is written three times, so that a flipped bit does not cost the store.
fn write_format(salt: Salt) -> String {
    let line = format!("{:016x} {:08x}\n", salt.0, salt.checksum(b"format"));
    format!("{FORMAT}\n{line}{line}{line}")
}

fn read_format(text: &str) -> Option<Salt> {
    let (_, lines) = text.split_once('\n').filter(|(first, _)| *first == FORMAT)?;
    lines.lines().find_map(|line| {
        let (salt, checksum) = line.split_once(' ')?;
        let salt = Salt(u64::from_str_radix(salt, 16).ok()?);
        (u32::from_str_radix(checksum, 16) == Ok(salt.checksum(b"format"))).then_some(salt)
    })
}

/// Writes a file so that after a crash either all of it is there or the old one. The open file is at its end.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let beside = path.with_extension("new");
    let written = (|| -> io::Result<File> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        Ok(file)
    })();
    if written.is_err() {
        drop(std::fs::remove_file(&beside));
    }
    let file = written?;
    sync_parent(path)?;
    Ok(file)
}

/// Makes the names in the folder of `path` durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_the_secret_stays() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let salt = folder.salt;
        assert!(matches!(Folder::open(place.path()), Err(StoreError::InUse(_))));
        drop(folder);
        assert_eq!(Folder::open(place.path()).unwrap().salt, salt);
    }

    #[test]
    fn the_format_survives_a_flipped_bit_in_the_secret() {
        let text = write_format(Salt(0xfeed));
        for at in FORMAT.len() + 1..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(
                read_format(&String::from_utf8(bytes).unwrap()),
                Some(Salt(0xfeed)),
                "{at}"
            );
        }
        assert_eq!(read_format(&text.replace("log-1", "log-2")), None);
    }
}
