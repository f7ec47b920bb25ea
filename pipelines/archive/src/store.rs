//! What is kept on disk: compressed pieces of text by kind, namespace, name and id, bounded in bytes, entries and age.
//!
//! ```text
//! <folder>/<pipelineruns|taskruns|pods>/<namespace>/<name>_<id>.gz
//! ```
//! A piece is written beside, made durable, and moved to its place, so that it is there as a whole or not at all. The
//! time of a piece is that of its file. Only this process may write: the folder is locked.

mod index;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

use crate::metrics::{BYTES, BYTES_LIMIT, DROPPED, ENTRIES, ENTRIES_LIMIT, WRITTEN};
use index::Index;

/// Where pieces are written before they are moved.
const TEMPORARY: &str = "tmp";
/// End of the names of files.
const END: &str = ".gz";
/// When something has to go, so much goes that not each of the next pieces has to make room, in percent of the bound.
const DOWN_TO: u64 = 95;

/// What pieces are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    PipelineRun,
    TaskRun,
    /// The log of a pod.
    Pod,
}

impl Kind {
    const ALL: [Self; 3] = [Self::PipelineRun, Self::TaskRun, Self::Pod];

    /// As folders and paths have it.
    pub fn plural(self) -> &'static str {
        match self {
            Self::PipelineRun => "pipelineruns",
            Self::TaskRun => "taskruns",
            Self::Pod => "pods",
        }
    }
}

/// What a piece is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

/// A piece that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub subject: Subject,
    /// Tells pieces of the same name apart.
    pub id: String,
    /// Bytes on disk.
    pub size: u64,
    /// When it was written.
    pub written: SystemTime,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes on disk.
    pub bytes: u64,
    pub entries: usize,
    pub age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            entries: 50_000,
            age: Duration::from_secs(30 * 86_400),
        }
    }
}

/// How full it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub entries: usize,
}

/// Why something cannot be kept, or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
    #[error("another process uses {0}")]
    Locked(String),
    #[error("{0:?} is no name that can be kept")]
    Name(String),
    #[error("{0} bytes are more than may be kept at all: {1}")]
    TooMuch(u64, u64),
}

impl StoreError {
    fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io(path.display().to_string(), error)
    }
}

/// Pieces of text on disk. What it does blocks.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    bounds: Bounds,
    index: Mutex<Index>,
    /// Numbers temporary files.
    next: AtomicU64,
    /// Keeps other processes away.
    _lock: File,
}

