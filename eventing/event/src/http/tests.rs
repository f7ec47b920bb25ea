use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::event::{DataKind, SpecVersion};
use crate::test_support::{any_event, as_binary, structured_kind};
use crate::value::{Value, ValueRef};

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

const REQUIRED: [(&str, &str); 4] = [
    ("CE-SpecVersion", "1.0"),
    ("Ce-Id", "1"),
    ("ce-source", "/me"),
    ("ce-type", "t"),
];

fn binary(more: &[(&str, &str)], body: &'static str) -> Result<Event, ReadError> {
    let lines = [&REQUIRED, more].concat();
    read(&headers(&lines), Bytes::from_static(body.as_bytes()))
}

fn structured(body: &str) -> Result<Event, ReadError> {
    let content_type = [("content-type", "application/cloudevents+json; charset=utf-8")];
    read(&headers(&content_type), Bytes::copy_from_slice(body.as_bytes()))
}

/// A structured event with these members besides the required ones.
fn with(members: &str) -> Result<Event, ReadError> {
    structured(&format!(
        r#"{{"specversion":"1.0","id":"1","source":"/me","type":"t",{members}}}"#
    ))
}

fn text<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    event.get(name).and_then(ValueRef::as_str)
}

#[test]
fn headers_become_attributes() {
    let event = binary(
        &[
            ("content-type", "application/json"),
            ("CE-Subject", "a%20b"),
            ("ce-time", "2026-01-01T00:00:00Z"),
            ("ce-myext", "\"x \\\" y\""),
            ("ce-euro", "%E2%82%AC"),
            ("ce-raw", "grün"),
            ("x-other", "stays out"),
        ],
        "{}",
    )
    .unwrap();
    for (name, expected) in [
        ("datacontenttype", Some("application/json")),
        ("subject", Some("a b")),
        ("time", Some("2026-01-01T00:00:00Z")),
        ("myext", Some("x \" y")),
        ("euro", Some("€")),
        ("raw", Some("grün")),
        ("other", None),
    ] {
        assert_eq!(text(&event, name), expected, "{name}");
    }
    assert_eq!(event.data.as_deref(), Some(&b"{}"[..]));
    assert_eq!((event.mode, event.version), (Mode::Binary, SpecVersion::V1));
    let bare = binary(&[], "").unwrap();
    assert_eq!((bare.data, bare.attributes), (None, Vec::new()));
}

#[test]
fn bad_binary_events_name_the_attribute() {
    let long = "x".repeat(70_000);
    for (change, attribute, status) in [
        (("ce-specversion", None), "specversion", 400),
        (("ce-id", None), "id", 400),
        (("ce-source", None), "source", 400),
        (("ce-type", None), "type", 400),
        (("ce-specversion", Some("1.1")), "specversion", 400),
        (("ce-specversion", Some("0.2")), "specversion", 400),
        (("ce-id", Some("")), "id", 400),
        (("ce-type", Some("")), "type", 400),
        (("ce-source", Some("")), "source", 400),
        (("ce-source", Some("1:2")), "source", 400),
        (("ce-subject", Some("")), "subject", 400),
        (("ce-time", Some("yesterday")), "time", 400),
        (("ce-dataschema", Some("not-absolute")), "dataschema", 400),
        (("ce-datacontenttype", Some("text/plain")), "datacontenttype", 400),
        (("content-type", Some("/")), "datacontenttype", 400),
        (("ce-data", Some("x")), "data", 400),
        (("ce-my-ext", Some("x")), "my-ext", 400),
        (("ce-", Some("x")), "", 400),
        (("ce-x", Some("%ff")), "x", 400),
        (("ce-x", Some("a%0Ab")), "x", 400),
        (("content-type", Some("application/cloudevents+avro")), "-", 415),
        (
            ("content-type", Some("application/cloudevents-batch+json")),
            "-",
            400,
        ),
        (("ce-x", Some(long.as_str())), "-", 413),
    ] {
        let (name, value) = change;
        let mut lines: Vec<(&str, &str)> = REQUIRED.to_vec();
        lines.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        lines.extend(value.map(|value| (name, value)));
        let error = read(&headers(&lines), Bytes::new()).unwrap_err();
        assert_eq!(error.attribute_name().unwrap_or("-"), attribute, "{error}");
        assert_eq!(error.status().as_u16(), status, "{error}");
    }
    let twice = binary(&[("ce-id", "2")], "").unwrap_err();
    assert_eq!(twice.to_string(), "attribute id is given more than once");
    let twice = binary(&[("ce-x", "1"), ("ce-x", "1")], "").unwrap_err();
    assert_eq!(twice.attribute_name(), Some("x"));
}

