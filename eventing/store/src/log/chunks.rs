//! Chunks read from disk, shared by consumers that catch up together.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};

use super::block::Salt;
use super::index::Chunk;
use super::segment::Segment;
use crate::{Record, StoreError};

/// Reads at the same time: more would only take turns on the disk.
const READS: usize = 4;

type Cell = Arc<OnceCell<Arc<[Record]>>>;

/// The chunks read last, within a budget of bytes.
pub struct Chunks {
    most: usize,
    salt: Salt,
    reads: Semaphore,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Newest last. Few, so looking at each is cheap. A segment's address is its name: the entry keeps it alive.
    entries: VecDeque<(Arc<Segment>, Chunk, Cell)>,
    bytes: usize,
}

impl Chunks {
    /// Keeps up to `most` bytes.
    pub fn new(most: usize, salt: Salt) -> Self {
        Self {
            most,
            salt,
            reads: Semaphore::new(READS),
            kept: Mutex::default(),
        }
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.kept.lock().bytes
    }

    /// The records of a chunk: read once, however many ask at the same time.
    pub async fn read(&self, segment: &Arc<Segment>, chunk: Chunk) -> Result<Arc<[Record]>, StoreError> {
        let cell = self.kept.lock().cell(segment, chunk, self.most);
        let records = cell.get_or_try_init(|| async {
            let permit = self.reads.acquire().await;
            let (segment, salt) = (segment.clone(), self.salt);
            let path = segment.path.display().to_string();
            let read = tokio::task::spawn_blocking(move || segment.read(salt, chunk)).await;
            drop(permit);
            read.unwrap_or_else(|error| Err(io::Error::other(error)))
                .map_err(|error| StoreError::io(format!("cannot read {path}"), error))
        });
        records.await.cloned()
    }
}

impl Kept {
    fn cell(&mut self, segment: &Arc<Segment>, chunk: Chunk, most: usize) -> Cell {
        let same = |(of, at, _): &(Arc<Segment>, Chunk, Cell)| Arc::ptr_eq(of, segment) && *at == chunk;
        if let Some(place) = self.entries.iter().rposition(same)
            && let Some(entry) = self.entries.remove(place)
        {
            let cell = entry.2.clone();
            self.entries.push_back(entry);
            return cell;
        }
        let cell = Cell::default();
        let size = |chunk: &Chunk| (chunk.to - chunk.from) as usize;
        self.entries.push_back((segment.clone(), chunk, cell.clone()));
        self.bytes += size(&chunk);
        // The newest stays whatever its size, or it could not be shared.
        while self.bytes > most && self.entries.len() > 1 {
            let Some((_, gone, _)) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= size(&gone);
        }
        cell
    }
}
