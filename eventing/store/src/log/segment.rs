//! One file of a topic: blocks in a row, named by the position of its first record.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tracing::error;

use super::block::{HEADER, Header, Salt};
use super::index::{Chunk, Index};
use super::walk::{Piece, Source, Walk};
use crate::{Position, Record};

/// Bytes that are given up when the disk cannot read them.
const PAGE: usize = 4096;
const EXTENSION: &str = "log";

/// A segment, open or not.
pub struct Segment {
    /// Position of its first record.
    pub base: Position,
    /// Where it is.
    pub path: PathBuf,
    bytes: AtomicU64,
    index: RwLock<Option<Index>>,
    file: Mutex<Weak<File>>,
}

impl Segment {
    /// A segment whose index is known.
    pub fn new(path: PathBuf, base: Position, index: Index) -> Self {
        let bytes = index.end;
        Self {
            index: RwLock::new(Some(index)),
            ..Self::unread(path, base, bytes)
        }
    }

    /// A segment that nobody looked at yet.
    pub fn unread(path: PathBuf, base: Position, bytes: u64) -> Self {
        Self {
            base,
            path,
            bytes: AtomicU64::new(bytes),
            index: RwLock::new(None),
            file: Mutex::new(Weak::new()),
        }
    }

    /// Where the segment with this base is within the folder of its topic.
    pub fn path(folder: &Path, base: Position) -> PathBuf {
        folder.join(format!("{base:020}.{EXTENSION}"))
    }

    /// The base that a path says, if it is one of a segment.
    pub fn base_of(path: &Path) -> Option<Position> {
        let named = path.extension().is_some_and(|extension| extension == EXTENSION);
        path.file_stem().filter(|_| named)?.to_str()?.parse().ok()
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes notice of a block that is durable now.
    pub fn add(&self, offset: u64, header: &Header) {
        if let Some(index) = self.index.write().as_mut() {
            index.add(offset, header);
            self.bytes.store(index.end, Ordering::Relaxed);
        }
    }

    /// Asks the index if it is in memory.
    pub fn with_loaded_index<T>(&self, ask: impl FnOnce(&Index) -> T) -> Option<T> {
        self.index.read().as_ref().map(ask)
    }

    /// When the last block was stored, if the index is in memory: as it is for the segment that is written to.
    pub fn last_micros(&self) -> Option<i64> {
        self.with_loaded_index(|index| index.last_micros).flatten()
    }

    /// Asks the index. It is made by walking over the file the first time; `until` is the base of the next segment.
    pub fn with_index<T>(&self, salt: Salt, until: Position, ask: impl FnOnce(&Index) -> T) -> io::Result<T> {
        if let Some(index) = self.index.read().as_ref() {
            return Ok(ask(index));
        }
        let mut place = self.index.write();
        let index = match place.take() {
            Some(index) => index,
            None => self.scan(salt, until)?,
        };
        Ok(ask(place.insert(index)))
    }

    /// When the first block was stored, as cheaply as possible.
    pub fn first_micros(&self, salt: Salt) -> io::Result<Option<i64>> {
        if let Some(index) = self.index.read().as_ref() {
            return Ok(index.first_micros());
        }
        let mut bytes = [0; HEADER];
        Source::read_at(&*self.open()?, 0, &mut bytes)?;
        Ok(Header::read(salt, &bytes).map(|header| header.micros))
    }

    /// Reads a chunk. Damaged records are left out; pages that the disk cannot read are damage.
    pub fn read(&self, salt: Salt, chunk: Chunk) -> io::Result<Arc<[Record]>> {
        let mut bytes = vec![0; (chunk.to - chunk.from) as usize];
        let file = self.open()?;
        match Source::read_at(&*file, chunk.from, &mut bytes) {
            Ok(read) => bytes.truncate(read),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                for (page, place) in (0u64..).zip(bytes.chunks_mut(PAGE)) {
                    if let Err(error) = Source::read_at(&*file, chunk.from + page * PAGE as u64, place) {
                        error!(%error, path = %self.path.display(), "Events cannot be read");
                        place.fill(0);
                    }
                }
            }
            Err(error) => return Err(error),
        }
        decode(salt, bytes.into())
    }

    /// Opens the file for reading; readers share it.
    fn open(&self) -> io::Result<Arc<File>> {
        let mut place = self.file.lock();
        if let Some(file) = place.upgrade() {
            return Ok(file);
        }
        let file = Arc::new(File::open(&self.path)?);
        *place = Arc::downgrade(&file);
        Ok(file)
    }

    fn scan(&self, salt: Salt, until: Position) -> io::Result<Index> {
        let file = self.open()?;
        let end = file.metadata()?.len();
        let mut index = Index::new(self.base, 0);
        for piece in Walk::new(&*file, salt, 0..end, self.base) {
            match piece? {
                Piece::Block { offset, header } if header.end() <= until => index.add(offset, &header),
                // Left over from a write that failed: the next segment has these positions.
                Piece::Block { .. } => {}
                Piece::Damage { from, to } => {
                    error!(from, to, path = %self.path.display(), "Events damaged on disk are skipped");
                }
            }
        }
        Ok(index)
    }
}

/// The good records in the bytes of a part of a segment that begins with a block.
pub fn decode(salt: Salt, bytes: Bytes) -> io::Result<Arc<[Record]>> {
    let mut records = Vec::new();
    for piece in Walk::new(&*bytes, salt, 0..bytes.len() as u64, 0) {
        if let Piece::Block { offset, header } = piece? {
            let from = offset as usize;
            let block = bytes.slice(from..from + header.length() as usize);
            records.append(&mut header.decode(&block).records);
        }
    }
    Ok(records.into())
}