#[test]
fn too_many_attributes_are_refused() {
    let names: Vec<String> = (0..200).map(|n| format!("ce-x{n}")).collect();
    let lines: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(binary(&lines, "").unwrap_err(), ReadError::AttributesTooLarge);
    let members: Vec<String> = (0..200).map(|n| format!("\"x{n}\":1")).collect();
    assert!(with(&members.join(",")).is_err());
}

#[test]
fn members_become_attributes_with_their_types() {
    let event =
        with(r#""a":"x","b":-2147483648,"c":true,"d":null,"Upper":"\u00fc","knativebrokerttl":7"#).unwrap();
    let names: Vec<(&str, ValueRef<'_>)> = event
        .attributes
        .iter()
        .map(|(name, value)| (name.as_str(), value.borrow()))
        .collect();
    assert_eq!(
        names,
        [
            ("a", ValueRef::String("x")),
            ("b", ValueRef::Integer(i32::MIN)),
            ("c", ValueRef::Boolean(true)),
            ("upper", ValueRef::String("ü")),
            ("knativebrokerttl", ValueRef::Integer(7)),
        ]
    );
    assert_eq!((event.mode, event.data), (Mode::Structured, None));
}

#[test]
fn data_is_what_its_type_says() {
    use DataKind::{Binary, Json, Text};
    for (members, data, kind) in [
        (r#""data":{"a": [1, 2]}"#, &b"{\"a\": [1, 2]}"[..], Json),
        (r#""data":"text""#, b"\"text\"", Json),
        (r#""data":null"#, b"null", Json),
        (r#""datacontenttype":null,"data":1e400"#, b"1e400", Json),
        (
            r#""datacontenttype":"application/x+json","data":"{\"a\":1}""#,
            b"\"{\\\"a\\\":1}\"",
            Json,
        ),
        (r#""datacontenttype":"text/plain","data":"a\nb""#, b"a\nb", Text),
        (
            r#""data":"plain","datacontenttype":"application/xml""#,
            b"plain",
            Text,
        ),
        (r#""datacontenttype":"text/plain","data":[1]"#, b"[1]", Json),
        (r#""data_base64":"AP8=""#, b"\0\xff", Binary),
        (r#""data_base64":"AP8""#, b"\0\xff", Binary),
        (r#""data_base64":null,"data":1"#, b"1", Json),
        (r#""data_base64":"AP8=","data":null"#, b"\0\xff", Binary),
        (
            r#""datacontenttype":"application/json","data_base64":"e30=""#,
            b"{}",
            Binary,
        ),
        (r#""datacontenttype":"text/plain","data":"""#, b"", Text),
    ] {
        let event = with(members).unwrap();
        assert_eq!(event.data.as_deref(), Some(data), "{members}");
        assert_eq!(event.data_kind, kind, "{members}");
    }
}

#[test]
fn bad_structured_events_name_the_attribute() {
    for (members, attribute) in [
        (r#""id":"2""#, "id"),
        (r#""x":1,"x":1"#, "x"),
        (r#""x":1,"X":1"#, "x"),
        (r#""x":1.5"#, "x"),
        (r#""x":2147483648"#, "x"),
        (r#""x":{}"#, "x"),
        (r#""x":[]"#, "x"),
        (r#""x":"\ud800""#, "x"),
        (r#""my_ext":"x""#, "my_ext"),
        (r#""data":1,"data":1"#, "data"),
        (r#""data":1,"data_base64":"AP8=""#, "data"),
        (r#""data_base64":"%""#, "data_base64"),
        (r#""data_base64":1"#, "data_base64"),
        (r#""subject":1"#, "subject"),
        (r#""time":"x""#, "time"),
        (r#""datacontenttype":"text/plain","data":"\ud800""#, "data"),
    ] {
        let error = with(members).unwrap_err();
        assert_eq!(error.attribute_name(), Some(attribute), "{members} {error}");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }
    for (body, attribute) in [
        (r#"{"id":"1","source":"/","type":"t"}"#, Some("specversion")),
        (
            r#"{"specversion":"1.0","id":null,"source":"/","type":"t"}"#,
            Some("id"),
        ),
        (
            r#"{"specversion":"1.0","id":1,"source":"/","type":"t"}"#,
            Some("id"),
        ),
        (
            r#"{"specversion":1.0,"id":"1","source":"/","type":"t"}"#,
            Some("specversion"),
        ),
        ("[]", None),
        ("", None),
        ("{", None),
        ("{} {}", None),
        ("\u{feff}{}", None),
    ] {
        let error = structured(body).unwrap_err();
        assert_eq!(error.attribute_name(), attribute, "{body} {error}");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }
}

#[test]
fn the_body_wins_over_headers() {
    let lines = [
        ("content-type", "application/cloudevents+json"),
        ("ce-id", "header"),
        ("ce-bad-name", "x"),
    ];
    let body = r#"{"specversion":"1.0","id":"body","source":"/","type":"t"}"#;
    let event = read(&headers(&lines), Bytes::from_static(body.as_bytes())).unwrap();
    assert_eq!(event.id, "body");
    assert!(event.attributes.is_empty());
}

#[test]
fn version_0_3_says_bytes_in_its_own_way() {
    let body = r#"{"specversion":"0.3","id":"1","source":"/","type":"t","datacontentencoding":"Base64","datacontenttype":"image/png","data":"AP8="}"#;
    let event = structured(body).unwrap();
    assert_eq!(
        (event.data.as_deref(), event.data_kind),
        (Some(&b"\0\xff"[..]), DataKind::Binary)
    );
    let (_, again) = write(&event, Mode::Structured);
    let mut reread = structured(std::str::from_utf8(&again).unwrap()).unwrap();
    assert_eq!(
        reread.remove_extension("datacontentencoding"),
        Some(Value::from("base64"))
    );
    assert_eq!(reread.data, event.data);
    // Once decoded, it must not be announced as encoded.
    let (headers, body) = write(&event, Mode::Binary);
    assert!(!headers.contains_key("ce-datacontentencoding"));
    assert_eq!(body, &b"\0\xff"[..]);
    assert_eq!(headers["ce-specversion"], "0.3");
}

#[test]
fn what_structured_events_leave_unsaid_is_said_in_headers() {
    for (members, content_type) in [
        (r#""data":1"#, Some("application/json")),
        (r#""data_base64":"AP8=""#, None),
        (r#""subject":"x""#, None),
        (r#""datacontenttype":"text/plain","data":"x""#, Some("text/plain")),
    ] {
        let (headers, _) = write(&with(members).unwrap(), Mode::Binary);
        let found = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
        assert_eq!(found, content_type, "{members}");
    }
}

#[test]
fn bodies_become_the_data_that_they_are() {
    for (content_type, body, expected) in [
        ("application/json", r#"{"a": 1}"#, r#""data":{"a": 1}"#),
        ("application/json", r#""x""#, r#""data":"x""#),
        ("application/json", "{broken", r#""data_base64":"e2Jyb2tlbg==""#),
        ("text/plain", "a\nb", r#""data":"a\nb""#),
        ("application/octet-stream", "ab", r#""data_base64":"YWI=""#),
    ] {
        let event = binary(&[("content-type", content_type)], body).unwrap();
        let (headers, written) = write(&event, Mode::Structured);
        let written = std::str::from_utf8(&written).unwrap();
        assert!(written.contains(expected), "{written}");
        assert_eq!(headers[CONTENT_TYPE], "application/cloudevents+json");
    }
    let untyped = binary(&[], "{}").unwrap();
    let (_, written) = write(&untyped, Mode::Structured);
    assert!(std::str::from_utf8(&written).unwrap().contains("data_base64"));
}

#[test]
fn data_that_is_an_event_does_not_become_the_event() {
    let event =
        with(r#""datacontenttype":"Application/CloudEvents+json","data":{"specversion":"1.0"}"#).unwrap();
    let (headers, body) = write(&event, Mode::Binary);
    assert_eq!(read(&headers, body).unwrap(), event);
}

#[test]
fn content_types_of_other_scripts_are_kept() {
    let event = with(r#""datacontenttype":"text/plain; title=ä","data":"x""#).unwrap();
    let (headers, body) = write(&event, Mode::Binary);
    let read = read(&headers, body).unwrap();
    assert_eq!(text(&read, "datacontenttype"), Some("text/plain; title=ä"));
}

#[test]
fn messages_that_mean_to_be_events_are_recognised() {
    for (lines, expected) in [
        (&[("ce-specversion", "9")][..], true),
        (&[("content-type", "application/cloudevents+json")], true),
        (&[("content-type", "application/cloudevents+xml")], true),
        (&[("content-type", "application/json"), ("ce-id", "1")], false),
        (&[], false),
    ] {
        assert_eq!(is_event(&headers(lines)), expected, "{lines:?}");
    }
}

#[test]
fn batches_are_read_as_a_whole_or_not_at_all() {
    let one = r#"{"specversion":"1.0","id":"1","source":"/","type":"t","data":1}"#;
    let bad = r#"{"specversion":"1.0","id":"","source":"/","type":"t"}"#;
    let batch = |text: String| read_batch(&Bytes::from(text), 2);
    assert_eq!(batch("[]".into()).unwrap(), []);
    assert_eq!(batch(format!("[{one}, {one}]")).unwrap().len(), 2);
    assert_eq!(
        batch(format!("[{one},{one},{one}]")),
        Err(ReadError::BatchTooLong(2))
    );
    let error = batch(format!("[{one},{bad}]")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "event 1 of the batch: attribute id must not be empty"
    );
    assert_eq!(error.attribute_name(), Some("id"));
    for text in [one, "", "[", "[]x", "[1]"] {
        let error = batch(text.into()).unwrap_err();
        assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{text}");
    }
}

proptest! {
    #[test]
    fn binary_messages_bring_back_what_was_written(event in any_event()) {
        let (headers, body) = write(&event, Mode::Binary);
        let mut found = read(&headers, body).unwrap();
        found.attributes.sort_by(|a, b| a.0.cmp(&b.0));
        let mut expected = as_binary(&event);
        expected.data = expected.data.filter(|data| !data.is_empty());
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn structured_messages_bring_back_what_was_written(event in any_event()) {
        let (headers, body) = write(&event, Mode::Structured);
        let mut found = read(&headers, body).unwrap();
        let mut expected = event.clone();
        expected.mode = Mode::Structured;
        expected.data_kind = structured_kind(&event);
        if event.version == SpecVersion::V03 && event.data.is_some() && expected.data_kind == DataKind::Binary {
            prop_assert_eq!(found.remove_extension("datacontentencoding"), Some(Value::from("base64")));
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn batches_bring_back_what_was_written(events in prop::collection::vec(any_event(), 0..4)) {
        let (_, body) = write_batch(&events);
        let found = read_batch(&body, 4).unwrap();
        prop_assert_eq!(found.len(), events.len());
        for (found, event) in found.iter().zip(&events) {
            prop_assert_eq!((&found.id, &found.source, &found.data), (&event.id, &event.source, &event.data));
        }
    }

    #[test]
    fn any_body_can_be_read(body in any::<Vec<u8>>(), json in "[\\[{\"a:1,}\\]\\\\]{0,30}") {
        for body in [Bytes::from(body.clone()), Bytes::from(json.clone())] {
            let _ = structured::read(&body);
            let _ = read_batch(&body, 3);
        }
    }
}
