//! What a file of events holds, for those who look at a damaged one.

use std::io;

use bytes::Bytes;

use super::block::Salt;
use super::walk::{Piece, Walk};
use crate::{Position, Record};

/// What was found in the bytes of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The good records, in order.
    pub records: Vec<Record>,
    /// Positions whose payload is damaged.
    pub damaged: Vec<Position>,
    /// Bytes that belong to no block: damaged headers, or a torn end.
    pub rubbish: u64,
}

/// Reads the bytes of a segment as a log whose secret is `salt` does; the second line of its format file begins with
/// that number, in hexadecimal.
pub fn inspect(salt: u64, bytes: Bytes) -> Inspection {
    let mut inspection = Inspection::default();
    for piece in Walk::new(&*bytes, Salt(salt), 0..bytes.len() as u64, 0).filter_map(io::Result::ok) {
        match piece {
            Piece::Block { offset, header } => {
                let from = offset as usize;
                let mut decoded = header.decode(&bytes.slice(from..from + header.length() as usize));
                inspection.records.append(&mut decoded.records);
                inspection.damaged.append(&mut decoded.damaged);
            }
            Piece::Damage { from, to } => inspection.rubbish += to - from,
        }
    }
    inspection
}

/// The bytes of a block as a log with this secret writes it, for tests of [`inspect`].
pub fn block(salt: u64, first: Position, payloads: &[Bytes]) -> Vec<u8> {
    let mut bytes = Vec::new();
    super::block::encode(
        Salt(salt),
        first,
        jiff::Timestamp::UNIX_EPOCH,
        payloads.iter(),
        &mut bytes,
    );
    bytes
}
