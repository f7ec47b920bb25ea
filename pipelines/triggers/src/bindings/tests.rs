use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Map;

use super::*;

fn event(body: Value) -> Seen {
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-github-event", "push"), ("x-many", "a"), ("x-many", "b")] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let mut extensions = Map::new();
    extensions.insert("short".to_owned(), json!("abc"));
    Seen {
        id: "the-id".to_owned(),
        url: String::new(),
        headers,
        raw: Bytes::new(),
        body,
        extensions,
        received_at: Timestamp::UNIX_EPOCH,
    }
}

fn one(text: &str, event: &Seen) -> Result<String, String> {
    value(&Expression::parse(text).unwrap(), event)
}

#[test]
fn paths_lead_to_parts_of_an_event() {
    let event = event(json!({
        "ref": "refs/heads/main", "n": 17, "big": 9_007_199_254_740_993_u64, "yes": true, "none": null,
        "list": ["x", {"name": "y", "v": 2}, {"name": "z", "v": 3}],
        "a": {"b.c": "dots", "q": "say \"hi\"\n"},
    }));
    for (text, expected) in [
        ("$(body.ref)", "refs/heads/main"),
        ("$(.body.ref)", "refs/heads/main"),
        ("a $(body.ref) b $(body.n)", "a refs/heads/main b 17"),
        ("$(body.big)", "9007199254740993"),
        ("$(body.yes)$(body.none)", "truenull"),
        ("$(body.list[0])", "x"),
        ("$(body.list[-1].name)", "z"),
        ("$(body.list[1])", r#"{"name":"y","v":2}"#),
        (r#"$(body.list[?(@.name=="z")].v)"#, "3"),
        ("$(body.list[1:].name)", r#"["y","z"]"#),
        (r"$(body.a.b\.c)", "dots"),
        ("$(body.a['b.c'])", "dots"),
        ("$(body.a.q)", "say \"hi\"\n"),
        ("$(header.X-GitHub-Event)", "push"),
        ("$(header.x-github-event)", "push"),
        ("$(header['X-GitHub-Event'])", "push"),
        ("$(header.X-Many)", "a,b"),
        ("$(extensions.short)", "abc"),
        ("$(context.eventID)", "the-id"),
        ("plain", "plain"),
        ("", ""),
        ("$(never closed", "$(never closed"),
        ("$$(body.ref)", "$$(body.ref)"),
    ] {
        assert_eq!(one(text, &event).as_deref(), Ok(expected), "{text}");
    }
    for missing in [
        "$(body.x)",
        "$(body.ref.deeper)",
        "$(header.X-No)",
        "$(extensions.none)",
    ] {
        assert_eq!(one(missing, &event), Err(missing.to_owned()));
    }
    let whole = one("$(body)", &event).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&whole).unwrap(), event.body);
}

#[test]
fn what_is_no_path_is_told() {
    for (text, words) in [
        ("$(foo.bar)", "must start with body"),
        ("$(tt.params.x)", "must start with body"),
        ("$(bodyx)", "must start with body"),
        ("$()", "must start with body"),
        ("$(body[)", "is no path"),
        ("$(body-x)", "does not belong"),
    ] {
        let error = Expression::parse(text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn text_of_an_event_is_no_variable() {
    for (body, text, expected) in [
        ("$(params.x)", "$(body.v)", "$$(params.x)"),
        ("$$(params.x)", "$(body.v)", "$$(params.x)"),
        ("a$(b$(c", "$(body.v)", "a$$(b$$(c"),
        ("(params.x)", "$$(body.v)", "$$(body.v)"),
        ("x$", "$(body.v)(params.x)", "x$$(params.x)"),
        ("(params.x)", "cost $$(body.v)", "cost $$(body.v)"),
        ("$", "$(body.v)$(body.w)", "$$(params.x)"),
    ] {
        let event = event(json!({"v": body, "w": "(params.x)"}));
        assert_eq!(one(text, &event).as_deref(), Ok(expected), "{body} in {text}");
    }
}

#[test]
fn a_name_is_given_once() {
    let param = |name: &str, value: &str| BindingParam {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let event = event(json!({"a": 1}));
    let given = resolve(&[param("x", "$(body.a)"), param("y", "$(body.b)")], &event).unwrap();
    assert_eq!(given.params, BTreeMap::from([("x".to_owned(), "1".to_owned())]));
    assert_eq!(
        given.missing,
        BTreeMap::from([("y".to_owned(), "$(body.b)".to_owned())])
    );
    for twice in [
        [param("x", "$(body.a)"), param("x", "b")],
        [param("x", "$(body.none)"), param("x", "b")],
    ] {
        assert_eq!(resolve(&twice, &event), Err(BindingError::Twice("x".to_owned())));
    }
}

/// Does the text have a `$(` that is read as a variable, which `$$(` is not?
pub(crate) fn has_variable(text: &str) -> bool {
    text.match_indices("$(").any(|(at, _)| !text[..at].ends_with('$'))
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,40}") {
        let _ = Expression::parse(&text);
    }

    #[test]
    fn nothing_of_an_event_becomes_a_variable(
        first in "[$(a)]{0,6}", second in "[$(a)]{0,6}", before in "[a)]{0,3}", between in "[(a]{0,2}",
    ) {
        let event = event(json!({"v": first, "w": second}));
        let text = format!("{before}$(body.v){between}$(body.w)");
        let value = one(&text, &event).unwrap();
        prop_assert!(!has_variable(&value), "{value}");
    }
}
