//! Names that are safe as file names, NATS tokens after escaping, and labels in logs.

use std::fmt;

/// Longest name in bytes: the limit of Kubernetes object names, and under that of file names.
const LONGEST: usize = 253;

/// The key of a topic: opaque, file-name-safe, never used again for something else (the UID of the object).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(String);

/// The name of a consumer within a topic. It keeps its place for whoever comes back with the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerName(String);

/// A name that cannot be a topic or a consumer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name: 1 to 253 of A-Z a-z 0-9 . _ - are, and the first is none of . and -")]
pub struct InvalidName(String);

impl Topic {
    /// Takes 1 to 253 letters, digits, `.`, `_` and `-`, of which the first is neither `.` nor `-`.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        checked(name.into()).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ConsumerName {
    /// Takes the same names as [`Topic::new`].
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        checked(name.into()).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn checked(name: String) -> Result<String, InvalidName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let valid =
        (1..=LONGEST).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with(['.', '-']);
    if valid { Ok(name) } else { Err(InvalidName(name)) }
}

#[cfg(test)]
mod tests {
    use super::Topic;

    #[test]
    fn names_are_safe_as_file_names() {
        let longest = "a".repeat(253);
        for good in ["a", "0b8b2f0e-7c3f-4b62-9d3e-d5e0e6f3a001", "ns_x.y-z", &longest] {
            assert_eq!(
                Topic::new(good).map(|topic| topic.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in [
            "",
            ".",
            "..",
            ".a",
            "-a",
            "a/b",
            "a b",
            "ü",
            "a\0",
            &"a".repeat(254),
        ] {
            assert!(Topic::new(bad).is_err(), "{bad:?}");
        }
    }
}
