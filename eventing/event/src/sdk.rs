//! To and from the event type of the CloudEvents SDK, for programs that speak it. What is on the way of requests does
//! not: it would allocate each attribute and parse all JSON.
//!
//! What the SDK cannot say, and what becomes of it:
//! - a time has no offset: it is the same instant in UTC;
//! - a schema is an absolute URL in normal form: a relative one, which version 0.3 allows, is an error;
//! - integers have 64 bits: one that no event may have is an error on the way back;
//! - JSON data is a value: spaces, the order of members and digits beyond an `f64` are lost. Data that only a header
//!   calls JSON stays bytes, so that the bytes of a binary event never change;
//! - `datacontentencoding` of version 0.3 is no attribute that it knows, and becomes an extension;
//! - it does not know how an event came: events from it go binary unless asked otherwise.

use bytes::Bytes;
use cloudevents::event::{ExtensionValue, SpecVersion as SdkVersion, TryIntoTime, TryIntoUrl};
use cloudevents::{AttributesReader, AttributesWriter, Data, EventBuilder, EventBuilderV03};

use crate::attribute;
use crate::builder::Builder;
use crate::error::ReadError;
use crate::event::{DataKind, Event, Mode, SpecVersion};
use crate::text::Str;
use crate::value::Value;

/// Why an event cannot be one of the SDK.
#[derive(Debug, thiserror::Error)]
pub enum SdkError {
    #[error("attribute {0} is nothing that the SDK can say")]
    Attribute(&'static str),
    #[error("the data is no JSON")]
    Json(#[from] serde_json::Error),
    #[error("the event cannot be put into version 0.3")]
    Version,
}

impl TryFrom<&Event> for cloudevents::Event {
    type Error = SdkError;

    fn try_from(event: &Event) -> Result<Self, SdkError> {
        // With the default values of version 1.0, all of which are replaced.
        let mut sdk = Self::default();
        sdk.set_id(event.id.as_str());
        sdk.set_source(event.source.as_str());
        sdk.set_type(event.type_.as_str());
        let time = match event.get("time") {
            Some(time) => Some(
                time.text()
                    .into_owned()
                    .into_time()
                    .map_err(|_| SdkError::Attribute("time"))?,
            ),
            None => None,
        };
        sdk.set_time(time);
        for (name, value) in &event.attributes {
            match (name.as_str(), value) {
                ("time", _) => {}
                ("subject", Value::String(text)) => drop(sdk.set_subject(Some(text.as_str()))),
                ("datacontenttype", Value::String(text)) => {
                    drop(sdk.set_datacontenttype(Some(text.as_str())))
                }
                (name, Value::String(text)) if name == event.version.schema_attribute() => {
                    let url = text
                        .as_str()
                        .into_url()
                        .map_err(|_| SdkError::Attribute("dataschema"))?;
                    drop(sdk.set_dataschema(Some(url)));
                }
                (name, value) => sdk.set_extension(name, extension(value)),
            }
        }
        if let Some(data) = &event.data {
            let lossy = || String::from_utf8_lossy(data).into_owned();
            sdk.set_data_unchecked(match event.data_kind {
                DataKind::Json => Data::Json(serde_json::from_slice(data)?),
                DataKind::Text => Data::String(lossy()),
                DataKind::Binary => Data::Binary(data.to_vec()),
            });
        }
        match event.version {
            SpecVersion::V1 => Ok(sdk),
            SpecVersion::V03 => EventBuilderV03::from(sdk).build().map_err(|_| SdkError::Version),
        }
    }
}

impl TryFrom<&cloudevents::Event> for Event {
    type Error = ReadError;

    fn try_from(sdk: &cloudevents::Event) -> Result<Self, ReadError> {
        let version = match sdk.specversion() {
            SdkVersion::V03 => SpecVersion::V03,
            SdkVersion::V10 => SpecVersion::V1,
        };
        let optional = [
            ("datacontenttype", sdk.datacontenttype().map(str::to_owned)),
            (
                version.schema_attribute(),
                sdk.dataschema().map(ToString::to_string),
            ),
            ("subject", sdk.subject().map(str::to_owned)),
            ("time", sdk.time().map(|time| time.to_rfc3339())),
        ];
        let mut builder = Builder::with_capacity(8);
        let required = [
            ("specversion", version.as_str()),
            ("id", sdk.id()),
            ("source", sdk.source()),
            ("type", sdk.ty()),
        ];
        for (name, text) in required {
            builder.put(Str::from_static(name), Value::from(text))?;
        }
        for (name, text) in optional {
            if let Some(text) = text {
                builder.put(Str::from_static(name), Value::from(text))?;
            }
        }
        for (name, value) in sdk.iter_extensions() {
            attribute::check_name(name).map_err(|problem| ReadError::attribute(name, problem))?;
            let value = match value {
                ExtensionValue::String(text) => Value::from(text.as_str()),
                ExtensionValue::Boolean(truth) => Value::from(*truth),
                ExtensionValue::Integer(number) => Value::from(
                    i32::try_from(*number)
                        .map_err(|_| ReadError::attribute(name, attribute::Problem::NotInteger))?,
                ),
            };
            builder.put(Str::from(name), value)?;
        }
        let mut event = builder.finish(Mode::Binary)?;
        (event.data, event.data_kind) = match sdk.data() {
            None => (None, DataKind::Binary),
            Some(Data::Binary(bytes)) => (Some(Bytes::copy_from_slice(bytes)), DataKind::Binary),
            Some(Data::String(text)) => (Some(Bytes::copy_from_slice(text.as_bytes())), DataKind::Text),
            Some(Data::Json(value)) => (Some(Bytes::from(value.to_string())), DataKind::Json),
        };
        Ok(event)
    }
}

fn extension(value: &Value) -> ExtensionValue {
    match value {
        Value::String(text) => ExtensionValue::from(text.as_str()),
        Value::Integer(number) => ExtensionValue::from(i64::from(*number)),
        Value::Boolean(truth) => ExtensionValue::from(*truth),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_support::any_event;

    /// What of an event survives: see the top of the module.
    fn surviving(event: &Event) -> Event {
        let mut event = event.clone();
        event.mode = Mode::Binary;
        for (name, value) in &mut event.attributes {
            match name.as_str() {
                "time" => *value = Value::from("2026-01-31T22:59:59.500+00:00"),
                "dataschema" | "schemaurl" => *value = Value::from("http://schema/%C3%A4%20b"),
                _ => {}
            }
        }
        event.attributes.sort_by(|a, b| a.0.cmp(&b.0));
        event
    }

    #[test]
    fn what_one_side_cannot_say_is_an_error() {
        let with = |name: &'static str, value: &str| {
            let mut event = Event::new("1", "/me", "t");
            event.set_extension(name, value);
            cloudevents::Event::try_from(&event).map_err(|error| error.to_string())
        };
        assert!(with("time", "1990-12-31T23:59:60Z").is_ok_and(|event| event.time().is_some()));
        assert!(with("time", "x").unwrap_err().contains("time"));
        assert!(with("dataschema", "relative").unwrap_err().contains("dataschema"));
        let mut sdk = with("x", "y").unwrap();
        sdk.set_extension("big", i64::MAX);
        let error = Event::try_from(&sdk).unwrap_err();
        assert_eq!(error.attribute_name(), Some("big"));
    }

    #[test]
    fn events_of_the_sdk_have_no_time_unless_they_had_one() {
        let sdk = cloudevents::Event::try_from(&Event::new("1", "/me", "t")).unwrap();
        assert_eq!(
            (sdk.id(), sdk.source().as_str(), sdk.ty(), sdk.time()),
            ("1", "/me", "t", None)
        );
    }

    proptest! {
        #[test]
        fn events_come_back(event in any_event()) {
            let sdk = cloudevents::Event::try_from(&event).unwrap();
            let mut back = Event::try_from(&sdk).unwrap();
            back.attributes.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert_eq!(back, surviving(&event));
        }
    }
}
