//! Files that change all at once: a reader sees either the old content of the whole volume or the new one.
//!
//! The layout is kubelet's (pkg/volume/util/atomic_writer.go), because programs watch it: files are in a directory
//! with a time in its name, `..data` links to that directory, and each visible name links through `..data`.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use jiff::Timestamp;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// A file's content and rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
    /// Stays root's without.
    pub(super) owner: Option<u32>,
}

/// Brings the directory's content to `files`; does nothing when it is that already. Paths are relative and were
/// checked not to leave the directory.
pub(super) fn write(dir: &Path, files: &BTreeMap<String, File>, group: Option<u32>) -> io::Result<()> {
    let current = std::fs::read_link(dir.join(DATA)).ok();
    if let Some(current) = &current
        && is_current(&dir.join(current), files)
    {
        return Ok(());
    }
    let now = Timestamp::now();
    let name = format!(
        "..{}.{:09}",
        now.strftime("%Y_%m_%d_%H_%M_%S"),
        now.subsec_nanosecond()
    );
    write_files(&dir.join(&name), files, group)?;
    let _ = std::fs::remove_file(dir.join(NEW_DATA));
    symlink(&name, dir.join(NEW_DATA))?;
    std::fs::rename(dir.join(NEW_DATA), dir.join(DATA))?;
    let visible: Vec<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for entry in std::fs::read_dir(dir)?.flatten() {
        let known = entry.file_name();
        let stale =
            !visible.iter().any(|name| **name == *known) && !known.to_string_lossy().starts_with("..");
        if stale {
            std::fs::remove_file(entry.path())?;
        }
    }
    for name in visible {
        let link = dir.join(name);
        if std::fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), link)?;
        }
    }
    if let Some(old) = current {
        let _ = std::fs::remove_dir_all(dir.join(old));
    }
    Ok(())
}

fn write_files(dir: &Path, files: &BTreeMap<String, File>, group: Option<u32>) -> io::Result<()> {
    std::fs::create_dir(dir)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))?;
    for (path, file) in files {
        let target = dir.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&target, &file.bytes)?;
        chown(&target, file.owner, group)?;
        let mode = match group {
            Some(_) => file.mode | 0o440,
            None => file.mode,
        };
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn is_current(dir: &Path, files: &BTreeMap<String, File>) -> bool {
    let same =
        |(path, file): (&String, &File)| std::fs::read(dir.join(path)).is_ok_and(|bytes| bytes == file.bytes);
    files.iter().all(same) && count(dir) == files.len()
}

fn count(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => count(&entry.path()),
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn content(entries: &[(&str, &str)]) -> BTreeMap<String, File> {
        let file = |text: &str| File {
            bytes: text.as_bytes().to_vec(),
            mode: 0o640,
            owner: None,
        };
        entries
            .iter()
            .map(|(path, text)| ((*path).to_owned(), file(text)))
            .collect()
    }

    #[test]
    fn updates_swap_the_whole_content() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).ok();
        write(
            dir.path(),
            &content(&[("a", "1"), ("d/b", "2"), ("d/c", "3")]),
            None,
        )
        .unwrap();
        assert_eq!(
            (read("a").as_deref(), read("d/b").as_deref()),
            (Some("1"), Some("2"))
        );
        assert_eq!(
            std::fs::read_link(dir.path().join("a")).unwrap(),
            Path::new("..data/a")
        );
        assert_eq!(dir.path().join("a").metadata().unwrap().mode() & 0o777, 0o640);
        let first = std::fs::read_link(dir.path().join(DATA)).unwrap();

        write(
            dir.path(),
            &content(&[("a", "1"), ("d/b", "2"), ("d/c", "3")]),
            None,
        )
        .unwrap();
        assert_eq!(
            std::fs::read_link(dir.path().join(DATA)).unwrap(),
            first,
            "nothing changed"
        );

        write(dir.path(), &content(&[("a", "new"), ("e", "4")]), None).unwrap();
        assert_eq!(
            (read("a").as_deref(), read("e").as_deref()),
            (Some("new"), Some("4"))
        );
        assert!(read("d/b").is_none() && std::fs::symlink_metadata(dir.path().join("d")).is_err());
        assert!(!dir.path().join(first).exists());

        write(dir.path(), &content(&[]), None).unwrap();
        assert!(read("a").is_none() && dir.path().join(DATA).exists());
    }
}
