//! What kind of program a file is, from its first bytes (elf(5)).

/// Bytes that [`Program::read`] wants to see: the header and its table of segments.
pub(crate) const HEAD: usize = 4096;

const MAGIC: &[u8] = b"\x7fELF";
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
/// Segment that names the program which loads this one and its libraries.
const INTERPRETER: u32 = 3;
const EXECUTABLE: u16 = 2;
const SHARED: u16 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// As images call it; `None` for one that is not known here.
    pub architecture: Option<&'static str>,
    /// Needs nothing beside itself.
    pub is_static: bool,
}

impl Program {
    /// The program whose file begins with these bytes; `None` if it is none for 64 bits.
    pub(crate) fn read(head: &[u8]) -> Option<Self> {
        if head.get(..4)? != MAGIC || *head.get(4)? != CLASS_64 || *head.get(5)? != LITTLE_ENDIAN {
            return None;
        }
        if !matches!(number16(head, 16)?, EXECUTABLE | SHARED) {
            return None;
        }
        let architecture = match number16(head, 18)? {
            62 => Some("amd64"),
            183 => Some("arm64"),
            243 => Some("riscv64"),
            _ => None,
        };
        let table = usize::try_from(u64::from_le_bytes(head.get(32..40)?.try_into().ok()?)).ok()?;
        let (size, count) = (usize::from(number16(head, 54)?), usize::from(number16(head, 56)?));
        let mut is_static = true;
        for index in 0..count {
            let at = table.checked_add(index.checked_mul(size)?)?;
            let kind = head.get(at..at.checked_add(4)?)?;
            is_static &= u32::from_le_bytes(kind.try_into().ok()?) != INTERPRETER;
        }
        Some(Self {
            architecture,
            is_static,
        })
    }
}

fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The head of a program.
    pub(crate) fn head(machine: u8, segments: &[u8]) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..4].copy_from_slice(MAGIC);
        (head[4], head[5], head[16], head[18], head[32]) = (2, 1, 2, machine, 64);
        (head[54], head[56]) = (56, u8::try_from(segments.len()).unwrap());
        for kind in segments {
            let mut segment = vec![0; 56];
            segment[0] = *kind;
            head.extend(segment);
        }
        head
    }

    #[test]
    fn programs_are_told_from_other_files() {
        let program = |architecture, is_static| {
            Some(Program {
                architecture,
                is_static,
            })
        };
        for (bytes, expected) in [
            (head(62, &[1, 1]), program(Some("amd64"), true)),
            (head(183, &[1, 3]), program(Some("arm64"), false)),
            (head(99, &[]), program(None, true)),
            (b"#!/bin/sh\n".to_vec(), None),
            (head(62, &[1, 1])[..100].to_vec(), None),
            (vec![], None),
        ] {
            assert_eq!(Program::read(&bytes), expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), real in any::<bool>()) {
            if real && bytes.len() > 6 {
                bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
            }
            Program::read(&bytes);
        }
    }
}
