//! An event as it is kept in a log: compact, and readable without copying.
//!
//! ```text
//! u8      format, 1
//! u8      bit 0: version 1.0 (else 0.3); bit 1: structured (else binary); bits 2-3: kind of the data (0 JSON, 1 text,
//!         2 binary); bit 4: has data; the others are zero
//! text    id, source, type                     (text: length as a varint, then UTF-8)
//! varint  number of other attributes, of which each is
//!     u8      number of a known name, or 0 and the name as text
//!     u8      0 string, 1 integer, 2 false, 3 true
//!             then the string as text, or the integer in 4 bytes, little-endian
//! rest    data
//! ```
//! Integrity is the log's business. `docs/decisions/0007-stored-events.md` says why it is not JSON or protobuf.

mod wire;

use bytes::Bytes;

use crate::attribute;
use crate::event::{DataKind, Event, Mode, SpecVersion};
use crate::text::Str;
use crate::value::Value;
use wire::Reader;

const FORMAT: u8 = 1;

const V1: u8 = 1;
const STRUCTURED: u8 = 1 << 1;
const KIND: u8 = 0b11 << 2;
const TEXT: u8 = 1 << 2;
const BINARY: u8 = 2 << 2;
const DATA: u8 = 1 << 4;
const ALL: u8 = V1 | STRUCTURED | KIND | DATA;

const STRING: u8 = 0;
const INTEGER: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;

/// Names with numbers, which begin at 1. Part of the format: add at the end, never change.
const NAMES: [&str; 13] = [
    "datacontenttype",
    "subject",
    "time",
    "dataschema",
    "schemaurl",
    "datacontentencoding",
    "knativebrokerttl",
    "knativearrivaltime",
    "traceparent",
    "tracestate",
    "knativeerrordest",
    "knativeerrorcode",
    "knativeerrordata",
];

/// Why a record is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the record has format {0}, of which this version knows nothing")]
    Format(u8),
    #[error("the record ends within an event")]
    Truncated,
    #[error("the record is no event: {0}")]
    Malformed(&'static str),
}

/// Appends the stored form of `event`.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    // What headers, lengths and marks add is less than this for all but unusual events.
    out.reserve(event.size() + 8 * event.attributes.len() + 16);
    out.extend_from_slice(&[FORMAT, flags(event)]);
    for text in [&event.id, &event.source, &event.type_] {
        wire::put_text(text, out);
    }
    wire::put_varint(event.attributes.len(), out);
    for (name, value) in &event.attributes {
        match number(name) {
            Some(number) => out.push(number),
            None => {
                out.push(0);
                wire::put_text(name, out);
            }
        }
        match value {
            Value::String(text) => {
                out.push(STRING);
                wire::put_text(text, out);
            }
            Value::Integer(number) => {
                out.push(INTEGER);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Value::Boolean(truth) => out.push(if *truth { TRUE } else { FALSE }),
        }
    }
    if let Some(data) = &event.data {
        out.extend_from_slice(data);
    }
}

/// Reads a stored event; its parts are slices of `record`.
///
/// # Errors
/// When `record` is not what [`encode`] writes.
pub fn decode(record: Bytes) -> Result<Event, DecodeError> {
    let mut reader = Reader::new(record);
    match reader.byte()? {
        FORMAT => {}
        other => return Err(DecodeError::Format(other)),
    }
    let flags = reader.byte()?;
    let data_kind = match flags & KIND {
        0 => DataKind::Json,
        TEXT => DataKind::Text,
        BINARY => DataKind::Binary,
        _ => return Err(DecodeError::Malformed("unknown kind of data")),
    };
    if flags & !ALL != 0 {
        return Err(DecodeError::Malformed("unknown flags"));
    }
    let (id, source, type_) = (reader.text()?, reader.text()?, reader.text()?);
    let count = reader.varint()?;
    // An attribute takes two bytes at least.
    if count > reader.left() / 2 {
        return Err(DecodeError::Truncated);
    }
    let mut attributes = Vec::with_capacity(count);
    for _ in 0..count {
        attributes.push((attribute_name(&mut reader)?, attribute_value(&mut reader)?));
    }
    let data = reader.rest();
    let data = match (flags & DATA != 0, data.is_empty()) {
        (true, _) => Some(data),
        (false, true) => None,
        (false, false) => return Err(DecodeError::Malformed("bytes after an event without data")),
    };
    if data_kind == DataKind::Text && std::str::from_utf8(data.as_deref().unwrap_or_default()).is_err() {
        return Err(DecodeError::Malformed("text that is not UTF-8"));
    }
    let has = |flag| flags & flag != 0;
    Ok(Event {
        version: if has(V1) {
            SpecVersion::V1
        } else {
            SpecVersion::V03
        },
        mode: if has(STRUCTURED) {
            Mode::Structured
        } else {
            Mode::Binary
        },
        id,
        source,
        type_,
        attributes,
        data,
        data_kind,
    })
}

fn flags(event: &Event) -> u8 {
    let version = match event.version {
        SpecVersion::V1 => V1,
        SpecVersion::V03 => 0,
    };
    let mode = match event.mode {
        Mode::Structured => STRUCTURED,
        Mode::Binary => 0,
    };
    let kind = match event.data_kind {
        DataKind::Json => 0,
        DataKind::Text => TEXT,
        DataKind::Binary => BINARY,
    };
    version | mode | kind | if event.data.is_some() { DATA } else { 0 }
}

fn number(name: &str) -> Option<u8> {
    let index = NAMES.iter().position(|known| *known == name)?;
    u8::try_from(index + 1).ok()
}

fn attribute_name(reader: &mut Reader) -> Result<Str, DecodeError> {
    match reader.byte()? {
        0 => {
            let name = reader.text()?;
            attribute::check_name(&name).map_err(|_| DecodeError::Malformed("name of an attribute"))?;
            Ok(name)
        }
        number => {
            let known = NAMES.get(usize::from(number) - 1);
            known
                .map(|name| Str::from_static(name))
                .ok_or(DecodeError::Malformed("number of an attribute's name"))
        }
    }
}

fn attribute_value(reader: &mut Reader) -> Result<Value, DecodeError> {
    Ok(match reader.byte()? {
        STRING => Value::String(reader.text()?),
        INTEGER => Value::Integer(reader.integer()?),
        FALSE => Value::Boolean(false),
        TRUE => Value::Boolean(true),
        _ => return Err(DecodeError::Malformed("type of an attribute")),
    })
}

#[cfg(test)]
mod tests;
