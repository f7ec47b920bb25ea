//! The redb engine behind the store.
//!
//! redb refuses every write after an I/O error until its handle is reopened, so a failed commit drops the handle and the
//! next one opens the file again: a disk that was full and has space again heals without a restart.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::OpenError;
use super::backend::{Backend, BackendError, Batch};

const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";
const REVISION_KEY: &str = "revision";
/// Version of the record layout. 1: object JSON by `group/plural/namespace/name`.
const FORMAT: u64 = 1;
/// Bytes of page cache. All reads after the start come from memory, so it only has to hold the pages of a batch.
const CACHE_BYTES: usize = 4 << 20;
/// Files below this size are left alone.
const COMPACT_FROM: u64 = 8 << 20;

/// Opens the database file; a parameter so that tests can put a faulty disk underneath.
type Opener = Box<dyn Fn() -> Result<Database, redb::DatabaseError> + Send>;

/// A redb file.
pub(crate) struct RedbBackend {
    open: Opener,
    /// `None` between a failed commit and the next attempt.
    database: Option<Database>,
    /// Where the file is, if it is one of a disk that can be asked.
    path: Option<PathBuf>,
}

impl RedbBackend {
    /// Opens or creates the file, and writes the format record into a new one.
    ///
    /// # Errors
    /// When the file cannot be opened, or has the format of a newer program.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let file = PathBuf::from(path);
        let opened = Self::open_with(Box::new(move || {
            Database::builder().set_cache_size(CACHE_BYTES).create(&file)
        }))
        .map_err(|error| match error {
            BackendError::Format { found, supported } => OpenError::Format { found, supported },
            BackendError::Engine(message) => OpenError::Backend {
                path: path.display().to_string(),
                message,
            },
        });
        opened.map(|mut opened| {
            opened.path = Some(path.to_owned());
            opened.compact(path);
            opened
        })
    }

    /// Gives the space of what was deleted back to the file system, once most of the file is unused. While it runs the
    /// engine reuses that space, so the file is never much larger than the most it held at one time.
    fn compact(&mut self, path: &Path) {
        let size = std::fs::metadata(path).map_or(0, |file| file.len());
        let used = self.handle().and_then(|database| {
            let write = database.begin_write().map_err(engine)?;
            let stats = write.stats().map_err(engine)?;
            write.abort().map_err(engine)?;
            Ok(stats.stored_bytes() + stats.metadata_bytes())
        });
        let compacted = match (used, &mut self.database) {
            (Ok(used), Some(database)) if is_sparse(used, size) => database.compact().map_err(engine),
            (Err(error), _) => Err(error),
            _ => return,
        };
        // A file that stays large is still a good file.
        match compacted {
            Ok(_) => tracing::info!(path = %path.display(), before = size, "The store is compacted"),
            Err(error) => tracing::warn!(%error, "The store cannot be compacted"),
        }
    }

    pub(super) fn open_with(open: Opener) -> Result<Self, BackendError> {
        let database = open().map_err(engine)?;
        let mut this = Self {
            open,
            database: Some(database),
            path: None,
        };
        this.check_format()?;
        Ok(this)
    }

    fn check_format(&mut self) -> Result<(), BackendError> {
        let database = self.handle()?;
        let write = database.begin_write().map_err(engine)?;
        let found = {
            let mut meta = write.open_table(META).map_err(engine)?;
            write.open_table(OBJECTS).map_err(engine)?;
            let found = meta.get(FORMAT_KEY).map_err(engine)?.map(|value| value.value());
            if found.is_none() {
                meta.insert(FORMAT_KEY, FORMAT).map_err(engine)?;
            }
            found
        };
        match found {
            Some(found) if found > FORMAT => Err(BackendError::Format {
                found,
                supported: FORMAT,
            }),
            Some(_) => write.abort().map_err(engine),
            None => write.commit().map_err(engine),
        }
    }

    fn handle(&mut self) -> Result<&Database, BackendError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => (self.open)().map_err(engine)?,
        };
        Ok(self.database.insert(database))
    }

    fn try_commit(&mut self, batch: &Batch) -> Result<(), BackendError> {
        let write = self.handle()?.begin_write().map_err(engine)?;
        {
            let mut objects = write.open_table(OBJECTS).map_err(engine)?;
            for (key, value) in &batch.entries {
                match value {
                    Some(value) => objects.insert(key.as_str(), value.as_ref()).map_err(engine)?,
                    None => objects.remove(key.as_str()).map_err(engine)?,
                };
            }
            let mut meta = write.open_table(META).map_err(engine)?;
            meta.insert(REVISION_KEY, batch.revision_ceiling)
                .map_err(engine)?;
        }
        write.commit().map_err(engine)
    }
}

impl Backend for RedbBackend {
    fn range(&mut self, visit: &mut dyn FnMut(&str, &[u8])) -> Result<u64, BackendError> {
        let read = self.handle()?.begin_read().map_err(engine)?;
        let objects = read.open_table(OBJECTS).map_err(engine)?;
        for entry in objects.iter().map_err(engine)? {
            let (key, value) = entry.map_err(engine)?;
            visit(key.value(), value.value());
        }
        let meta = read.open_table(META).map_err(engine)?;
        let ceiling = meta.get(REVISION_KEY).map_err(engine)?;
        Ok(ceiling.map_or(0, |value| value.value()))
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), BackendError> {
        let result = self.try_commit(batch);
        if result.is_err() {
            self.database = None;
        }
        result
    }

    fn room(&self) -> Option<u64> {
        fs4::available_space(self.path.as_ref()?).ok()
    }
}

/// Whether less than a third of the file is in use: pages are never quite full, and small files are not worth the work.
fn is_sparse(used: u64, size: u64) -> bool {
    size >= COMPACT_FROM && used < size / 3
}

fn engine(error: impl Into<redb::Error>) -> BackendError {
    let error: redb::Error = error.into();
    BackendError::Engine(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_mostly_unused_is_compacted_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let size = || std::fs::metadata(&path).unwrap().len();
        let mut backend = RedbBackend::open(&path).unwrap();
        let value = bytes::Bytes::from(vec![b'x'; 64 << 10]);
        for n in 0..400 {
            let batch = Batch {
                entries: vec![(format!("a/{n}"), Some(value.clone()))],
                revision_ceiling: 1,
            };
            backend.commit(&batch).unwrap();
        }
        // What stays is spread over the file, or closing would cut off its end by itself.
        let removed = Batch {
            entries: (0..400)
                .filter(|n| n % 40 != 39)
                .map(|n| (format!("a/{n}"), None))
                .collect(),
            revision_ceiling: 7,
        };
        backend.commit(&removed).unwrap();
        drop(backend);
        let before = size();
        assert!(before > 16 << 20, "{before}");
        let mut backend = RedbBackend::open(&path).unwrap();
        drop(backend);
        let after = size();
        assert!(after < before / 4, "{after} of {before}");
        backend = RedbBackend::open(&path).unwrap();
        let mut found = Vec::new();
        let revision = backend
            .range(&mut |key, stored| found.push((key.to_owned(), stored.len())))
            .unwrap();
        assert_eq!((revision, found.len()), (7, 10));
        assert!(found.iter().all(|(_, length)| *length == value.len()));
    }
}
