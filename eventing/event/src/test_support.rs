//! Events of all kinds, for property tests.

use bytes::Bytes;
use proptest::prelude::*;

use crate::event::{DataKind, Event, Mode, SpecVersion};
use crate::media_type;
use crate::text::Str;
use crate::value::Value;

/// Any event that can be read from a binary message or a structured one.
pub(crate) fn any_event() -> impl Strategy<Value = Event> {
    let version = prop_oneof![Just(SpecVersion::V03), Just(SpecVersion::V1)];
    let required = ("[^\\p{C}]{1,12}", "/[^\\p{C}]{0,12}", "[^\\p{C}]{1,12}");
    let extensions = prop::collection::btree_map("x[a-z0-9]{1,8}", any_value(), 0..5);
    let known = (
        prop::option::of("[^\\p{C}]{1,8}"),
        prop::option::of(Just("2026-01-31T23:59:59.5+01:00")),
        prop::option::of(Just("http://schema/ä b")),
    );
    (version, required, known, extensions, any_data()).prop_map(
        |(version, (id, source, type_), (subject, time, schema), extensions, (content_type, data, kind))| {
            let mut event = Event::new(id, source, type_);
            event.version = version;
            if let Some(subject) = subject {
                event.set_extension("subject", subject);
            }
            if let Some(time) = time {
                event.set_extension("time", time);
            }
            if let Some(schema) = schema {
                event.set_extension(version.schema_attribute(), schema);
            }
            if let Some(content_type) = content_type {
                event.set_extension("datacontenttype", content_type);
            }
            for (name, value) in extensions {
                event.set_extension(name, value);
            }
            if kind != DataKind::Binary {
                event.mode = Mode::Structured;
            }
            event.data = data;
            event.data_kind = kind;
            event
        },
    )
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[^\\p{C}]{0,12}".prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ]
}

fn any_data() -> impl Strategy<Value = (Option<&'static str>, Option<Bytes>, DataKind)> {
    let json = Just(Some("application/json"));
    let text = Just(Some("text/plain"));
    let bytes = Just(Some("application/octet-stream"));
    let some = |data: Vec<u8>| (!data.is_empty()).then(|| Bytes::from(data));
    prop_oneof![
        (prop::option::of(Just("image/svg+xml"))).prop_map(|kind| (kind, None, DataKind::Binary)),
        (json, any::<String>()).prop_map(|(kind, text)| {
            let json = serde_json::to_vec(&text).unwrap();
            (kind, Some(Bytes::from(json)), DataKind::Json)
        }),
        (text, "\\PC{1,20}").prop_map(|(kind, text)| (kind, Some(Bytes::from(text)), DataKind::Text)),
        (bytes, any::<Vec<u8>>()).prop_map(move |(kind, data)| (kind, some(data), DataKind::Binary)),
    ]
}

/// `event` with all values as text, as headers leave them, and data that is bytes.
pub(crate) fn as_binary(event: &Event) -> Event {
    let mut event = event.clone();
    event.mode = Mode::Binary;
    event.data_kind = DataKind::Binary;
    for (_, value) in &mut event.attributes {
        *value = Value::String(Str::from(value.borrow().text()));
    }
    event.attributes.sort_by(|a, b| a.0.cmp(&b.0));
    event
}

/// The kind of data that `event` has once it was written structured and read again.
pub(crate) fn structured_kind(event: &Event) -> DataKind {
    let content_type = event.data_content_type().unwrap_or_default();
    match (event.data_kind, event.mode, &event.data) {
        (DataKind::Binary, Mode::Binary, Some(_)) if media_type::is_json(content_type) => DataKind::Json,
        (DataKind::Binary, Mode::Binary, Some(_)) if media_type::is_text(content_type) => DataKind::Text,
        (kind, ..) => kind,
    }
}
