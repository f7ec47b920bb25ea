//! The whole event as one JSON object.
//!
//! The object is parted into its members without looking into them; the data keeps the text it came as.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::value::RawValue;

use crate::attribute::{self, Problem};
use crate::builder::{Builder, known_name};
use crate::error::ReadError;
use crate::event::{DataKind, Event, Mode, SpecVersion};
use crate::http::members::Members;
use crate::media_type::{self, STRUCTURED};
use crate::text::Str;
use crate::value::Value;

/// Takes padding or leaves it: senders differ, and nothing can be mistaken.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn read(body: &Bytes) -> Result<Event, ReadError> {
    let Members(members) =
        serde_json::from_slice(body).map_err(|error| ReadError::Json(error.to_string()))?;
    let mut builder = Builder::with_capacity(members.len().saturating_sub(4));
    let (mut data, mut data_base64) = (None, None);
    for (name, raw) in members {
        let slot = match name.as_ref() {
            "data" => &mut data,
            "data_base64" => &mut data_base64,
            _ => {
                let name = attribute_name(body, &name)?;
                if let Some(value) = attribute_value(body, &name, raw)? {
                    builder.put(name, value)?;
                }
                continue;
            }
        };
        if slot.replace(raw).is_some() {
            return Err(ReadError::attribute(&name, Problem::Twice));
        }
    }
    let event = builder.finish(Mode::Structured)?;
    let data_base64 = data_base64.filter(|raw| raw.get() != "null");
    match (data, data_base64) {
        (Some(data), Some(_)) if data.get() != "null" => {
            Err(ReadError::attribute("data", Problem::DataTwice))
        }
        (_, Some(encoded)) => with_base64(event, body, "data_base64", encoded),
        (Some(data), None) => with_data(event, body, data),
        (None, None) => Ok(event),
    }
}

/// Upper-case letters are taken for lower-case ones, as other readers do.
fn attribute_name(body: &Bytes, name: &str) -> Result<Str, ReadError> {
    let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    };
    if let Some(known) = known_name(&name) {
        return Ok(known);
    }
    attribute::check_name(&name).map_err(|problem| ReadError::attribute(&name, problem))?;
    Ok(Str::within(body, &name))
}

/// `None` for `null`, which is the same as absence.
fn attribute_value(body: &Bytes, name: &str, raw: &RawValue) -> Result<Option<Value>, ReadError> {
    let fails = |problem| ReadError::attribute(name, problem);
    let text = raw.get();
    Ok(Some(match text.as_bytes().first() {
        Some(b'n') => return Ok(None),
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'"') => Value::String(string(body, text).map_err(|()| fails(Problem::NotUtf8))?),
        Some(b'[' | b'{') => return Err(fails(Problem::NotScalar)),
        _ => Value::Integer(text.parse().map_err(|_| fails(Problem::NotInteger))?),
    }))
}

/// What a JSON string says. Fails if it has half a surrogate pair, which no UTF-8 can say.
fn string(body: &Bytes, quoted: &str) -> Result<Str, ()> {
    if let Some(inner) = quoted.get(1..quoted.len().saturating_sub(1))
        && !inner.contains('\\')
    {
        return Ok(Str::within(body, inner));
    }
    let text: String = serde_json::from_str(quoted).map_err(|_| ())?;
    Ok(Str::from(text))
}

fn with_data(mut event: Event, body: &Bytes, raw: &RawValue) -> Result<Event, ReadError> {
    if event.version == SpecVersion::V03 && is_base64(&event) {
        return with_base64(event, body, "data", raw);
    }
    let text = raw.get();
    let json = event.data_content_type().is_none_or(media_type::is_json);
    if text.starts_with('"') && !json {
        let characters = string(body, text).map_err(|()| ReadError::attribute("data", Problem::NotUtf8))?;
        event.data = Some(characters.as_bytes().clone());
        event.data_kind = DataKind::Text;
    } else {
        // A JSON value beside another media type stays what it is: only strings have a second meaning.
        event.data = Some(Str::within(body, text).as_bytes().clone());
        event.data_kind = DataKind::Json;
    }
    Ok(event)
}

