//! From messages to JSON objects.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::table::{Cardinality, Field, Message, Type, table};
use super::union;
use super::wire::{Fields, Wire, WireError, varint};
use super::{DecodeError, MAGIC, MAX_DEPTH, MAX_VALUES};

/// What is left of the bounds on one body.
pub(super) struct Budget {
    values: usize,
    depth: usize,
}

impl Budget {
    fn spend(&mut self) -> Result<(), DecodeError> {
        self.values = self.values.checked_sub(1).ok_or(DecodeError::TooLarge)?;
        Ok(())
    }
}

/// Decodes the magic, the envelope and the object in it.
pub(super) fn envelope(body: &[u8]) -> Result<Value, DecodeError> {
    let body = body.strip_prefix(MAGIC).ok_or(DecodeError::NotKubernetes)?;
    let malformed = |problem| DecodeError::Malformed {
        message: "runtime.Unknown",
        problem,
    };
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields::new(body) {
        let (tag, value) = field.map_err(malformed)?;
        match tag {
            1 => {
                for field in Fields::new(value.bytes().map_err(malformed)?) {
                    let (tag, value) = field.map_err(malformed)?;
                    let target = match tag {
                        1 => &mut api_version,
                        2 => &mut kind,
                        _ => continue,
                    };
                    *target = String::from_utf8_lossy(value.bytes().map_err(malformed)?).into_owned();
                }
            }
            2 => raw = value.bytes().map_err(malformed)?,
            _ => {}
        }
    }
    let Some(message) = message_name(&api_version, &kind).and_then(|name| table().index(&name)) else {
        return Err(DecodeError::UnknownKind { api_version, kind });
    };
    let mut budget = Budget {
        values: MAX_VALUES,
        depth: MAX_DEPTH,
    };
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), Value::String(api_version));
    object.insert("kind".to_owned(), Value::String(kind));
    if let Some(message) = table().get(message) {
        merge(message, raw, &mut object, &mut budget)?;
    }
    Ok(Value::Object(object))
}

/// Names the message of a kind: `apps/v1` Deployment is `apps.v1.Deployment`. Packages are named by the first part of
/// their group, and options are of one package whatever version the client states.
fn message_name(api_version: &str, kind: &str) -> Option<String> {
    if kind == "DeleteOptions" {
        return Some("meta.v1.DeleteOptions".to_owned());
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    Some(format!("{}.{version}.{kind}", group.split('.').next()?))
}

/// Decodes a message by index, as an object, or as a list where the message stands for one.
pub(super) fn message(index: usize, bytes: &[u8], budget: &mut Budget) -> Result<Value, DecodeError> {
    let Some(message) = table().get(index) else {
        return Ok(Value::Null);
    };
    budget.depth = budget.depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
    let value = if let Some(item) = message.list() {
        let mut items = Vec::new();
        for field in Fields::new(bytes) {
            let (tag, wire) = field.map_err(|problem| malformed(message, problem))?;
            if tag == item.tag {
                items.push(single(message, item, wire, budget)?);
            }
        }
        Value::Array(items)
    } else {
        let mut object = Map::new();
        merge(message, bytes, &mut object, budget)?;
        Value::Object(object)
    };
    budget.depth += 1;
    Ok(value)
}

/// Decodes the fields of a message into `object`.
fn merge(
    message: &Message,
    bytes: &[u8],
    object: &mut Map<String, Value>,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    for field in Fields::new(bytes) {
        let (tag, wire) = field.map_err(|problem| malformed(message, problem))?;
        let Some(field) = message.field(tag) else { continue };
        match (field.name, field.cardinality) {
            (None, _) => embedded(message, field, wire, object, budget)?,
            (Some(name), Cardinality::One) => {
                let value = single(message, field, wire, budget)?;
                if !value.is_null() && (field.show_zero || !is_zero(&value)) {
                    object.insert(name.to_owned(), value);
                }
            }
            (Some(name), Cardinality::List) => {
                let items = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(items) = items {
                    list(message, field, wire, items, budget)?;
                }
            }
            (Some(name), Cardinality::Map) => {
                let entries = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(entries) = entries {
                    let (key, value) = entry(message, field, wire, budget)?;
                    entries.insert(key, value);
                }
            }
        }
    }
    Ok(())
}

/// An embedded struct is a message on the wire, and part of its parent in JSON.
fn embedded(
    outer: &Message,
    field: &Field,
    wire: Wire<'_>,
    object: &mut Map<String, Value>,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    let Type::Message(index) = field.kind else {
        return Ok(());
    };
    let bytes = wire.bytes().map_err(|problem| malformed(outer, problem))?;
    budget.depth = budget.depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
    if let Some(inner) = table().get(index) {
        merge(inner, bytes, object, budget)?;
    }
    budget.depth += 1;
    Ok(())
}

/// Appends the value of a list field: one item, or many numbers packed together.
fn list(
    message: &Message,
    field: &Field,
    wire: Wire<'_>,
    items: &mut Vec<Value>,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    if let (Type::Integer, Wire::Bytes(mut packed)) = (field.kind, wire) {
        while !packed.is_empty() {
            budget.spend()?;
            let number = varint(&mut packed).map_err(|problem| malformed(message, problem))?;
            items.push(Value::from(number.cast_signed()));
        }
        return Ok(());
    }
    items.push(single(message, field, wire, budget)?);
    Ok(())
}

/// A map is a list of messages with a key and a value.
fn entry(
    message: &Message,
    field: &Field,
    wire: Wire<'_>,
    budget: &mut Budget,
) -> Result<(String, Value), DecodeError> {
    let bytes = wire.bytes().map_err(|problem| malformed(message, problem))?;
    let (mut key, mut value) = (String::new(), None);
    for part in Fields::new(bytes) {
        match part.map_err(|problem| malformed(message, problem))? {
            (1, wire) => key = text(message, field, wire)?,
            (2, wire) => value = Some(single(message, field, wire, budget)?),
            _ => {}
        }
    }
    let value = match value {
        Some(value) => value,
        None => single(message, field, empty(field.kind), budget)?,
    };
    Ok((key, value))
}

/// The value that a map entry without one stands for.
fn empty(kind: Type) -> Wire<'static> {
    match kind {
        Type::Bool | Type::Integer => Wire::Varint(0),
        Type::Double => Wire::Fixed64(0),
        _ => Wire::Bytes(&[]),
    }
}

