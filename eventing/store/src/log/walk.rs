//! Walks over the blocks of a segment, and over damage.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::block::{HEADER, Header, MAGIC, Salt};
use crate::Position;

/// Bytes read at once. Small, since most of a segment is payloads, which are skipped.
const WINDOW: usize = 16 << 10;

/// Bytes that can be read at any place.
pub trait Source {
    /// Reads at most `buffer.len()` bytes; fewer only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// What is found in a segment, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A block with a good header, all of which is there. Its payloads were not looked at.
    Block { offset: u64, header: Header },
    /// Bytes that belong to no block.
    Damage { from: u64, to: u64 },
}

/// Iterates over the pieces of `source` between two offsets.
pub struct Walk<'a, S: ?Sized> {
    source: &'a S,
    salt: Salt,
    at: u64,
    end: u64,
    next: Position,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a, S: Source + ?Sized> Walk<'a, S> {
    /// Starts at the offset of a block. Blocks with positions before `next` are taken for damage.
    pub fn new(source: &'a S, salt: Salt, range: std::ops::Range<u64>, next: Position) -> Self {
        Self {
            source,
            salt,
            at: range.start,
            end: range.end,
            next,
            window: Vec::new(),
            window_at: 0,
        }
    }

    fn piece(&mut self) -> io::Result<Option<Piece>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let from = self.at;
        if let Some(header) = self.header(from)? {
            self.at = from + header.length();
            self.next = header.end();
            return Ok(Some(Piece::Block { offset: from, header }));
        }
        let mut to = from + 1;
        loop {
            to = self.find_magic(to)?;
            if to >= self.end || self.header(to)?.is_some() {
                break;
            }
            to += 1;
        }
        self.at = to;
        Ok(Some(Piece::Damage { from, to }))
    }

    /// The header at `offset` if it is good, its block complete, and its positions not taken.
    fn header(&mut self, offset: u64) -> io::Result<Option<Header>> {
        let (salt, next, end) = (self.salt, self.next, self.end);
        let header = Header::read(salt, self.bytes(offset, HEADER)?);
        Ok(header.filter(|header| header.first >= next && offset.saturating_add(header.length()) <= end))
    }

    /// Where the magic is found first at `offset` or after it, or the end.
    fn find_magic(&mut self, mut offset: u64) -> io::Result<u64> {
        while offset < self.end {
            let bytes = self.bytes(offset, MAGIC.len())?;
            if bytes.len() < MAGIC.len() {
                break;
            }
            match bytes.windows(MAGIC.len()).position(|window| window == MAGIC) {
                Some(found) => return Ok((offset + found as u64).min(self.end)),
                // The magic may begin in the last bytes of the window.
                None => offset += (bytes.len() - MAGIC.len() + 1) as u64,
            }
        }
        Ok(self.end)
    }

    /// What the window has from `offset` on: at least `least` bytes unless the source ends.
    fn bytes(&mut self, offset: u64, least: usize) -> io::Result<&[u8]> {
        let inside =
            offset >= self.window_at && offset + least as u64 <= self.window_at + self.window.len() as u64;
        if !inside {
            self.window.resize(WINDOW, 0);
            let read = self.source.read_at(offset, &mut self.window)?;
            self.window.truncate(read);
            self.window_at = offset;
        }
        Ok(self
            .window
            .get((offset - self.window_at) as usize..)
            .unwrap_or_default())
    }
}

impl<S: Source + ?Sized> Iterator for Walk<'_, S> {
    type Item = io::Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        self.piece().transpose()
    }
}

impl Source for [u8] {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|at| self.get(at..))
            .unwrap_or_default();
        let length = rest.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(rest) {
            *place = *byte;
        }
        Ok(length)
    }
}

impl Source for File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::super::block::encode;
    use super::*;

    const SALT: Salt = Salt(1);

    fn segment(blocks: &[Vec<Bytes>]) -> (Vec<u8>, Vec<u64>) {
        let (mut bytes, mut starts, mut next) = (Vec::new(), Vec::new(), 1);
        for payloads in blocks {
            starts.push(bytes.len() as u64);
            encode(SALT, next, Timestamp::UNIX_EPOCH, payloads.iter(), &mut bytes);
            next += payloads.len() as u64;
        }
        (bytes, starts)
    }

    fn walk(bytes: &[u8]) -> Vec<Piece> {
        Walk::new(bytes, SALT, 0..bytes.len() as u64, 1)
            .map(Result::unwrap)
            .collect()
    }

    fn starts(pieces: &[Piece]) -> Vec<u64> {
        let offset = |piece: &Piece| match piece {
            Piece::Block { offset, .. } => Some(*offset),
            Piece::Damage { .. } => None,
        };
        pieces.iter().filter_map(offset).collect()
    }

    #[test]
    fn a_block_inside_a_payload_is_not_found_again() {
        // A damaged block whose payload is an older block, as an attacker who knows the salt would send it.
        let (old, _) = segment(&[vec![Bytes::from_static(b"old")]]);
        let (mut bytes, at) = segment(&[
            vec![Bytes::from_static(b"a")],
            vec![old.into()],
            vec![Bytes::from_static(b"c")],
        ]);
        bytes[at[1] as usize] ^= 1;
        assert_eq!(starts(&walk(&bytes)), [at[0], at[2]]);
    }

    proptest! {
        #[test]
        fn everything_but_the_damaged_block_is_found(
            sizes in prop::collection::vec(prop::collection::vec(0usize..40_000, 1..4), 1..8),
            at in any::<prop::sample::Index>(),
            torn in any::<bool>(),
        ) {
            let blocks: Vec<Vec<Bytes>> =
                sizes.iter().map(|row| row.iter().map(|size| vec![b'S'; *size].into()).collect()).collect();
            let (mut bytes, offsets) = segment(&blocks);
            prop_assert_eq!(starts(&walk(&bytes)), offsets.clone());
            let hit = at.index(bytes.len());
            let index = offsets.iter().rposition(|offset| *offset <= hit as u64).unwrap();
            if torn {
                bytes.truncate(hit);
                prop_assert_eq!(starts(&walk(&bytes)), &offsets[..index]);
            } else {
                bytes[hit] ^= 0x10;
                let mut left = offsets.clone();
                if (hit as u64) < offsets[index] + HEADER as u64 {
                    left.remove(index);
                }
                prop_assert_eq!(starts(&walk(&bytes)), left);
            }
        }

        #[test]
        fn pieces_cover_any_bytes_without_overlap(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut at = 0;
            for piece in walk(&bytes) {
                let (from, to) = match piece {
                    Piece::Block { offset, header } => (offset, offset + header.length()),
                    Piece::Damage { from, to } => (from, to),
                };
                prop_assert_eq!(from, at);
                prop_assert!(to > from);
                at = to;
            }
            prop_assert_eq!(at, bytes.len() as u64);
        }
    }
}
