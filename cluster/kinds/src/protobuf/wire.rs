//! The wire format of protobuf: a sequence of tagged values.

/// The bytes are no protobuf; the text says why.
pub(super) type WireError = &'static str;

/// A value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], WireError> {
        match self {
            Wire::Bytes(bytes) => Ok(bytes),
            _ => Err("a number where bytes are expected"),
        }
    }

    pub(super) fn varint(self) -> Result<u64, WireError> {
        match self {
            Wire::Varint(number) => Ok(number),
            _ => Err("bytes where a number is expected"),
        }
    }
}

/// Iterates over the fields of one message, as `(tag, value)`.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn field(&mut self) -> Result<(u32, Wire<'a>), WireError> {
        let key = varint(&mut self.rest)?;
        let tag = u32::try_from(key >> 3).map_err(|_| "a tag out of range")?;
        if tag == 0 {
            return Err("the tag 0");
        }
        let value = match key & 7 {
            0 => Wire::Varint(varint(&mut self.rest)?),
            1 => {
                let bytes = take(&mut self.rest, 8)?;
                Wire::Fixed64(u64::from_le_bytes(
                    bytes.try_into().map_err(|_| "a short number")?,
                ))
            }
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| "a length out of range")?;
                Wire::Bytes(take(&mut self.rest, length)?)
            }
            5 => {
                take(&mut self.rest, 4)?;
                Wire::Fixed32
            }
            _ => return Err("an unknown wire type"),
        };
        Ok((tag, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Reads one variable-length number of at most ten bytes.
pub(super) fn varint(rest: &mut &[u8]) -> Result<u64, WireError> {
    let mut number = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, tail) = rest.split_first().ok_or("it ends within a number")?;
        *rest = tail;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err("a number of more than 64 bits");
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number of more than 64 bits")
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], WireError> {
    let (head, tail) = rest.split_at_checked(length).ok_or("it ends within a value")?;
    *rest = tail;
    Ok(head)
}
