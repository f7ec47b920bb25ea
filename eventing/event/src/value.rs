//! Values of attributes.

use std::borrow::Cow;
use std::fmt;

use crate::text::Str;

/// The value of an attribute, in memory.
///
/// Timestamps, URIs and binary values are their canonical text: a header cannot tell them from strings, and neither
/// may a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    String(Str),
    Integer(i32),
    Boolean(bool),
}

/// A borrowed [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueRef<'a> {
    String(&'a str),
    Integer(i32),
    Boolean(bool),
}

impl Value {
    pub fn borrow(&self) -> ValueRef<'_> {
        match self {
            Self::String(text) => ValueRef::String(text),
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Boolean(truth) => ValueRef::Boolean(*truth),
        }
    }
}

impl<'a> ValueRef<'a> {
    /// As it is written in a header, before percent-encoding.
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Self::String(text) => Cow::Borrowed(text),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Boolean(true) => Cow::Borrowed("true"),
            Self::Boolean(false) => Cow::Borrowed("false"),
        }
    }

    /// The text, if this is a string.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::String(text) => Some(text),
            Self::Integer(_) | Self::Boolean(_) => None,
        }
    }

    /// The number, also when a header has made text of it.
    pub fn as_integer(self) -> Option<i32> {
        match self {
            Self::Integer(number) => Some(number),
            Self::String(text) => text.parse().ok(),
            Self::Boolean(_) => None,
        }
    }
}

impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

impl From<Str> for Value {
    fn from(text: Str) -> Self {
        Self::String(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_text_and_as_numbers() {
        for (value, text, number) in [
            (Value::from("a b"), "a b", None),
            (Value::from("-7"), "-7", Some(-7)),
            (Value::from("2147483648"), "2147483648", None),
            (Value::from(254), "254", Some(254)),
            (Value::from(true), "true", None),
            (Value::from(false), "false", None),
        ] {
            assert_eq!(value.borrow().text(), text);
            assert_eq!(value.borrow().as_integer(), number, "{text}");
        }
    }
}
