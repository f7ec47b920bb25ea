//! Reading container logs: the files of a run as one stream of bytes, from a line or a time on, and onwards.

mod follow;
mod record;
mod tail;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;

use follow::Changes;
use record::Record;

use crate::shim::EXIT_FILE;

/// Pieces of log that may wait for a slow reader.
const QUEUE: usize = 16;
/// Read at a time.
const CHUNK: usize = 64 * 1024;

/// Which part of a log to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Keep sending as the container writes, until it ends.
    pub follow: bool,
    /// The log of the previous run of the container.
    pub previous: bool,
    /// Start each line with the time it was written at.
    pub timestamps: bool,
    /// Only the last so many lines.
    pub tail_lines: Option<u64>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
    /// Only lines younger than this many seconds.
    pub since_seconds: Option<u64>,
    /// Only lines written at or after this time.
    pub since_time: Option<Timestamp>,
}

/// A log as it is sent: pieces of text, in order.
pub type LogStream = BoxStream<'static, io::Result<Bytes>>;

/// The files of a run, in order. `base` is what the shim was given.
fn files(base: &Path) -> Vec<(u32, PathBuf)> {
    let (Some(dir), Some(name)) = (base.parent(), base.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let number = |file: &str| {
        file.strip_prefix(name)?
            .strip_prefix('.')?
            .strip_suffix(".log")?
            .parse()
            .ok()
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path())))
        .collect();
    found.sort();
    found
}

/// The runs of a container that have a log, by the directory that holds them.
pub(crate) fn runs(container_dir: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(container_dir) else {
        return Vec::new();
    };
    let run = |name: &str| name.split('.').next()?.parse().ok();
    let mut found: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| run(entry.file_name().to_str()?))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Deletes the files of a run.
pub(crate) fn remove(base: &Path) {
    for (_, file) in files(base) {
        let _ = std::fs::remove_file(file);
    }
}

/// The last lines of a run's log as text, for messages.
pub(crate) fn tail_text(base: &Path, lines: usize, bytes: usize) -> String {
    let mut kept: VecDeque<u8> = VecDeque::new();
    let (number, offset) = tail::start(base, lines as u64);
    for (file, path) in files(base).into_iter().filter(|(file, _)| *file >= number) {
        let text = std::fs::read(path).unwrap_or_default();
        let text = text
            .get(if file == number { offset as usize } else { 0 }..)
            .unwrap_or_default();
        for record in text
            .split_inclusive(|&byte| byte == b'\n')
            .filter_map(Record::parse)
        {
            kept.extend(record.text());
            if record.is_full {
                kept.push_back(b'\n');
            }
        }
        let surplus = kept.len().saturating_sub(bytes);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(kept.make_contiguous()).into_owned()
}

/// Sends the log of a run. `run_dir` is where the shim records the run's end.
pub(crate) fn stream(base: PathBuf, run_dir: PathBuf, options: LogOptions) -> LogStream {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let mut reader = Reader::new(base, run_dir, options);
        tokio::select! {
            // A reader that went away must not leave a task waiting for output that never comes.
            () = sender.closed() => {}
            result = reader.run(&sender) => if let Err(error) = result {
                let _ = sender.send(Err(error)).await;
            }
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    })
    .boxed()
}

struct Reader {
    base: PathBuf,
    run_dir: PathBuf,
    options: LogOptions,
    since: Option<Timestamp>,
    left: u64,
    at_line_start: bool,
    pending: Vec<u8>,
}

impl Reader {
    fn new(base: PathBuf, run_dir: PathBuf, options: LogOptions) -> Self {
        let seconds = options
            .since_seconds
            .and_then(|seconds| i64::try_from(seconds).ok());
        let by_age = seconds.and_then(|seconds| {
            Timestamp::now()
                .checked_sub(SignedDuration::from_secs(seconds))
                .ok()
        });
        let since = options.since_time.or(by_age);
        let left = options.limit_bytes.unwrap_or(u64::MAX);
        Self {
            base,
            run_dir,
            options,
            since,
            left,
            at_line_start: true,
            pending: Vec::new(),
        }
    }

    async fn run(&mut self, sender: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
        // Before the first look at the files, so that no change between the two is missed.
        let mut changes = match self.options.follow {
            true => Some(Changes::of(&[
                self.base.parent().unwrap_or(&self.run_dir),
                &self.run_dir,
            ])?),
            false => None,
        };
        let (mut number, mut offset) = match self.options.tail_lines {
            Some(lines) => {
                let base = self.base.clone();
                tokio::task::spawn_blocking(move || tail::start(&base, lines))
                    .await
                    .map_err(io::Error::other)?
            }
            None => (files(&self.base).first().map_or(0, |(number, _)| *number), 0),
        };
        loop {
            // Asked before reading: what was written before the end is then read for certain.
            let ended = self.has_ended();
            let newest = files(&self.base).last().map_or(number, |(newest, _)| *newest);
            offset = self.send_file(number, offset, sender).await?;
            if self.left == 0 {
                return Ok(());
            }
            if newest > number {
                let oldest = files(&self.base).first().map_or(newest, |(oldest, _)| *oldest);
                (number, offset) = ((number + 1).max(oldest), 0);
                continue;
            }
            match &mut changes {
                Some(changes) if !ended => changes.wait().await?,
                _ => return Ok(()),
            }
        }
    }

    fn has_ended(&self) -> bool {
        !self.run_dir.exists() || self.run_dir.join(EXIT_FILE).exists()
    }

    /// Sends a file from an offset to its end and returns where that is.
    async fn send_file(
        &mut self,
        number: u32,
        mut offset: u64,
        sender: &mpsc::Sender<io::Result<Bytes>>,
    ) -> io::Result<u64> {
        let path = files(&self.base)
            .into_iter()
            .find(|(known, _)| *known == number)
            .map(|(_, path)| path);
        let Some(path) = path else { return Ok(offset) };
        let mut file = match tokio::fs::File::open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(offset),
            Err(error) => return Err(error),
        };
        file.seek(io::SeekFrom::Start(offset)).await?;
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = file.read(&mut chunk).await?;
            if length == 0 || self.left == 0 {
                return Ok(offset);
            }
            offset += length as u64;
            self.pending.extend(chunk.iter().take(length));
            let text = self.render();
            if !text.is_empty() && sender.send(Ok(Bytes::from(text))).await.is_err() {
                self.left = 0;
            }
        }
    }

    /// Turns complete records into what the client sees.
    fn render(&mut self) -> Vec<u8> {
        let Some(end) = self.pending.iter().rposition(|&byte| byte == b'\n') else {
            return Vec::new();
        };
        let complete: Vec<u8> = self.pending.drain(..=end).collect();
        let mut text = Vec::with_capacity(complete.len());
        for record in complete
            .split_inclusive(|&byte| byte == b'\n')
            .filter_map(Record::parse)
        {
            if self
                .since
                .is_some_and(|since| record.time().is_some_and(|time| time < since))
            {
                continue;
            }
            if self.options.timestamps && self.at_line_start {
                text.extend_from_slice(record.time_text());
                text.push(b' ');
            }
            text.extend_from_slice(record.text());
            if record.is_full {
                text.push(b'\n');
            }
            self.at_line_start = record.is_full;
        }
        text.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= text.len() as u64;
        text
    }
}

#[cfg(test)]
mod tests;