/// Decodes one value of a field's type. Null stands for a value that JSON leaves out.
pub(super) fn single(
    message: &Message,
    field: &Field,
    wire: Wire<'_>,
    budget: &mut Budget,
) -> Result<Value, DecodeError> {
    budget.spend()?;
    let wire_error = |problem| malformed(message, problem);
    Ok(match field.kind {
        Type::Text => Value::String(text(message, field, wire)?),
        Type::Bool => Value::Bool(wire.varint().map_err(wire_error)? != 0),
        // 32-bit numbers are sign-extended on the wire.
        Type::Integer => Value::from(wire.varint().map_err(wire_error)?.cast_signed()),
        Type::Double => match wire {
            Wire::Fixed64(bits) => Value::from(f64::from_bits(bits)),
            _ => return Err(wire_error("a double of the wrong size")),
        },
        Type::Bytes => Value::String(STANDARD.encode(wire.bytes().map_err(wire_error)?)),
        Type::Message(index) => self::message(index, wire.bytes().map_err(wire_error)?, budget)?,
        Type::Time | Type::MicroTime | Type::Quantity | Type::IntOrString | Type::Raw => {
            union::scalar(message, field, wire.bytes().map_err(wire_error)?)?
        }
        Type::SchemaOrList | Type::SchemaOrBool | Type::SchemaOrNames => {
            union::schema(message, field, wire.bytes().map_err(wire_error)?, budget)?
        }
    })
}

pub(super) fn text(message: &Message, field: &Field, wire: Wire<'_>) -> Result<String, DecodeError> {
    let bytes = wire.bytes().map_err(|problem| malformed(message, problem))?;
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(in_field(message, field, error.to_string())),
    }
}

pub(super) fn malformed(message: &Message, problem: WireError) -> DecodeError {
    DecodeError::Malformed {
        message: message.name,
        problem,
    }
}

pub(super) fn in_field(message: &Message, field: &Field, problem: String) -> DecodeError {
    DecodeError::Field {
        message: message.name,
        field: field.name.unwrap_or_default(),
        problem,
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}
