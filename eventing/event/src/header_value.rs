//! Attribute values as header values: percent-encoding as the HTTP binding asks for it.
//!
//! Encoded are the space, `"`, `%` and all that is outside U+0021–U+007E, in UTF-8. What is read may be encoded, quoted
//! or raw: not every SDK encodes.

use bytes::BytesMut;
use http::HeaderValue;

use crate::text::Str;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The header value that stands for `text`; without a copy if nothing has to be encoded.
pub(crate) fn encode(text: &Str) -> HeaderValue {
    let plain = |byte: &u8| matches!(byte, 0x21..=0x7E) && !matches!(byte, b'"' | b'%');
    let bytes = text.as_bytes();
    if bytes.iter().all(plain) {
        return valid(HeaderValue::from_maybe_shared(bytes.clone()));
    }
    let mut encoded = Vec::with_capacity(bytes.len() + 16);
    for byte in bytes {
        if plain(byte) {
            encoded.push(*byte);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
            encoded.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    valid(HeaderValue::try_from(encoded))
}

fn valid<E>(value: Result<HeaderValue, E>) -> HeaderValue {
    // Cannot fail: only U+0021–U+007E is left.
    value.unwrap_or(HeaderValue::from_static(""))
}

/// Appends what a header value stands for to `out`; never more bytes than the value has. The caller checks that it
/// is UTF-8.
pub(crate) fn decode(value: &[u8], out: &mut BytesMut) {
    if !value.iter().any(|byte| matches!(byte, b'%' | b'"')) {
        out.extend_from_slice(value);
        return;
    }
    match quoted(value) {
        Some(unquoted) => percent_decode(&unquoted, out),
        None => percent_decode(value, out),
    }
}

/// What stands between double quotes, unescaped; `None` if the value is not a quoted string as a whole.
fn quoted(value: &[u8]) -> Option<Vec<u8>> {
    let inner = value.strip_prefix(b"\"")?;
    let mut unescaped = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return bytes.as_slice().is_empty().then_some(unescaped),
            b'\\' => unescaped.push(*bytes.next()?),
            other => unescaped.push(*other),
        }
    }
    None
}

/// One pass. A `%` without two digits behind it is itself.
fn percent_decode(value: &[u8], out: &mut BytesMut) {
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let escape = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escape {
            Some((high, low)) => {
                out.extend_from_slice(&[high << 4 | low]);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.extend_from_slice(&[*first]);
                rest = after;
            }
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(value: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        decode(value, &mut out);
        assert!(out.len() <= value.len());
        out.to_vec()
    }

    #[test]
    fn values_are_encoded_as_the_binding_says() {
        for (text, encoded) in [
            ("plain/text?x=1&y~", "plain/text?x=1&y~"),
            ("a b", "a%20b"),
            ("100%", "100%25"),
            ("\"q\"", "%22q%22"),
            ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("\u{7f}", "%7F"),
            ("", ""),
        ] {
            assert_eq!(encode(&Str::from(text)), encoded);
        }
    }

    #[test]
    fn values_are_read_encoded_quoted_or_raw() {
        for (value, text) in [
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            ("%e2%82%ac", "€"),
            ("€", "€"),
            ("a b", "a b"),
            ("%2520", "%20"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            (r#""a \"b\" \\ %20c""#, r#"a "b" \  c"#),
            (r#""""#, ""),
            (r#"""#, r#"""#),
            (r#""a"b"#, r#""a"b"#),
            (r#""a\"#, r#""a\"#),
            (r#"a"b""#, r#"a"b""#),
        ] {
            assert_eq!(decoded(value.as_bytes()), text.as_bytes(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>()) {
            let header = encode(&Str::from(text.as_str()));
            prop_assert_eq!(decoded(header.as_bytes()), text.as_bytes());
        }

        #[test]
        fn any_bytes_can_be_read(bytes in any::<Vec<u8>>()) {
            decoded(&bytes);
        }
    }
}
