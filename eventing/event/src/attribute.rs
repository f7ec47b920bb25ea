//! What the specification asks of names and values of attributes.

mod time;
mod uri;

use std::fmt;

use crate::event::SpecVersion;
use crate::value::Value;

/// Attributes of one event, the required ones not counted. A message with more is refused.
pub const MAX_ATTRIBUTES: usize = 128;
/// Bytes of all names and values of one event.
pub const MAX_ATTRIBUTE_BYTES: usize = 64 * 1024;

/// What is wrong with an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    Empty,
    Twice,
    /// Another name than letters and digits in lower case.
    Name,
    /// A name that the specification keeps for itself.
    Reserved,
    /// `ce-datacontenttype`, which `Content-Type` is there for.
    IsContentType,
    NotUtf8,
    Characters,
    NotString,
    /// A JSON value that is no attribute value.
    NotScalar,
    /// A number that is no 32-bit integer.
    NotInteger,
    NotUriReference,
    NotAbsoluteUri,
    NotTime,
    NotMediaType,
    NotBase64,
    /// `data` beside `data_base64`.
    DataTwice,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "must not be empty",
            Self::Twice => "is given more than once",
            Self::Name => "must have a name of lower-case letters and digits only",
            Self::Reserved => "must have another name: this one is reserved",
            Self::IsContentType => {
                "must not be sent in a header of its own: Content-Type says what the data is"
            }
            Self::NotUtf8 => "is not UTF-8 (after percent-decoding)",
            Self::Characters => "must not contain control characters or Unicode noncharacters",
            Self::NotString => "must be a JSON string",
            Self::NotScalar => "must be a string, an integer or a Boolean, not an object or array",
            Self::NotInteger => "must be an integer of 32 bits if it is a number",
            Self::NotUriReference => "must be a URI reference (RFC 3986)",
            Self::NotAbsoluteUri => "must be an absolute URI (RFC 3986)",
            Self::NotTime => "must be a timestamp like 2026-01-31T23:59:59.5Z (RFC 3339)",
            Self::NotMediaType => "must be a media type like application/json (RFC 2046)",
            Self::NotBase64 => "must be a string in standard base64",
            Self::DataTwice => "must not be given beside data_base64",
        })
    }
}

/// Checks the name of an attribute.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9')) {
        return Err(Problem::Name);
    }
    if name == "data" {
        return Err(Problem::Reserved);
    }
    Ok(())
}

/// Checks the value of an attribute whose name was found good.
pub(crate) fn check_value(version: SpecVersion, name: &str, value: &Value) -> Result<(), Problem> {
    let known = Known::of(version, name);
    let text = match (value, known) {
        (Value::String(text), _) => text.as_str(),
        (_, None) => return Ok(()),
        (_, Some(_)) => return Err(Problem::NotString),
    };
    if !allowed(text) {
        return Err(Problem::Characters);
    }
    let Some(known) = known else { return Ok(()) };
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    let (good, problem) = match known {
        Known::Text => return Ok(()),
        Known::UriReference => (uri::is_reference(text), Problem::NotUriReference),
        Known::Uri => (uri::is_absolute(text), Problem::NotAbsoluteUri),
        Known::Time => (time::is_rfc3339(text), Problem::NotTime),
        Known::MediaType => (is_media_type(text), Problem::NotMediaType),
    };
    if good { Ok(()) } else { Err(problem) }
}

/// The types of the attributes that the specification defines.
#[derive(Clone, Copy)]
enum Known {
    Text,
    UriReference,
    Uri,
    Time,
    MediaType,
}

impl Known {
    fn of(version: SpecVersion, name: &str) -> Option<Self> {
        let v03 = version == SpecVersion::V03;
        Some(match name {
            "id" | "type" | "subject" => Self::Text,
            "source" => Self::UriReference,
            "time" => Self::Time,
            "datacontenttype" => Self::MediaType,
            "dataschema" if !v03 => Self::Uri,
            // Version 0.3 allowed a relative one.
            "schemaurl" if v03 => Self::UriReference,
            "datacontentencoding" if v03 => Self::Text,
            _ => return None,
        })
    }
}

/// The characters of the type String.
fn allowed(text: &str) -> bool {
    let noncharacter =
        |c: char| matches!(u32::from(c), 0xFDD0..=0xFDEF) || matches!(u32::from(c) & 0xFFFF, 0xFFFE | 0xFFFF);
    if text.is_ascii() {
        return text.bytes().all(|byte| byte >= 0x20 && byte != 0x7F);
    }
    text.chars().all(|c| !c.is_control() && !noncharacter(c))
}

fn is_media_type(text: &str) -> bool {
    let token = |text: &str| {
        let special = |byte: u8| b"()<>@,;:\\\"/[]?= \t".contains(&byte);
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !special(byte))
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence.split_once('/') {
        Some((kind, subtype)) => token(kind) && token(subtype),
        None => token(essence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_letters_and_digits() {
        for (name, expected) in [
            ("a", Ok(())),
            ("c1d2e3", Ok(())),
            ("1", Ok(())),
            ("averyveryveryveryverylongname", Ok(())),
            ("", Err(Problem::Name)),
            ("A", Err(Problem::Name)),
            ("a-b", Err(Problem::Name)),
            ("a_b", Err(Problem::Name)),
            ("ä", Err(Problem::Name)),
            ("data", Err(Problem::Reserved)),
        ] {
            assert_eq!(check_name(name), expected, "{name}");
        }
    }

    #[test]
    fn values_follow_the_type_of_their_attribute() {
        use SpecVersion::{V1, V03};
        for (version, name, value, expected) in [
            (V1, "id", "x", Ok(())),
            (V1, "id", "", Err(Problem::Empty)),
            (V1, "subject", "", Err(Problem::Empty)),
            (V1, "ext", "", Ok(())),
            (V1, "ext", "tab\t", Err(Problem::Characters)),
            (V1, "id", "a\u{85}", Err(Problem::Characters)),
            (V1, "id", "a\u{fffe}", Err(Problem::Characters)),
            (V1, "id", "grün 🌱", Ok(())),
            (V1, "source", "/a/b?c#d", Ok(())),
            (V1, "source", "1:2", Err(Problem::NotUriReference)),
            (V1, "dataschema", "/relative", Err(Problem::NotAbsoluteUri)),
            (V1, "dataschema", "urn:x", Ok(())),
            (V1, "schemaurl", "anything goes", Ok(())),
            (V03, "schemaurl", "/relative", Ok(())),
            (V03, "dataschema", "anything goes", Ok(())),
            (V1, "time", "2020-01-01", Err(Problem::NotTime)),
            (V1, "time", "2020-01-01T00:00:00Z", Ok(())),
            (V1, "datacontenttype", "text/xml; charset=utf-8", Ok(())),
            (V1, "datacontenttype", "text/", Err(Problem::NotMediaType)),
            (V1, "datacontenttype", ";x", Err(Problem::NotMediaType)),
            (V03, "datacontentencoding", "", Err(Problem::Empty)),
            (V1, "datacontentencoding", "", Ok(())),
        ] {
            let found = check_value(version, name, &Value::from(value));
            assert_eq!(found, expected, "{name} {value:?}");
        }
        assert_eq!(check_value(V1, "ext", &Value::from(true)), Ok(()));
        assert_eq!(check_value(V1, "id", &Value::from(1)), Err(Problem::NotString));
    }
}
