//! Messages whose JSON is not an object: times, quantities, numbers-or-text, raw JSON, unions of JSON schemas.

use jiff::Timestamp;
use serde_json::Value;

use super::DecodeError;
use super::decode::{Budget, in_field, malformed, message, text};
use super::table::{Field, Message, Type, table};
use super::wire::{Fields, Wire};

/// Decodes a message that is one value in JSON.
pub(super) fn scalar(outer: &Message, field: &Field, bytes: &[u8]) -> Result<Value, DecodeError> {
    let parts = Parts::read(outer, bytes)?;
    match field.kind {
        Type::Time => time(outer, field, &parts, "%Y-%m-%dT%H:%M:%SZ"),
        Type::MicroTime => time(outer, field, &parts, "%Y-%m-%dT%H:%M:%S.%6fZ"),
        Type::Quantity => match parts.get(1) {
            Some(wire) => Ok(Value::String(text(outer, field, wire)?)),
            None => Ok(Value::from("0")),
        },
        Type::IntOrString => match parts.number(1) {
            1 => Ok(Value::String(match parts.get(3) {
                Some(wire) => text(outer, field, wire)?,
                None => String::new(),
            })),
            _ => Ok(Value::from(parts.number(2))),
        },
        _ => raw(outer, field, &parts),
    }
}

/// Decodes a union that holds a schema or something simpler.
pub(super) fn schema(
    outer: &Message,
    field: &Field,
    bytes: &[u8],
    budget: &mut Budget,
) -> Result<Value, DecodeError> {
    let Some(index) = table().index("apiextensions.v1.JSONSchemaProps") else {
        return Ok(Value::Null);
    };
    let (mut schema, mut allows, mut list) = (None, false, Vec::new());
    for part in Fields::new(bytes) {
        let (tag, wire) = part.map_err(|problem| malformed(outer, problem))?;
        let nested = wire.bytes().map_err(|problem| malformed(outer, problem));
        match (field.kind, tag) {
            (Type::SchemaOrBool, 1) => {
                allows = wire.varint().map_err(|problem| malformed(outer, problem))? != 0
            }
            (Type::SchemaOrBool, 2) | (Type::SchemaOrList | Type::SchemaOrNames, 1) => {
                schema = Some(message(index, nested?, budget)?);
            }
            (Type::SchemaOrList, 2) => list.push(message(index, nested?, budget)?),
            (Type::SchemaOrNames, 2) => list.push(Value::String(text(outer, field, wire)?)),
            _ => {}
        }
    }
    Ok(match (schema, field.kind) {
        (Some(schema), _) => schema,
        (None, Type::SchemaOrBool) => Value::Bool(allows),
        (None, _) => Value::Array(list),
    })
}

/// A time of no seconds is Go's zero time, which JSON shows as null.
fn time(outer: &Message, field: &Field, parts: &Parts<'_>, format: &str) -> Result<Value, DecodeError> {
    if parts.0.is_empty() {
        return Ok(Value::Null);
    }
    let nanos = i32::try_from(parts.number(2)).unwrap_or(i32::MAX);
    match Timestamp::new(parts.number(1), nanos) {
        Ok(timestamp) => Ok(Value::String(timestamp.strftime(format).to_string())),
        Err(error) => Err(in_field(outer, field, error.to_string())),
    }
}

fn raw(outer: &Message, field: &Field, parts: &Parts<'_>) -> Result<Value, DecodeError> {
    let bytes = match parts.get(1) {
        Some(wire) => wire.bytes().map_err(|problem| malformed(outer, problem))?,
        None => &[],
    };
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes).map_err(|error| in_field(outer, field, error.to_string()))
}

/// The fields of a message of at most a few, by tag; the last one wins.
struct Parts<'a>(Vec<(u32, Wire<'a>)>);

impl<'a> Parts<'a> {
    /// No message read this way has more fields.
    const MAX: usize = 8;

    fn read(outer: &Message, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut parts = Vec::new();
        for part in Fields::new(bytes) {
            if parts.len() == Self::MAX {
                return Err(malformed(outer, "too many fields in a value"));
            }
            parts.push(part.map_err(|problem| malformed(outer, problem))?);
        }
        Ok(Self(parts))
    }

    fn get(&self, tag: u32) -> Option<Wire<'a>> {
        self.0
            .iter()
            .rev()
            .find(|(found, _)| *found == tag)
            .map(|(_, wire)| *wire)
    }

    fn number(&self, tag: u32) -> i64 {
        self.get(tag)
            .and_then(|wire| wire.varint().ok())
            .unwrap_or_default()
            .cast_signed()
    }
}
