//! Where the last lines of a log begin, found from the end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::files;

/// Read at a time.
const BLOCK: u64 = 64 * 1024;

/// File number and offset from which on there are at most `lines` records.
pub(super) fn start(base: &Path, lines: u64) -> (u32, u64) {
    let files = files(base);
    let mut wanted = lines;
    let newest = files
        .last()
        .map_or((0, 0), |(number, path)| (*number, length(path)));
    if lines == 0 {
        return newest;
    }
    let mut position = newest;
    for (number, path) in files.iter().rev() {
        match last_lines(path, wanted) {
            Some((offset, found)) => {
                position = (*number, offset);
                if found >= wanted {
                    return position;
                }
                wanted -= found;
            }
            None => return position,
        }
    }
    position
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Offset of the last `wanted` lines of a file, and how many there are.
fn last_lines(path: &Path, wanted: u64) -> Option<(u64, u64)> {
    let mut file = File::open(path).ok()?;
    let mut end = file.seek(SeekFrom::End(0)).ok()?;
    // The newline at the very end closes the last line, it does not begin another one.
    let mut newlines = 0;
    let mut at_end = true;
    let mut block = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(begin)).ok()?;
        block.clear();
        (&mut file).take(end - begin).read_to_end(&mut block).ok()?;
        for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if std::mem::take(&mut at_end) {
                continue;
            }
            newlines += 1;
            if newlines == wanted {
                return Some((begin + index as u64 + 1, wanted));
            }
        }
        end = begin;
    }
    let lines = if at_end { 0 } else { newlines + 1 };
    Some((0, lines))
}