fn with_base64(mut event: Event, body: &Bytes, name: &str, raw: &RawValue) -> Result<Event, ReadError> {
    let fails = |problem| ReadError::attribute(name, problem);
    if !raw.get().starts_with('"') {
        return Err(fails(Problem::NotBase64));
    }
    let text = string(body, raw.get()).map_err(|()| fails(Problem::NotBase64))?;
    let decoded = BASE64
        .decode(text.as_bytes())
        .map_err(|_| fails(Problem::NotBase64))?;
    event.data = Some(Bytes::from(decoded));
    event.data_kind = DataKind::Binary;
    Ok(event)
}

fn is_base64(event: &Event) -> bool {
    event
        .get("datacontentencoding")
        .and_then(|encoding| encoding.as_str())
        .is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64"))
}

pub(super) fn write(event: &Event) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(STRUCTURED));
    let mut out = Vec::with_capacity(event.size() * 4 / 3 + 256);
    object(event, &mut out);
    (headers, Bytes::from(out))
}

/// Appends the event as a JSON object.
pub(super) fn object(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"specversion\":\"");
    out.extend_from_slice(event.version.as_str().as_bytes());
    out.push(b'"');
    for (name, text) in [
        ("id", &event.id),
        ("source", &event.source),
        ("type", &event.type_),
    ] {
        member(name, out);
        json_string(text, out);
    }
    let encoding = encoding(event);
    for (name, value) in &event.attributes {
        if attribute::check_name(name).is_err() || (name == "datacontentencoding" && encoding.says()) {
            continue;
        }
        member(name, out);
        match value {
            Value::String(text) => json_string(text, out),
            Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Boolean(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        }
    }
    if let Some(data) = &event.data {
        encoding.write(data, out);
    }
    out.push(b'}');
}

/// How data is put into the object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// As the JSON value that it is.
    Json,
    /// As a string of its characters.
    Text,
    /// As `data_base64`.
    Base64,
    /// As 0.3 says bytes: a string, and an attribute that says what it is.
    Base64V03,
    /// As a string that is base64 already.
    Encoded,
}

impl Encoding {
    /// Whether it writes the attribute `datacontentencoding`.
    fn says(self) -> bool {
        matches!(self, Self::Base64V03 | Self::Encoded)
    }

    fn write(self, data: &[u8], out: &mut Vec<u8>) {
        if self.says() {
            member("datacontentencoding", out);
            json_string("base64", out);
        }
        member(
            if self == Self::Base64 {
                "data_base64"
            } else {
                "data"
            },
            out,
        );
        match (self, std::str::from_utf8(data)) {
            (Self::Json, _) => out.extend_from_slice(data),
            (Self::Text | Self::Encoded, Ok(text)) => json_string(text, out),
            _ => base64(data, out),
        }
    }
}

/// Events leave as they came if they came structured; the body of a binary one is what its media type says, as far as
/// that is true.
fn encoding(event: &Event) -> Encoding {
    let Some(data) = &event.data else {
        return Encoding::Json;
    };
    let v03 = event.version == SpecVersion::V03;
    let bytes = if v03 {
        Encoding::Base64V03
    } else {
        Encoding::Base64
    };
    match (event.data_kind, event.mode) {
        (DataKind::Json, _) => Encoding::Json,
        (DataKind::Text, _) => Encoding::Text,
        (DataKind::Binary, Mode::Structured) => bytes,
        (DataKind::Binary, Mode::Binary) if v03 && is_base64(event) && BASE64.decode(data).is_ok() => {
            Encoding::Encoded
        }
        (DataKind::Binary, Mode::Binary) => {
            let content_type = event.data_content_type().unwrap_or_default();
            if media_type::is_json(content_type) && serde_json::from_slice::<&RawValue>(data).is_ok() {
                Encoding::Json
            } else if media_type::is_text(content_type) && std::str::from_utf8(data).is_ok() {
                Encoding::Text
            } else {
                bytes
            }
        }
    }
}

fn member(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn json_string(text: &str, out: &mut Vec<u8>) {
    // Writing text into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn base64(data: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(data).as_bytes());
    out.push(b'"');
}
