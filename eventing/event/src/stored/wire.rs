//! Lengths, texts and numbers of the stored form.

use bytes::{Buf, Bytes};

use super::DecodeError;
use crate::text::Str;

/// LEB128: seven bits a byte, the lowest first.
pub(super) fn put_varint(mut number: usize, out: &mut Vec<u8>) {
    loop {
        let low = (number & 0x7F) as u8;
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_varint(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

pub(super) struct Reader(Bytes);

impl Reader {
    pub(super) fn new(record: Bytes) -> Self {
        Self(record)
    }

    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.0.try_get_u8().map_err(|_| DecodeError::Truncated)
    }

    pub(super) fn integer(&mut self) -> Result<i32, DecodeError> {
        self.0.try_get_i32_le().map_err(|_| DecodeError::Truncated)
    }

    /// At most 2^35 - 1, more than any record has bytes.
    pub(super) fn varint(&mut self) -> Result<usize, DecodeError> {
        let mut number = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(number).map_err(|_| DecodeError::Truncated);
            }
        }
        Err(DecodeError::Malformed("length"))
    }

    pub(super) fn text(&mut self) -> Result<Str, DecodeError> {
        let length = self.varint()?;
        if length > self.left() {
            return Err(DecodeError::Truncated);
        }
        Str::from_utf8(self.0.split_to(length)).ok_or(DecodeError::Malformed("text that is not UTF-8"))
    }

    pub(super) fn rest(self) -> Bytes {
        self.0
    }
}
