//! Container output as CRI log lines: `<time> <stream> <P|F> <text>`.
//!
//! Output is hostile input: a line without end, binary data and floods must cost bounded memory and bounded disk. A
//! line is cut into partial (`P`) records of at most 16 KiB, and a run keeps a fixed number of files of a fixed size.
//! Files are numbered upwards and never renamed, so a reader that follows them never loses its place.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Longest text of one record (the CRI runtimes' own limit).
const MAX_RECORD_BYTES: usize = 16 * 1024;

/// Which of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Cuts one stream into records. Pure; the writer takes the bytes to disk.
#[derive(Debug)]
pub(super) struct Lines {
    stream: Stream,
    pending: Vec<u8>,
}

impl Lines {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    /// Adds output and appends the finished records to `records`.
    pub(super) fn push(&mut self, output: &[u8], now: Timestamp, records: &mut Vec<u8>) {
        for piece in output.split_inclusive(|&byte| byte == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.take(text, now, records);
            if ended {
                self.emit('F', now, records);
            }
        }
    }

    /// The last line, when the stream ended without a newline.
    pub(super) fn finish(&mut self, now: Timestamp, records: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            self.emit('F', now, records);
        }
    }

    fn take(&mut self, mut text: &[u8], now: Timestamp, records: &mut Vec<u8>) {
        while self.pending.len() + text.len() > MAX_RECORD_BYTES {
            let (head, rest) = text.split_at(MAX_RECORD_BYTES.saturating_sub(self.pending.len()));
            self.pending.extend_from_slice(head);
            self.emit('P', now, records);
            text = rest;
        }
        self.pending.extend_from_slice(text);
    }

    fn emit(&mut self, tag: char, now: Timestamp, records: &mut Vec<u8>) {
        // Writing into memory cannot fail.
        let _ = write!(records, "{now:.9} {} {tag} ", self.stream.name());
        records.append(&mut self.pending);
        records.push(b'\n');
    }
}

/// The numbered files of one container run.
#[derive(Debug)]
pub(super) struct LogFiles {
    base: PathBuf,
    max_bytes: u64,
    max_files: u32,
    number: u32,
    written: u64,
    file: Option<File>,
    /// Bytes lost because the disk refused them.
    pub(super) dropped: u64,
}

impl LogFiles {
    /// Opens the first file, so that a follower finds it even before the first line.
    pub(super) fn open(base: PathBuf, max_bytes: u64, max_files: u32) -> Self {
        let mut files = Self {
            base,
            max_bytes,
            max_files: max_files.max(1),
            number: 0,
            written: 0,
            file: None,
            dropped: 0,
        };
        files.file = files.open_current();
        files
    }

    /// The path of one file of a run.
    pub(super) fn path(base: &Path, number: u32) -> PathBuf {
        let mut name = base.as_os_str().to_owned();
        name.push(format!(".{number:06}.log"));
        PathBuf::from(name)
    }

    fn open_current(&self) -> Option<File> {
        if let Some(parent) = self.base.parent() {
            let _ = std::fs::create_dir_all(parent);
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(Self::path(&self.base, self.number))
            .ok()
    }

    /// Writes whole records; starts the next file when this one is full.
    pub(super) fn write(&mut self, records: &[u8]) {
        if records.is_empty() {
            return;
        }
        if self.written > 0 && self.written + records.len() as u64 > self.max_bytes {
            self.rotate();
        }
        if self.file.is_none() {
            self.file = self.open_current();
        }
        match self.file.as_mut().map(|file| file.write_all(records)) {
            Some(Ok(())) => self.written += records.len() as u64,
            _ => self.dropped += records.len() as u64,
        }
    }

    fn rotate(&mut self) {
        self.number += 1;
        self.written = 0;
        self.file = self.open_current();
        if let Some(oldest) = self.number.checked_sub(self.max_files) {
            let _ = std::fs::remove_file(Self::path(&self.base, oldest));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1).unwrap()
    }

    fn records(pieces: &[&[u8]]) -> String {
        let (mut lines, mut out) = (Lines::new(Stream::Stdout), Vec::new());
        for piece in pieces {
            lines.push(piece, now(), &mut out);
        }
        lines.finish(now(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn joins_pieces_into_lines() {
        assert_eq!(
            records(&[b"a\nb", b"c\n\nlast"]),
            "1970-01-01T00:00:01.000000000Z stdout F a\n1970-01-01T00:00:01.000000000Z stdout F bc\n\
             1970-01-01T00:00:01.000000000Z stdout F \n1970-01-01T00:00:01.000000000Z stdout F last\n"
        );
    }

    #[test]
    fn cuts_an_endless_line_into_partial_records() {
        let long = vec![b'x'; MAX_RECORD_BYTES * 2 + 5];
        let text = records(&[&long, b"\n"]);
        let tags: Vec<&str> = text.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
        assert_eq!(tags, ["P", "P", "F"]);
        assert!(text.lines().all(|line| line.len() <= MAX_RECORD_BYTES + 64));
    }

    #[test]
    fn keeps_a_fixed_number_of_files() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("logs/0");
        let mut files = LogFiles::open(base.clone(), 100, 3);
        for _ in 0..50 {
            files.write(&[b'y'; 60]);
        }
        let mut names: Vec<_> = std::fs::read_dir(dir.path().join("logs"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["0.000047.log", "0.000048.log", "0.000049.log"]);
        assert_eq!(LogFiles::path(&base, 49).metadata().unwrap().len(), 60);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_invented(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40_000), 0..5)) {
            let (mut lines, mut out) = (Lines::new(Stream::Stderr), Vec::new());
            for piece in &pieces {
                lines.push(piece, now(), &mut out);
            }
            lines.finish(now(), &mut out);
            let mut text = Vec::new();
            let prefix = "1970-01-01T00:00:01.000000000Z stderr ".len();
            for record in out.split_inclusive(|&byte| byte == b'\n') {
                let body = &record[prefix + 2..];
                let full = record[prefix] == b'F';
                text.extend_from_slice(if full { body } else { &body[..body.len() - 1] });
            }
            let mut wanted = pieces.concat();
            if wanted.last().is_some_and(|&byte| byte != b'\n') {
                wanted.push(b'\n');
            }
            prop_assert_eq!(text, wanted);
        }
    }
}
