//! The form of records on disk: blocks, each of them one write and one sync.
//!
//! ```text
//! offset  bytes  what (little endian)
//!      0      4  magic "SEv1"
//!      4      4  CRC-32 of the salt and of bytes 8..36
//!      8      4  number of records
//!     12      4  bytes of all payloads
//!     16      8  position of the first record
//!     24      8  when it was stored, microseconds since 1970 (signed)
//!     32      4  CRC-32 of the table
//!     36    8 n  the table: length and CRC-32 of each payload
//!             …  the payloads
//! ```
//!
//! The lengths are under a checksum of their own, so a damaged payload costs one record, a damaged table one block,
//! and a damaged header what lies before the next good header. The salt is a secret of the store: without it nobody
//! can send a payload that looks like a block to the search for that next header.

use bytes::Bytes;
use jiff::Timestamp;

use crate::{Position, Record};

/// What each block begins with.
pub const MAGIC: [u8; 4] = *b"SEv1";
/// Bytes before the table.
pub const HEADER: usize = 36;
/// Bytes of the table for one record.
const ROW: usize = 8;
/// Most records in a block.
pub const MOST_RECORDS: usize = 65_536;
/// Most bytes of payload in a block.
pub const MOST_BYTES: usize = 256 << 20;

/// The secret that makes a store's block headers unforgeable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub u64);

impl Salt {
    /// The checksum of `bytes` in this store (CRC-32/ISO-HDLC, as in zlib).
    pub fn checksum(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.0.to_le_bytes());
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// What a block's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Position of the first record.
    pub first: Position,
    /// Number of records.
    pub count: u32,
    /// When they were stored, microseconds since 1970.
    pub micros: i64,
    body: u32,
    table_checksum: u32,
}

/// What a block's bytes hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The good records.
    pub records: Vec<Record>,
    /// Positions whose payload is damaged.
    pub damaged: Vec<Position>,
}

