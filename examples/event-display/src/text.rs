//! An event as people read it, in the layout that the SDKs of CloudEvents print.

use std::fmt::Write;

use event::{Event, Value};

/// The attributes of the specification, in the order in which they are printed; all others are extensions.
const OPTIONAL: [&str; 6] = [
    "subject",
    "time",
    "schemaurl",
    "dataschema",
    "datacontenttype",
    "datacontentencoding",
];

/// Returns some lines of text.
pub fn of(event: &Event) -> String {
    let mut text = format!(
        "☁️  cloudevents.Event\nContext Attributes,\n  specversion: {}\n  type: {}\n  source: {}\n",
        event.version.as_str(),
        event.type_,
        event.source
    );
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name}: {value}");
    };
    let find = |name: &str| event.attributes.iter().find(|(known, _)| *known == *name);
    if let Some((name, value)) = find("subject") {
        line(name, &plain(value));
    }
    line("id", &event.id);
    for name in &OPTIONAL[1..] {
        if let Some((name, value)) = find(name) {
            line(name, &plain(value));
        }
    }
    let mut extensions: Vec<_> = event
        .attributes
        .iter()
        .filter(|(name, _)| !OPTIONAL.contains(&&**name))
        .collect();
    extensions.sort_by(|(one, _), (other, _)| one.cmp(other));
    if !extensions.is_empty() {
        text.push_str("Extensions,\n");
        for (name, value) in extensions {
            let _ = writeln!(text, "  {name}: {}", plain(value));
        }
    }
    if let Some(data) = &event.data {
        text.push_str("Data,\n");
        let json = serde_json::from_slice::<serde_json::Value>(data).ok();
        let shown = match json {
            Some(json) if is_json(event) => serde_json::to_string_pretty(&json).unwrap_or_default(),
            _ => String::from_utf8_lossy(data).into_owned(),
        };
        for shown in shown.lines() {
            let _ = writeln!(text, "  {shown}");
        }
    }
    text.push('\n');
    text
}

fn is_json(event: &Event) -> bool {
    event
        .data_content_type()
        .is_none_or(|media_type| media_type.to_ascii_lowercase().contains("json"))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn an_event_is_printed_with_all_that_it_carries() {
        let mut event = Event::new("1", "/me", "dev.example.hello");
        event.set_extension("datacontenttype", "application/json");
        event.set_extension("subject", "a");
        event.set_extension("zone", "x");
        event.set_extension("count", Value::Integer(3));
        event.data = Some(Bytes::from_static(br#"{"msg":"hi"}"#));
        assert_eq!(
            of(&event),
            "☁️  cloudevents.Event\nContext Attributes,\n  specversion: 1.0\n  type: dev.example.hello\n  source: /me\n  \
             subject: a\n  id: 1\n  datacontenttype: application/json\nExtensions,\n  count: 3\n  zone: x\nData,\n  {\n    \
             \"msg\": \"hi\"\n  }\n\n"
        );
    }

    #[test]
    fn data_that_is_no_json_is_printed_as_it_is() {
        let mut event = Event::new("1", "/me", "t");
        event.set_extension("datacontenttype", "text/plain");
        event.data = Some(Bytes::from_static(b"{\"a\": 1}"));
        assert!(of(&event).ends_with("Data,\n  {\"a\": 1}\n\n"), "{}", of(&event));
    }
}
