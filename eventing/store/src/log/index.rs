//! Where in a segment a record is, to within a chunk.

use super::block::Header;
use crate::Position;

/// Bytes of log between two marks: what a reader reads and decodes at once.
pub const CHUNK: u64 = 256 << 10;

/// The start of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    position: Position,
    offset: u64,
    micros: i64,
}

/// The marks of one segment: 24 bytes for every 256 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    marks: Vec<Mark>,
    /// Position after the last record.
    pub next: Position,
    /// Offset after the last block.
    pub end: u64,
    /// When the last block was stored.
    pub last_micros: Option<i64>,
}

/// A part of a segment, the same for all who read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Where it is in the file.
    pub from: u64,
    /// Where it ends in the file.
    pub to: u64,
    /// The position after its last record.
    pub end: Position,
}

impl Index {
    /// Of a segment without records, whose first block will be at `start`.
    pub fn new(base: Position, start: u64) -> Self {
        Self {
            marks: Vec::new(),
            next: base,
            end: start,
            last_micros: None,
        }
    }

    /// Takes notice of the next block.
    pub fn add(&mut self, offset: u64, header: &Header) {
        if self.marks.last().is_none_or(|mark| offset >= mark.offset + CHUNK) {
            self.marks.push(Mark {
                position: header.first,
                offset,
                micros: header.micros,
            });
        }
        self.next = header.end();
        self.end = offset + header.length();
        self.last_micros = Some(header.micros);
    }

    /// When the first block was stored.
    pub fn first_micros(&self) -> Option<i64> {
        self.marks.first().map(|mark| mark.micros)
    }

    /// The chunk that has `position`, or the next one; `None` after the last record.
    pub fn chunk(&self, position: Position) -> Option<Chunk> {
        if position >= self.next {
            return None;
        }
        let after = self.marks.partition_point(|mark| mark.position <= position);
        self.nth(after.saturating_sub(1))
    }

    /// The last chunk that begins before `micros`, or the first one: what was stored at that time is in it or after it.
    pub fn chunk_before(&self, micros: i64) -> Option<Chunk> {
        let after = self.marks.partition_point(|mark| mark.micros < micros);
        self.nth(after.saturating_sub(1))
    }

    /// Position of the first record of a chunk.
    pub fn start_of(&self, chunk: Chunk) -> Position {
        let mark = self.marks.binary_search_by_key(&chunk.from, |mark| mark.offset);
        mark.ok()
            .and_then(|index| self.marks.get(index))
            .map_or(self.next, |mark| mark.position)
    }

    fn nth(&self, index: usize) -> Option<Chunk> {
        let mark = self.marks.get(index)?;
        let following = self.marks.get(index + 1);
        Some(Chunk {
            from: mark.offset,
            to: following.map_or(self.end, |mark| mark.offset),
            end: following.map_or(self.next, |mark| mark.position),
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;

    use super::super::block::{Salt, encode};
    use super::*;

    /// Blocks of 100 KiB with ten records each, one per second, without the third block.
    fn index() -> Index {
        let mut index = Index::new(1, 32);
        let mut offset = 32;
        for number in [0u64, 1, 3, 4, 5, 6] {
            let mut bytes = Vec::new();
            let payloads = vec![Bytes::from(vec![0; 10 << 10]); 10];
            let time = Timestamp::from_second(number as i64).unwrap();
            encode(Salt(0), 1 + number * 10, time, payloads.iter(), &mut bytes);
            let header = Header::read(Salt(0), &bytes).unwrap();
            index.add(offset, &header);
            offset += header.length();
        }
        index
    }

    #[test]
    fn chunks_are_found_by_position_and_time() {
        let index = index();
        // Marks are at blocks 0, 4 and ends at position 71: three blocks of 100 KiB are more than a chunk.
        assert_eq!((index.next, index.marks.len()), (71, 2));
        let [first, second] = [index.nth(0).unwrap(), index.nth(1).unwrap()];
        assert_eq!((first.end, second.end), (41, 71));
        assert_eq!((first.to, second.to), (second.from, index.end));
        for (position, chunk) in [
            (0, first),
            (1, first),
            (25, first),
            (40, first),
            (41, second),
            (70, second),
        ] {
            assert_eq!(index.chunk(position), Some(chunk), "{position}");
        }
        assert_eq!(index.chunk(71), None);
        for (second_of, chunk) in [(-5, first), (0, first), (4, first), (5, second), (99, second)] {
            assert_eq!(
                index.chunk_before(second_of * 1_000_000),
                Some(chunk),
                "{second_of}"
            );
        }
        assert_eq!(Index::new(1, 0).chunk(1), None);
    }
}