/// Appends a block to `out`. There are at most [`MOST_RECORDS`] payloads with at most [`MOST_BYTES`] in all.
pub fn encode<'a>(
    salt: Salt,
    first: Position,
    time: Timestamp,
    payloads: impl Iterator<Item = &'a Bytes> + Clone,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.resize(start + HEADER, 0);
    let (mut count, mut body) = (0u32, 0u32);
    for payload in payloads.clone() {
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
        count += 1;
        body += payload.len() as u32;
    }
    let table_checksum = crc32fast::hash(out.get(start + HEADER..).unwrap_or_default());
    for payload in payloads {
        out.extend_from_slice(payload);
    }
    let mut header = [0u8; HEADER];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = header.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, &MAGIC);
    put(8, &count.to_le_bytes());
    put(12, &body.to_le_bytes());
    put(16, &first.to_le_bytes());
    put(24, &time.as_microsecond().to_le_bytes());
    put(32, &table_checksum.to_le_bytes());
    let checksum = salt.checksum(header.get(8..).unwrap_or_default());
    if let Some(place) = header.get_mut(4..8) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    if let Some(place) = out.get_mut(start..start + HEADER) {
        place.copy_from_slice(&header);
    }
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` if there is no good one.
    pub fn read(salt: Salt, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        if !bytes.starts_with(&MAGIC) || u32_at(bytes, 4)? != salt.checksum(bytes.get(8..)?) {
            return None;
        }
        let header = Self {
            count: u32_at(bytes, 8)?,
            body: u32_at(bytes, 12)?,
            first: u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?),
            micros: i64::from_le_bytes(bytes.get(24..32)?.try_into().ok()?),
            table_checksum: u32_at(bytes, 32)?,
        };
        let sane = header.count > 0
            && header.count as usize <= MOST_RECORDS
            && header.body as usize <= MOST_BYTES
            && header.first.checked_add(u64::from(header.count)).is_some();
        sane.then_some(header)
    }

    /// Bytes of the whole block.
    pub fn length(&self) -> u64 {
        (HEADER + ROW * self.count as usize) as u64 + u64::from(self.body)
    }

    /// The position after the last record.
    pub fn end(&self) -> Position {
        self.first + u64::from(self.count)
    }

    /// When the records were stored.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_microsecond(self.micros).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Reads the records of `block`, the bytes that this is the header of. The payloads are slices of it.
    pub fn decode(&self, block: &Bytes) -> Decoded {
        let mut decoded = Decoded::default();
        let body_at = HEADER + ROW * self.count as usize;
        let table = block.get(HEADER..body_at).unwrap_or_default();
        if table.is_empty() || crc32fast::hash(table) != self.table_checksum {
            decoded.damaged = (self.first..self.end()).collect();
            return decoded;
        }
        decoded.records.reserve_exact(self.count as usize);
        let (time, mut at) = (self.time(), body_at);
        for (position, row) in (self.first..self.end()).zip(table.chunks_exact(ROW)) {
            let length = u32_at(row, 0).unwrap_or(0) as usize;
            let whole = at.checked_add(length).filter(|end| *end <= block.len());
            let payload = whole.map_or_else(Bytes::new, |end| block.slice(at..end));
            if whole.is_some() && Some(crc32fast::hash(&payload)) == u32_at(row, 4) {
                decoded.records.push(Record {
                    position,
                    time,
                    payload,
                });
            } else {
                decoded.damaged.push(position);
            }
            at = at.saturating_add(length);
        }
        decoded
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: Salt = Salt(7);

    fn block(first: Position, payloads: &[Bytes]) -> Bytes {
        let mut out = Vec::new();
        encode(SALT, first, Timestamp::UNIX_EPOCH, payloads.iter(), &mut out);
        out.into()
    }

    #[test]
    fn the_last_positions_there_are_can_be_read() {
        let bytes = block(Position::MAX - 1, &["last".into()]);
        let header = Header::read(SALT, &bytes).unwrap();
        assert_eq!(header.decode(&bytes).records[0].position, Position::MAX - 1);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            first in 1u64..u64::MAX / 2,
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..20),
        ) {
            let payloads: Vec<Bytes> = payloads.into_iter().map(Bytes::from).collect();
            let bytes = block(first, &payloads);
            let header = Header::read(SALT, &bytes).unwrap();
            prop_assert_eq!(header.length(), bytes.len() as u64);
            prop_assert_eq!(header.end(), first + payloads.len() as u64);
            let decoded = header.decode(&bytes);
            prop_assert_eq!(decoded.damaged, Vec::<Position>::new());
            let read: Vec<_> = decoded.records.iter().map(|r| (r.position, r.payload.clone())).collect();
            prop_assert_eq!(read, (first..).zip(payloads).collect::<Vec<_>>());
        }

        /// No flipped bit goes unnoticed, and one in a payload costs that record alone.
        #[test]
        fn a_flipped_bit_costs_little(at in 0usize..200, bit in 0u8..8) {
            let payloads = [Bytes::from(vec![1u8; 70]), Bytes::new(), Bytes::from(vec![2u8; 70])];
            let mut bytes = block(5, &payloads).to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let bytes = Bytes::from(bytes);
            match Header::read(SALT, &bytes) {
                None => prop_assert!(at < HEADER),
                Some(header) => {
                    let decoded = header.decode(&bytes);
                    prop_assert_eq!(decoded.records.len() + decoded.damaged.len(), 3);
                    let lost = if at < HEADER + 3 * ROW { 3 } else { 1 };
                    prop_assert_eq!(decoded.damaged.len(), lost);
                    for record in decoded.records {
                        prop_assert_eq!(&record.payload, &payloads[record.position as usize - 5]);
                    }
                }
            }
        }
    }

    #[test]
    fn another_stores_block_is_no_block() {
        assert_eq!(
            Header::read(Salt(8), &block(1, &[Bytes::from_static(b"x")])),
            None
        );
    }
}
