//! Values, their types, and the casts between them.

use std::borrow::Cow;
use std::fmt;

/// Longest string, in bytes, that an expression may make (attributes may be longer).
pub const MAX_STRING: usize = 1 << 20;

/// Most work of one evaluation: bytes of the texts that are read from the event or made, and characters that LIKE
/// compares beside. It takes some ten milliseconds.
pub const MAX_WORK: usize = 8 * MAX_STRING;

/// What an expression evaluates to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Also every URI, URI reference, timestamp (RFC 3339) and binary attribute (base64).
    String(Cow<'a, str>),
    Integer(i32),
    Boolean(bool),
}

/// The type of a [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    String,
    Integer,
    Boolean,
}

impl<'a> Value<'a> {
    pub fn type_of(&self) -> Type {
        match self {
            Self::String(_) => Type::String,
            Self::Integer(_) => Type::Integer,
            Self::Boolean(_) => Type::Boolean,
        }
    }

    /// The same value without a copy of its text.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Self::String(text) => Value::String(Cow::Borrowed(text)),
            Self::Integer(number) => Value::Integer(*number),
            Self::Boolean(truth) => Value::Boolean(*truth),
        }
    }

    /// Bytes of the value if it is a text, else 0.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::String(text) => text.len(),
            Self::Integer(_) | Self::Boolean(_) => 0,
        }
    }

    /// The text of the value; a cast to String is always defined.
    pub fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::String(text) => text,
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Boolean(true) => Cow::Borrowed("true"),
            Self::Boolean(false) => Cow::Borrowed("false"),
        }
    }

    /// `None` if the value has no cast to a 32-bit integer.
    pub fn to_integer(&self) -> Option<i32> {
        match self {
            // One optional sign and decimal digits, which is what the specification asks for.
            Self::String(text) => text.parse().ok(),
            Self::Integer(number) => Some(*number),
            Self::Boolean(truth) => Some(i32::from(*truth)),
        }
    }

    /// `None` if the value has no cast to a truth value.
    pub fn to_boolean(&self) -> Option<bool> {
        match self {
            Self::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Self::String(_) => None,
            Self::Integer(number) => Some(*number != 0),
            Self::Boolean(truth) => Some(*truth),
        }
    }

    /// The value as `target`; `None` if there is no such cast.
    pub(crate) fn cast(self, target: Type) -> Option<Self> {
        match target {
            Type::String => Some(Self::String(self.into_text())),
            Type::Integer => self.to_integer().map(Self::Integer),
            Type::Boolean => self.to_boolean().map(Self::Boolean),
        }
    }
}

impl Type {
    /// What stands for a result of this type when there is none.
    pub fn zero(self) -> Value<'static> {
        match self {
            Self::String => Value::String(Cow::Borrowed("")),
            Self::Integer => Value::Integer(0),
            Self::Boolean => Value::Boolean(false),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::String => "String",
            Self::Integer => "Integer",
            Self::Boolean => "Boolean",
        })
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::String(Cow::Owned(text))
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts() {
        // value, as Integer, as Boolean, as String
        let table: [(Value<'_>, Option<i32>, Option<bool>, &str); 14] = [
            ("12".into(), Some(12), None, "12"),
            ("+12".into(), Some(12), None, "+12"),
            ("-2147483648".into(), Some(i32::MIN), None, "-2147483648"),
            ("2147483648".into(), None, None, "2147483648"),
            ("".into(), None, None, ""),
            (" 1".into(), None, None, " 1"),
            ("1.0".into(), None, None, "1.0"),
            ("tRuE".into(), None, Some(true), "tRuE"),
            ("FALSE".into(), None, Some(false), "FALSE"),
            (0.into(), Some(0), Some(false), "0"),
            ((-3).into(), Some(-3), Some(true), "-3"),
            (true.into(), Some(1), Some(true), "true"),
            (false.into(), Some(0), Some(false), "false"),
            ("ü".into(), None, None, "ü"),
        ];
        for (value, integer, boolean, text) in table {
            assert_eq!(value.to_integer(), integer, "{value:?}");
            assert_eq!(value.to_boolean(), boolean, "{value:?}");
            assert_eq!(value.into_text(), text);
        }
    }
}
