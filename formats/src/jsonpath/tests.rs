use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pods() -> Value {
    json!({
        "kind": "List",
        "items": [
            {"metadata": {"name": "a", "labels": {"app": "x", "k8s.io/tier": "1"}}, "status": {"phase": "Running", "restarts": 2,
             "conditions": [{"type": "Ready", "status": "True"}, {"type": "Done", "status": "False"}]}},
            {"metadata": {"name": "b"}, "status": {"phase": "Pending", "restarts": 0, "conditions": []}},
            {"metadata": {"name": "c"}, "status": {"phase": "Running", "restarts": 7.5}},
        ],
        "n": 5, "t": true, "z": null, "empty": [],
    })
}

#[test]
fn renders_as_kubectl_does() {
    let table = [
        ("plain", "plain"),
        ("", ""),
        ("{.kind}", "List"),
        ("{$.kind}", "List"),
        ("{@.kind}", "List"),
        ("{kind}", "List"),
        ("{ .kind }", "List"),
        ("{.missing.deeper}", ""),
        ("{.n} {.t} {.z}.", "5 true ."),
        ("{.items[*].metadata.name}", "a b c"),
        ("{.items[0].metadata.name}", "a"),
        ("{.items[-1].metadata.name}", "c"),
        ("{.items[0:2].metadata.name}", "a b"),
        ("{.items[1:].metadata.name}", "b c"),
        ("{.items[-2:].metadata.name}", "b c"),
        ("{.items[::2].metadata.name}", "a c"),
        ("{.items[0,2].metadata.name}", "a c"),
        ("{.items[5:9].metadata.name}", ""),
        ("{.items[*]['metadata.name']}", ""),
        ("{.items[0]['metadata']['name']}", "a"),
        ("{.items[0].status['phase','restarts']}", "Running 2"),
        ("{.items[0].metadata.labels.k8s\\.io/tier}", "1"),
        ("{.items[0].metadata.labels['k8s.io/tier']}", "1"),
        ("{.items[0].metadata.labels.*}", "x 1"),
        ("{..name}", "a b c"),
        ("{..conditions[0].type}", "!"),
        ("{.items[0].metadata.labels}", r#"{"app":"x","k8s.io/tier":"1"}"#),
        ("{.empty}", "[]"),
        ("{.items[?(@.status.phase==\"Running\")].metadata.name}", "a c"),
        ("{.items[?(@.status.phase!='Running')].metadata.name}", "b"),
        ("{.items[?(@.status.restarts>1)].metadata.name}", "a c"),
        ("{.items[?(@.status.restarts<=2)].metadata.name}", "a b"),
        ("{.items[?( @.status.restarts == 7.5 )].metadata.name}", "c"),
        ("{.items[?(@.metadata.labels)].metadata.name}", "a"),
        (
            "{.items[?(@.status.conditions[?(@.type=='Ready')])].metadata.name}",
            "a",
        ),
        (
            "{.items[0].status.conditions[?(@.type==\"Ready\")].status}",
            "True",
        ),
        ("{.items[?(@.status.restarts==$.n)].metadata.name}", ""),
        (
            "{range .items[*]}{.metadata.name}={.status.phase}{\"\\n\"}{end}",
            "a=Running\nb=Pending\nc=Running\n",
        ),
        (
            "{range .items[*]}[{range .status.conditions[*]}{.type}{','}{end}]{end}.",
            "[Ready,Done,][][].",
        ),
        ("{range .items[*]}{$.kind}{end}", "ListListList"),
        ("{.kind}{'\\t'}{.n}", "List\t5"),
        ("{'it\\'s'}", "it's"),
    ];
    for (template, expected) in table {
        let path = JsonPath::parse(template).unwrap_or_else(|error| panic!("{template}: {error}"));
        match path.render(&pods()) {
            Ok(text) => assert_eq!(text, expected, "{template}"),
            Err(error) => assert_eq!(expected, "!", "{template}: {error}"),
        }
    }
}

#[test]
fn printer_columns_find_values() {
    let pod = &pods()["items"][0];
    for text in [
        ".metadata.name",
        "metadata.name",
        "{.metadata.name}",
        " .metadata.name ",
    ] {
        assert_eq!(
            JsonPath::parse_relaxed(text).unwrap().find(pod),
            [&json!("a")],
            "{text}"
        );
    }
    let ready = JsonPath::parse_relaxed(".status.conditions[?(@.type==\"Ready\")].status").unwrap();
    assert_eq!(ready.find(pod), [&json!("True")]);
    assert!(ready.find(&json!({})).is_empty());
    assert!(
        JsonPath::parse_relaxed(".a[3]")
            .unwrap()
            .find(&json!({"a": []}))
            .is_empty()
    );
}

#[test]
fn an_index_out_of_bounds_is_an_error() {
    let error = JsonPath::parse("{.items[3]}")
        .unwrap()
        .render(&pods())
        .unwrap_err();
    assert_eq!(error.to_string(), "array index out of bounds: index 3, length 3");
}

#[test]
fn refuses_what_it_cannot_read_and_says_where() {
    let table = [
        ("{.a", 3),
        ("{", 1),
        ("{range .a}", 10),
        ("{end}", 5),
        ("{.a[}", 4),
        ("{.a[x]}", 4),
        ("{.a[1:2:0]}", 9),
        ("{.a[99999999999999999999]}", 24),
        ("{.a['x]}", 8),
        ("{'x}", 4),
        ("{.a[?(@.b==)]}", 11),
        ("{.a[?(@.b=='c']}", 14),
        ("{.a b c}}{", 10),
        ("{|}", 1),
    ];
    for (template, position) in table {
        let error = JsonPath::parse(template).unwrap_err();
        assert_eq!(error.position, position, "{template}: {error}");
    }
    assert!(JsonPath::parse(&"{range .a}".repeat(100)).is_err());
    assert!(JsonPath::parse(&format!("{{{}", ".a[?(@".repeat(1000))).is_err());
    assert!(JsonPath::parse(&"x".repeat(100_000)).is_err());
}

#[test]
fn recursion_cannot_explode() {
    let deep = (0..100).fold(json!({}), |inner, _| json!({"a": inner}));
    let path = JsonPath::parse("{..*..*..*..*..*..*}").unwrap();
    assert_eq!(path.render(&deep), Err(RenderError::TooMuch));
}

proptest! {
    #[test]
    fn never_panics(template in "[{}.$@\\[\\]'\"a0*?()=<>:,\\\\ -]{0,30}|\\{(range|end)?[.a*0\\[\\]?(@)=':]{0,20}\\}") {
        if let Ok(path) = JsonPath::parse(&template) {
            let _ = path.render(&pods());
            let _ = path.find(&pods());
        }
    }

    #[test]
    fn a_quoted_key_finds_exactly_its_value(key in "[a-z./ -]{1,8}") {
        let value = json!({key.clone(): 1, "other": 2});
        let path = JsonPath::parse(&format!("{{['{key}']}}")).unwrap();
        prop_assert_eq!(path.find(&value), vec![&value[&key]]);
        let escaped: String = key.chars().flat_map(|ch| ['\\', ch]).collect();
        let path = JsonPath::parse(&format!("{{.{escaped}}}")).unwrap();
        prop_assert_eq!(path.find(&value), vec![&value[&key]]);
    }
}
