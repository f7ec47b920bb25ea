//! Puts an event together from attributes in the order in which a message has them, and checks each.

use bytes::Bytes;

use crate::attribute::{self, MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES, Problem};
use crate::error::ReadError;
use crate::event::{DataKind, Event, Mode, SpecVersion};
use crate::text::Str;
use crate::value::Value;

#[derive(Default)]
pub(crate) struct Builder {
    version: Option<SpecVersion>,
    id: Option<Str>,
    source: Option<Str>,
    type_: Option<Str>,
    attributes: Vec<(Str, Value)>,
    bytes: usize,
}

impl Builder {
    pub(crate) fn with_capacity(attributes: usize) -> Self {
        Self {
            attributes: Vec::with_capacity(attributes.min(MAX_ATTRIBUTES)),
            ..Self::default()
        }
    }

    /// Adds an attribute whose name was found good.
    pub(crate) fn put(&mut self, name: Str, value: Value) -> Result<(), ReadError> {
        self.bytes += name.len();
        if let Value::String(text) = &value {
            self.bytes += text.len();
        }
        if self.bytes > MAX_ATTRIBUTE_BYTES || self.attributes.len() >= MAX_ATTRIBUTES {
            return Err(ReadError::AttributesTooLarge);
        }
        let required = match name.as_str() {
            "specversion" => return self.put_version(&value),
            "id" => &mut self.id,
            "source" => &mut self.source,
            "type" => &mut self.type_,
            _ => {
                if self.attributes.iter().any(|(known, _)| *known == name) {
                    return Err(ReadError::attribute(&name, Problem::Twice));
                }
                self.attributes.push((name, value));
                return Ok(());
            }
        };
        let Value::String(text) = value else {
            return Err(ReadError::attribute(&name, Problem::NotString));
        };
        match required.replace(text) {
            None => Ok(()),
            Some(_) => Err(ReadError::attribute(&name, Problem::Twice)),
        }
    }

    fn put_version(&mut self, value: &Value) -> Result<(), ReadError> {
        let Value::String(text) = value else {
            return Err(ReadError::attribute("specversion", Problem::NotString));
        };
        let version = SpecVersion::parse(text).ok_or_else(|| ReadError::spec_version(text))?;
        match self.version.replace(version) {
            None => Ok(()),
            Some(_) => Err(ReadError::attribute("specversion", Problem::Twice)),
        }
    }

    /// The event without data, if it has what each event must have and all values are good.
    pub(crate) fn finish(self, mode: Mode) -> Result<Event, ReadError> {
        // In the order in which people write them.
        let version = self.version.ok_or(ReadError::Missing("specversion"))?;
        let required = |name: &'static str, text: Option<Str>| {
            let text = text.ok_or(ReadError::Missing(name))?;
            let value = Value::String(text.clone());
            attribute::check_value(version, name, &value)
                .map_err(|problem| ReadError::attribute(name, problem))?;
            Ok(text)
        };
        let event = Event {
            version,
            mode,
            type_: required("type", self.type_)?,
            source: required("source", self.source)?,
            id: required("id", self.id)?,
            attributes: self.attributes,
            data: None,
            data_kind: DataKind::Binary,
        };
        for (name, value) in &event.attributes {
            attribute::check_value(version, name, value)
                .map_err(|problem| ReadError::attribute(name, problem))?;
        }
        Ok(event)
    }
}

/// `name` as an attribute name without a copy, if it is one that the specification or a broker uses.
pub(crate) fn known_name(name: &str) -> Option<Str> {
    let name = match name {
        "id" => "id",
        "source" => "source",
        "type" => "type",
        "specversion" => "specversion",
        "subject" => "subject",
        "time" => "time",
        "datacontenttype" => "datacontenttype",
        "dataschema" => "dataschema",
        "schemaurl" => "schemaurl",
        "datacontentencoding" => "datacontentencoding",
        "knativebrokerttl" => "knativebrokerttl",
        "knativearrivaltime" => "knativearrivaltime",
        "traceparent" => "traceparent",
        "tracestate" => "tracestate",
        _ => return None,
    };
    Some(Str::from_static(name))
}

/// Data that is there, as opposed to an empty body.
pub(crate) fn some_data(bytes: Bytes) -> Option<Bytes> {
    (!bytes.is_empty()).then_some(bytes)
}
