//! One line of a CRI log file: `<time> <stream> <P|F> <text>`.

use jiff::Timestamp;

/// A record that borrows its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    time: &'a [u8],
    text: &'a [u8],
    /// Whether the line of the container ends here.
    pub(super) is_full: bool,
}

impl<'a> Record<'a> {
    /// `None` for a line that no shim wrote.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut parts = line.splitn(4, |&byte| byte == b' ');
        let (time, _stream, tag, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_full = match tag {
            b"F" => true,
            b"P" => false,
            _ => return None,
        };
        Some(Self { time, text, is_full })
    }

    pub(super) fn time_text(&self) -> &'a [u8] {
        self.time
    }

    pub(super) fn time(&self) -> Option<Timestamp> {
        std::str::from_utf8(self.time).ok()?.parse().ok()
    }

    pub(super) fn text(&self) -> &'a [u8] {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_a_shim_writes() {
        let record = Record::parse(b"1970-01-01T00:00:01.5Z stderr P a b  c\n").unwrap();
        assert_eq!((record.text(), record.is_full), (&b"a b  c"[..], false));
        assert_eq!(record.time(), Some(Timestamp::from_millisecond(1500).unwrap()));
        assert_eq!(Record::parse(b"t stdout F \n").unwrap().text(), b"");
        assert_eq!(Record::parse(b"t stdout X text\n"), None);
        assert_eq!(Record::parse(b"\n"), None);
    }

    proptest! {
        #[test]
        fn never_panics(line in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Record::parse(&line).map(|record| record.time());
        }
    }
}
