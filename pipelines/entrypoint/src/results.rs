//! Results as users write them: one file each.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::message::{Kind, MOST, Record};

/// The results that are there. One that nobody wrote is no result; trailing newlines are the user's.
pub(crate) fn read(folder: &Path, names: &[String], kind: Kind) -> Vec<Record> {
    names
        .iter()
        .filter_map(|name| Some(Record::new(kind, name, read_one(&folder.join(name))?)))
        .collect()
}

/// At most a little more than all results may have: what is beyond is refused anyway, and must not fill the memory.
pub(crate) fn read_one(path: &Path) -> Option<String> {
    // Opening a named pipe would wait for a writer that never comes.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(MOST + 1).unwrap_or(u64::MAX);
    File::open(path).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_results_are_read_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "x\n").unwrap();
        std::fs::write(folder.path().join("big"), "y".repeat(MOST * 2)).unwrap();
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        let names = ["a", "absent", "folder", "big"].map(str::to_owned);
        let records = read(folder.path(), &names, Kind::TaskResult);
        assert_eq!(records.len(), 2);
        assert_eq!(records[0], Record::new(Kind::TaskResult, "a", "x\n"));
        assert_eq!(records[1].value.len(), MOST + 1);
    }
}
