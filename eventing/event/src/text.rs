//! Text as a slice of the bytes it came in.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

/// UTF-8 text that is cheap to clone: a part of a request's or record's bytes, or a constant.
///
/// It keeps the whole buffer alive that it is a part of.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Str(Bytes);

impl Str {
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// `None` if the bytes are not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).ok()?;
        Some(Self(bytes))
    }

    /// `part` as a slice of `whole`, or a copy of it if it lies elsewhere.
    pub(crate) fn within(whole: &Bytes, part: &str) -> Self {
        let (start, end) = (whole.as_ptr().addr(), whole.as_ptr().addr() + whole.len());
        let at = part.as_ptr().addr();
        if at < start || at + part.len() > end {
            return Self::from(part);
        }
        Self(whole.slice_ref(part.as_bytes()))
    }

    #[expect(
        unsafe_code,
        reason = "filters look at every attribute of every event: checking again each time would cost more than they do"
    )]
    pub fn as_str(&self) -> &str {
        // SAFETY: every constructor takes a `str` or has checked the bytes, and `Bytes` does not change.
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        self
    }
}

/// As `str` hashes, which `Borrow` asks for.
impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<Cow<'_, str>> for Str {
    fn from(text: Cow<'_, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::from(text),
            Cow::Owned(text) => Self::from(text),
        }
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf8_becomes_text() {
        assert_eq!(Str::from_utf8(Bytes::from_static("ä".as_bytes())).unwrap(), "ä");
        assert_eq!(Str::from_utf8(Bytes::from_static(b"\xc3")), None);
    }

    #[test]
    fn a_part_of_a_buffer_is_not_copied() {
        let whole = Bytes::from_static(b"hello world");
        let text = std::str::from_utf8(&whole).unwrap();
        let part = Str::within(&whole, &text[6..]);
        assert_eq!(part, "world");
        assert_eq!(part.as_bytes().as_ptr(), whole[6..].as_ptr());
        assert_eq!(Str::within(&whole, "elsewhere"), "elsewhere");
        assert_eq!(Str::within(&whole, ""), "");
    }
}
