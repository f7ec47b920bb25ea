//! Byte ranges: what a client wants of a blob, and where a chunk belongs.

/// Bytes `start..=end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteRange {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl ByteRange {
    pub(super) fn length(&self) -> u64 {
        self.end - self.start + 1
    }
}

/// What a `Range` header asks of content with `size` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// No range, or one that may be ignored (several ranges, another unit; RFC 9110 §14.2).
    Whole,
    Part(ByteRange),
    Unsatisfiable,
}

/// Reads a `Range` header.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((start, end)) = header
        .and_then(|text| text.strip_prefix("bytes="))
        .and_then(|text| text.split_once('-'))
    else {
        return Wanted::Whole;
    };
    let last = size.checked_sub(1);
    let range = match (start.parse::<u64>(), end) {
        (Ok(start), "") => last.map(|end| ByteRange { start, end }),
        (Ok(start), end) => match end.parse::<u64>() {
            Ok(end) if end < start => return Wanted::Whole,
            Ok(end) => last.map(|last| ByteRange {
                start,
                end: end.min(last),
            }),
            Err(_) => return Wanted::Whole,
        },
        (Err(_), suffix) if start.is_empty() => match suffix.parse::<u64>() {
            Ok(0) => None,
            Ok(count) => last.map(|end| ByteRange {
                start: size.saturating_sub(count),
                end,
            }),
            Err(_) => return Wanted::Whole,
        },
        _ => return Wanted::Whole,
    };
    match range {
        Some(range) if range.start < size => Wanted::Part(range),
        _ => Wanted::Unsatisfiable,
    }
}

/// Reads the `Content-Range` of a chunk, which the specification writes as `start-end` without unit or total. `None`
/// when it is none.
pub(super) fn chunk(header: &str) -> Option<ByteRange> {
    let text = header.strip_prefix("bytes ").unwrap_or(header);
    let (start, end) = text.split('/').next()?.split_once('-')?;
    let range = ByteRange {
        start: start.parse().ok()?,
        end: end.parse().ok()?,
    };
    // The end of the largest range would overflow its length.
    (range.start <= range.end && range.end < u64::MAX).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_ask() {
        let part = |start, end| Wanted::Part(ByteRange { start, end });
        let cases = [
            (None, Wanted::Whole),
            (Some("bytes=0-4"), part(0, 4)),
            (Some("bytes=5-"), part(5, 9)),
            (Some("bytes=-3"), part(7, 9)),
            (Some("bytes=-30"), part(0, 9)),
            (Some("bytes=8-100"), part(8, 9)),
            (Some("bytes=10-"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=4-2"), Wanted::Whole),
            (Some("bytes=0-1,3-4"), Wanted::Whole),
            (Some("lines=0-1"), Wanted::Whole),
            (Some("bytes=x-y"), Wanted::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(wanted(header, 10), expected, "{header:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn reads_chunks() {
        assert_eq!(chunk("0-9"), Some(ByteRange { start: 0, end: 9 }));
        assert_eq!(chunk("bytes 3-4/10").unwrap().length(), 2);
        for bad in ["", "5", "9-0", "a-b", "-1-2", "0-18446744073709551615"] {
            assert_eq!(chunk(bad), None, "{bad}");
        }
    }
}
