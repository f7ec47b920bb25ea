//! Attributes in headers, data in the body as it is.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::attribute::{self, Problem};
use crate::builder::{Builder, known_name, some_data};
use crate::error::ReadError;
use crate::event::{DataKind, Event, Mode, SpecVersion};
use crate::header_value;
use crate::text::Str;
use crate::value::Value;

const PREFIX: &str = "ce-";

pub(super) fn read(headers: &HeaderMap, body: Bytes) -> Result<Event, ReadError> {
    // All names and values are slices of one allocation.
    let (mut count, mut bytes) = (0, 0);
    for (name, value) in attributes(headers) {
        count += 1;
        bytes += name.len() + value.len();
    }
    let content_type = headers.get(CONTENT_TYPE).filter(|value| !value.is_empty());
    bytes += content_type.map_or(0, HeaderValue::len);
    let mut buffer = BytesMut::with_capacity(bytes);
    let mut builder = Builder::with_capacity((count + 1_usize).saturating_sub(4));
    for (name, value) in attributes(headers) {
        if name == "datacontenttype" {
            return Err(ReadError::attribute(name, Problem::IsContentType));
        }
        let name = match known_name(name) {
            Some(known) => known,
            None => {
                attribute::check_name(name).map_err(|problem| ReadError::attribute(name, problem))?;
                buffer.extend_from_slice(name.as_bytes());
                text(&mut buffer, name)?
            }
        };
        header_value::decode(value.as_bytes(), &mut buffer);
        let value = text(&mut buffer, &name)?;
        builder.put(name, Value::String(value))?;
    }
    if let Some(value) = content_type {
        let name = Str::from_static("datacontenttype");
        buffer.extend_from_slice(value.as_bytes());
        let value = text(&mut buffer, &name)?;
        builder.put(name, Value::String(value))?;
    }
    let mut event = builder.finish(Mode::Binary)?;
    event.data = some_data(body);
    Ok(event)
}

/// Names without their prefix; HTTP has made them lower-case.
fn attributes(headers: &HeaderMap) -> impl Iterator<Item = (&str, &HeaderValue)> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().strip_prefix(PREFIX)?, value)))
}

fn text(buffer: &mut BytesMut, name: &str) -> Result<Str, ReadError> {
    Str::from_utf8(buffer.split().freeze()).ok_or_else(|| ReadError::attribute(name, Problem::NotUtf8))
}

pub(super) fn write(event: &Event) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::with_capacity(event.attributes.len() + 6);
    headers.insert("ce-specversion", HeaderValue::from_static(event.version.as_str()));
    headers.insert("ce-id", header_value::encode(&event.id));
    headers.insert("ce-source", header_value::encode(&event.source));
    headers.insert("ce-type", header_value::encode(&event.type_));
    for (name, value) in &event.attributes {
        if name == "datacontenttype" || is_undone(event, name) {
            continue;
        }
        let Some(header) = header_name(name) else { continue };
        let value = match value {
            Value::String(text) => header_value::encode(text),
            Value::Integer(number) => HeaderValue::from(*number),
            Value::Boolean(true) => HeaderValue::from_static("true"),
            Value::Boolean(false) => HeaderValue::from_static("false"),
        };
        headers.insert(header, value);
    }
    match event.data_content_type() {
        Some(text) => {
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                headers.insert(CONTENT_TYPE, value);
            }
        }
        // What a structured event leaves unsaid has to be said here.
        None if event.data.is_some() && event.data_kind == DataKind::Json => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        None => {}
    }
    (headers, event.data.clone().unwrap_or_default())
}

/// Version 0.3 says of a structured event's data that it is base64; reading has decoded it.
fn is_undone(event: &Event, name: &str) -> bool {
    event.version == SpecVersion::V03 && event.mode == Mode::Structured && name == "datacontentencoding"
}

fn header_name(name: &str) -> Option<HeaderName> {
    Some(match name {
        "subject" => HeaderName::from_static("ce-subject"),
        "time" => HeaderName::from_static("ce-time"),
        "dataschema" => HeaderName::from_static("ce-dataschema"),
        "knativebrokerttl" => HeaderName::from_static("ce-knativebrokerttl"),
        "knativearrivaltime" => HeaderName::from_static("ce-knativearrivaltime"),
        "traceparent" => HeaderName::from_static("ce-traceparent"),
        _ => {
            attribute::check_name(name).ok()?;
            let mut header = Vec::with_capacity(PREFIX.len() + name.len());
            header.extend_from_slice(PREFIX.as_bytes());
            header.extend_from_slice(name.as_bytes());
            HeaderName::try_from(header).ok()?
        }
    })
}