impl Store {
    /// Opens or makes the store in `folder`, which only this user may look into.
    ///
    /// # Errors
    /// Another process has it, or it cannot be read.
    pub fn open(folder: &Path, bounds: Bounds) -> Result<Self, StoreError> {
        let temporary = folder.join(TEMPORARY);
        make_folder(&temporary)?;
        let path = folder.join("lock");
        let lock = open_options()
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::at(&path))?;
        lock.try_lock()
            .map_err(|_| StoreError::Locked(folder.display().to_string()))?;
        // What was being written when the process ended.
        for file in list(&temporary)? {
            fs::remove_file(&file).map_err(StoreError::at(&file))?;
        }
        let store = Self {
            folder: folder.to_owned(),
            bounds,
            index: Mutex::new(Index::default()),
            next: AtomicU64::new(0),
            _lock: lock,
        };
        store.scan()?;
        BYTES_LIMIT.set(i64::try_from(bounds.bytes).unwrap_or(i64::MAX));
        ENTRIES_LIMIT.set(i64::try_from(bounds.entries).unwrap_or(i64::MAX));
        store.make_room();
        store.report();
        Ok(store)
    }

    fn scan(&self) -> Result<(), StoreError> {
        let mut index = self.index.lock();
        for kind in Kind::ALL {
            let of_kind = self.folder.join(kind.plural());
            make_folder(&of_kind)?;
            for of_namespace in list(&of_kind)? {
                let namespace = file_name(&of_namespace);
                for file in list(&of_namespace)? {
                    let metadata = fs::metadata(&file).map_err(StoreError::at(&file))?;
                    let name = file_name(&file);
                    let parts = name.strip_suffix(END).and_then(|name| name.split_once('_'));
                    let Some((name, id)) = parts.filter(|_| metadata.is_file()) else {
                        continue;
                    };
                    // An outage can leave a name without content.
                    if metadata.len() == 0 {
                        let _ = fs::remove_file(&file);
                        continue;
                    }
                    index.add(Entry {
                        subject: Subject {
                            kind,
                            namespace: namespace.clone(),
                            name: name.to_owned(),
                        },
                        id: id.to_owned(),
                        size: metadata.len(),
                        written: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    });
                }
            }
        }
        Ok(())
    }

    /// Keeps `text` under `id`, in the place of what was there; what is oldest may go for it.
    ///
    /// # Errors
    /// A name that no file can have, more than may be kept at all, or a disk that is full or broken.
    pub fn put(&self, subject: Subject, id: &str, text: &[u8]) -> Result<(), StoreError> {
        let kind = subject.kind.plural();
        let written = self.write(subject, id, text);
        let result = if written.is_ok() { "success" } else { "error" };
        WRITTEN.with_label_values(&[kind, result]).inc();
        self.report();
        written
    }

    fn write(&self, subject: Subject, id: &str, text: &[u8]) -> Result<(), StoreError> {
        for part in [subject.namespace.as_str(), &subject.name, id] {
            if !is_name(part) {
                return Err(StoreError::Name(part.to_owned()));
            }
        }
        let memory = |error: io::Error| StoreError::Io("compression".to_owned(), error);
        let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
        compressed.write_all(text).map_err(memory)?;
        let compressed = compressed.finish().map_err(memory)?;
        let size = compressed.len() as u64;
        if size > self.bounds.bytes {
            return Err(StoreError::TooMuch(size, self.bounds.bytes));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(TEMPORARY).join(number.to_string());
        let written = self.write_file(&temporary, &compressed);
        let path = self.path(&subject, id);
        let moved = written.and_then(|()| {
            // The index and the folder change together.
            let mut index = self.index.lock();
            if let Some(parent) = path.parent() {
                make_folder(parent)?;
            }
            fs::rename(&temporary, &path).map_err(StoreError::at(&path))?;
            index.add(Entry {
                subject,
                id: id.to_owned(),
                size,
                written: SystemTime::now(),
            });
            Ok(())
        });
        if moved.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        moved?;
        self.make_room();
        Ok(())
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let failed = StoreError::at(path);
        let mut file = open_options().create_new(true).open(path).map_err(&failed)?;
        file.write_all(bytes).map_err(&failed)?;
        file.sync_data().map_err(&failed)
    }

    /// Whether this piece is there.
    pub fn has(&self, subject: &Subject, id: &str) -> bool {
        self.index.lock().has(subject, id)
    }

    /// The pieces of this name, the oldest first.
    pub fn find(&self, subject: &Subject) -> Vec<Entry> {
        let mut found = self.index.lock().find(subject);
        found.sort_by(|a, b| (a.written, &a.id).cmp(&(b.written, &b.id)));
        found
    }

    /// The text of a piece.
    ///
    /// # Errors
    /// It has gone meanwhile, or cannot be read.
    pub fn read(&self, entry: &Entry) -> Result<impl Read + Send + use<>, StoreError> {
        let path = self.path(&entry.subject, &entry.id);
        let file = File::open(&path).map_err(StoreError::at(&path))?;
        Ok(GzDecoder::new(BufReader::new(file)))
    }

    /// Makes durable where everything is; what has been put is durable itself.
    ///
    /// # Errors
    /// The disk does not do it.
    pub fn sync(&self) -> Result<(), StoreError> {
        for kind in Kind::ALL {
            let of_kind = self.folder.join(kind.plural());
            for folder in list(&of_kind)?.into_iter().chain([of_kind]) {
                let failed = StoreError::at(&folder);
                File::open(&folder)
                    .and_then(|folder| folder.sync_all())
                    .map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Drops what is too old at `now`.
    pub fn expire(&self, now: SystemTime) {
        let Some(before) = now.checked_sub(self.bounds.age) else {
            return;
        };
        let old = self.index.lock().older(before);
        for entry in old {
            self.drop_entry(&entry, "age");
        }
        self.report();
    }

    /// Drops the pieces from before `before` whose namespace is not there `since` a time before they were written.
    pub(crate) fn drop_of_others(&self, since: &HashMap<String, SystemTime>, before: SystemTime) {
        let old = self.index.lock().older(before);
        for entry in old {
            let since = since.get(&entry.subject.namespace);
            if since.is_none_or(|since| entry.written < *since) {
                self.drop_entry(&entry, "namespace");
            }
        }
        self.report();
    }

    /// How full it is.
    pub fn usage(&self) -> Usage {
        self.index.lock().usage()
    }

    /// Drops what is oldest until the bounds are kept.
    fn make_room(&self) {
        let Usage { bytes, entries } = self.usage();
        let bound = if bytes > self.bounds.bytes {
            "bytes"
        } else if entries > self.bounds.entries {
            "entries"
        } else {
            return;
        };
        let bytes = self.bounds.bytes / 100 * DOWN_TO;
        let entries = self.bounds.entries - self.bounds.entries / 20;
        let old = self.index.lock().oldest(Usage { bytes, entries });
        for entry in old {
            self.drop_entry(&entry, bound);
        }
    }

    fn drop_entry(&self, entry: &Entry, bound: &str) {
        let path = self.path(&entry.subject, &entry.id);
        let mut index = self.index.lock();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // It is looked at again with the next start.
                tracing::warn!(path = %path.display(), %error, "An archived piece cannot be removed");
            }
            _ => DROPPED.with_label_values(&[bound]).inc(),
        }
        index.remove(entry);
        if let Some(parent) = path.parent() {
            // Succeeds for the last one of a namespace only.
            let _ = fs::remove_dir(parent);
        }
    }

    fn report(&self) {
        let usage = self.usage();
        BYTES.set(i64::try_from(usage.bytes).unwrap_or(i64::MAX));
        ENTRIES.set(i64::try_from(usage.entries).unwrap_or(i64::MAX));
    }

    fn path(&self, subject: &Subject, id: &str) -> PathBuf {
        self.folder
            .join(subject.kind.plural())
            .join(&subject.namespace)
            .join(format!("{}_{id}{END}", subject.name))
    }
}

/// Can it be part of the name of a file, and of nothing else? `_` joins the parts of an id.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty() && text.len() <= 120 && !text.starts_with('.') && text.bytes().all(fits)
}

fn open_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Logs are nobody else's business.
    options.write(true).mode(0o600);
    options
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(StoreError::at(path))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = StoreError::at(folder);
    let entries = fs::read_dir(folder).map_err(&failed)?;
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(&failed))
        .collect()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests;
