//! What is done with what a log finds on disk: torn ends are cut off, damage is left where it is.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tracing::{error, warn};

use super::block::{Header, Salt};
use super::commit::Writer;
use super::index::Index;
use super::journal::TopicPlaces;
use super::segment::Segment;
use super::topic::TopicLog;
use super::walk::{Piece, Source, Walk};
use crate::{Position, StoreError, Topic};

/// What begins the name of a folder whose topic was removed.
pub const REMOVED: &str = ".removed-";

/// The names of topics that have a folder. What is left of removed ones is deleted.
pub fn topics(folder: &Path) -> Result<Vec<Topic>, StoreError> {
    let mut topics = Vec::new();
    let failed = |error| StoreError::io(format!("cannot read {}", folder.display()), error);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if name.starts_with(REMOVED) {
            if let Err(error) = std::fs::remove_dir_all(entry.path()) {
                warn!(%error, path = %entry.path().display(), "A removed topic cannot be deleted");
            }
        } else if let Ok(topic) = Topic::new(name) {
            topics.push(topic);
        } else {
            warn!(path = %entry.path().display(), "What is no topic is left alone");
        }
    }
    Ok(topics)
}

/// Opens a topic: reads the headers of its last segment, and no other.
pub fn topic(
    name: Topic,
    folder: PathBuf,
    salt: Salt,
    remembered: &TopicPlaces,
) -> Result<TopicLog, StoreError> {
    let failed = |error| StoreError::io(format!("cannot open {}", folder.display()), error);
    let mut segments = segments(&folder).map_err(failed)?;
    let lows = remembered.consumers.values().map(|place| place.cursor.low());
    let acknowledged = lows.chain([remembered.next, 1]).max().unwrap_or(1);
    let Some(last) = segments.pop_back() else {
        return Ok(TopicLog::new(
            name,
            folder,
            segments,
            acknowledged,
            Writer::default(),
        ));
    };
    let found = examine(&last, salt, acknowledged).map_err(failed)?;
    let (end, found_next) = (found.index.end, found.index.next);
    let micros = found
        .index
        .last_micros
        .or_else(|| segments.back()?.first_micros(salt).ok()?);
    let lost = acknowledged.saturating_sub(found_next);
    if lost > 0 {
        error!(topic = %name, lost, path = %last.path.display(), "Acknowledged events are missing at the end");
    } else if found.rubbish > 0 {
        warn!(topic = %name, bytes = found.rubbish, path = %last.path.display(), "Half-written events cut off");
        cut(&last.path, end).map_err(failed)?;
    }
    let last = Arc::new(Segment::new(last.path.clone(), last.base, found.index));
    segments.push_back(last.clone());
    // After a loss the next record goes to a new segment: its name says which positions are missing.
    let writer = Writer::new((lost == 0).then_some(last), end, micros.unwrap_or(0));
    Ok(TopicLog::new(
        name,
        folder,
        segments,
        found_next.max(acknowledged),
        writer,
    ))
}

fn segments(folder: &Path) -> io::Result<VecDeque<Arc<Segment>>> {
    let mut segments = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(VecDeque::new()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if let Some(base) = Segment::base_of(&path) {
            let bytes = std::fs::metadata(&path)?.len();
            segments.push(Arc::new(Segment::unread(path, base, bytes)));
        }
    }
    segments.sort_by_key(|segment| segment.base);
    Ok(segments.into())
}

/// What the last segment of a topic has.
struct Found {
    /// Its whole blocks.
    index: Index,
    /// Bytes after the last of them.
    rubbish: u64,
}

/// Walks over a segment. Its last block counts only if it is whole, or was acknowledged.
fn examine(segment: &Segment, salt: Salt, acknowledged: Position) -> io::Result<Found> {
    let file = File::open(&segment.path)?;
    let length = file.metadata()?.len();
    let mut index = Index::new(segment.base, 0);
    let mut last: Option<(u64, Header)> = None;
    let mut damage: Option<(u64, u64)> = None;
    for piece in Walk::new(&file, salt, 0..length, segment.base) {
        match piece? {
            Piece::Block { offset, header } => {
                if let Some((offset, header)) = last.replace((offset, header)) {
                    index.add(offset, &header);
                }
                if let Some((from, to)) = damage.take() {
                    error!(from, to, path = %segment.path.display(), "Events damaged on disk are skipped");
                }
            }
            Piece::Damage { from, to } => damage = Some((from, to)),
        }
    }
    if let Some((offset, header)) = last
        && (header.first < acknowledged || is_whole(&file, offset, &header)?)
    {
        index.add(offset, &header);
    }
    Ok(Found {
        rubbish: length - index.end,
        index,
    })
}

fn is_whole(file: &File, offset: u64, header: &Header) -> io::Result<bool> {
    let mut bytes = vec![0; header.length() as usize];
    let read = Source::read_at(file, offset, &mut bytes)?;
    Ok(read == bytes.len() && header.decode(&Bytes::from(bytes)).damaged.is_empty())
}

fn cut(path: &Path, end: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(end)?;
    file.sync_all()
}
