//! One event in memory.

use bytes::Bytes;

use crate::text::Str;
use crate::value::{Value, ValueRef};

/// The version of the specification that an event is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpecVersion {
    V03,
    /// 1.0, which 1.0.1 and 1.0.2 call themselves, too.
    V1,
}

impl SpecVersion {
    /// The value of the attribute `specversion`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V03 => "0.3",
            Self::V1 => "1.0",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "1.0" => Some(Self::V1),
            "0.3" => Some(Self::V03),
            _ => None,
        }
    }

    /// What this version calls the schema of the data.
    pub fn schema_attribute(self) -> &'static str {
        match self {
            Self::V03 => "schemaurl",
            Self::V1 => "dataschema",
        }
    }
}

/// How an event is laid out in an HTTP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Attributes in headers, data in the body.
    Binary,
    /// All in one JSON object in the body.
    Structured,
}

/// What the bytes of an event's data were when they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataKind {
    /// The text of a JSON value: the member `data` of a structured event.
    Json,
    /// The characters of the JSON string that a structured event had as its `data`.
    Text,
    /// Bytes: the body of a binary event, or a decoded `data_base64`.
    Binary,
}

/// One CloudEvent.
///
/// The three attributes that each event has are fields; all others, those of the specification included, are in
/// [`attributes`](Self::attributes) under the names that they have in the event's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub version: SpecVersion,
    /// How it came; without a wish of the subscriber it leaves in the same way.
    pub mode: Mode,
    pub id: Str,
    pub source: Str,
    pub type_: Str,
    /// Optional attributes and extensions, each name once, in the order in which they came.
    pub attributes: Vec<(Str, Value)>,
    /// `None` if the event has no data, which is not the same as empty data or JSON `null`. A binary message cannot
    /// tell empty data from none: it is read as none.
    pub data: Option<Bytes>,
    pub data_kind: DataKind,
}

impl Event {
    /// A binary event of version 1.0 without data.
    pub fn new(id: impl Into<Str>, source: impl Into<Str>, type_: impl Into<Str>) -> Self {
        Self {
            version: SpecVersion::V1,
            mode: Mode::Binary,
            id: id.into(),
            source: source.into(),
            type_: type_.into(),
            attributes: Vec::new(),
            data: None,
            data_kind: DataKind::Binary,
        }
    }

    /// The attribute `name`, in lower case. The schema of the data is found under both of its names, and
    /// `datamediatype` is the part of `datacontenttype` before its parameters.
    pub fn get(&self, name: &str) -> Option<ValueRef<'_>> {
        match name {
            "type" => Some(ValueRef::String(&self.type_)),
            "source" => Some(ValueRef::String(&self.source)),
            "id" => Some(ValueRef::String(&self.id)),
            "specversion" => Some(ValueRef::String(self.version.as_str())),
            "dataschema" | "schemaurl" => self.optional(self.version.schema_attribute()),
            "datamediatype" => self.optional(name).or_else(|| {
                let media_type = self.data_content_type()?.split(';').next()?;
                Some(ValueRef::String(media_type.trim()))
            }),
            _ => self.optional(name),
        }
    }

    fn optional(&self, name: &str) -> Option<ValueRef<'_>> {
        let (_, value) = self.attributes.iter().find(|(known, _)| known == name)?;
        Some(value.borrow())
    }

    /// The media type of the data.
    pub fn data_content_type(&self) -> Option<&str> {
        self.optional("datacontenttype")?.as_str()
    }

    /// The attribute `name` as a number, also when a header has made text of it.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_integer().map(i64::from)
    }

    /// Sets an optional attribute or extension. `name` must be letters and digits in lower case, and none of the
    /// required ones.
    pub fn set_extension(&mut self, name: impl Into<Str>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.attributes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((name, value)),
        }
    }

    /// Removes an optional attribute or extension, and says what it was.
    pub fn remove_extension(&mut self, name: &str) -> Option<Value> {
        let at = self.attributes.iter().position(|(known, _)| known == name)?;
        Some(self.attributes.remove(at).1)
    }

    /// Bytes of the attributes and the data, about what it takes to hold the event.
    pub fn size(&self) -> usize {
        let attributes: usize = self
            .attributes
            .iter()
            .map(|(name, value)| {
                name.len()
                    + match value {
                        Value::String(text) => text.len(),
                        Value::Integer(_) | Value::Boolean(_) => 4,
                    }
            })
            .sum();
        let data = self.data.as_ref().map_or(0, Bytes::len);
        self.id.len() + self.source.len() + self.type_.len() + attributes + data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(version: SpecVersion) -> Event {
        let mut event = Event::new("1", "/me", "dev.example");
        event.version = version;
        event.set_extension(version.schema_attribute(), "http://schema");
        event.set_extension("datacontenttype", "text/plain ; charset=utf-8");
        event.set_extension("count", "7");
        event
    }

    #[test]
    fn attributes_are_found_by_name() {
        for version in [SpecVersion::V03, SpecVersion::V1] {
            let event = event(version);
            for (name, expected) in [
                ("id", Some("1")),
                ("source", Some("/me")),
                ("type", Some("dev.example")),
                ("specversion", Some(version.as_str())),
                ("dataschema", Some("http://schema")),
                ("schemaurl", Some("http://schema")),
                ("datacontenttype", Some("text/plain ; charset=utf-8")),
                ("datamediatype", Some("text/plain")),
                ("subject", None),
                ("data", None),
            ] {
                let found = event.get(name).and_then(ValueRef::as_str);
                assert_eq!(found, expected, "{name}");
            }
            assert_eq!(event.integer("count"), Some(7));
            assert_eq!(event.integer("id"), Some(1));
            assert_eq!(event.integer("source"), None);
        }
    }

    #[test]
    fn extensions_are_replaced_and_removed() {
        let mut event = event(SpecVersion::V1);
        let before = event.attributes.len();
        event.set_extension("count", 8);
        assert_eq!(event.get("count"), Some(ValueRef::Integer(8)));
        assert_eq!(event.attributes.len(), before);
        assert_eq!(event.remove_extension("count"), Some(Value::Integer(8)));
        assert_eq!(event.remove_extension("count"), None);
        assert_eq!(event.get("count"), None);
    }
}
