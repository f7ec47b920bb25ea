use serde_json::json;

use super::*;

fn mappings() -> Vec<SinkMapping> {
    serde_json::from_value(json!([
        { "prefix": "job", "group": "sinks.knative.dev", "version": "v1alpha1", "resource": "jobsinks" },
        { "prefix": "svc", "group": "core", "version": "v1", "resource": "services" },
    ]))
    .unwrap()
}

#[test]
fn every_form_is_understood() {
    const CORE: [&str; 3] = ["", "v1", "services"];
    const KSVC: [&str; 3] = ["serving.knative.dev", "v1", "services"];
    for (value, path, name, namespace) in [
        ("web", KSVC, "web", None),
        ("ksvc:web", KSVC, "web", None),
        ("kservice:web:team", KSVC, "web", Some("team")),
        ("svc:web", CORE, "web", None),
        ("service:web:team", CORE, "web", Some("team")),
        (
            "broker:default",
            ["eventing.knative.dev", "v1", "brokers"],
            "default",
            None,
        ),
        (
            "channel:c",
            ["messaging.knative.dev", "v1", "channels"],
            "c",
            None,
        ),
        ("job:j", ["sinks.knative.dev", "v1alpha1", "jobsinks"], "j", None),
        (
            "flows.knative.dev/v1/sequences:s",
            ["flows.knative.dev", "v1", "sequences"],
            "s",
            None,
        ),
        (
            "flows.knative.dev/v1/Parallel:p:team",
            ["flows.knative.dev", "v1", "parallels"],
            "p",
            Some("team"),
        ),
        ("core/v1/service:web", CORE, "web", None),
    ] {
        let expected = Sink::Object {
            resource: Resource::new(path),
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
        };
        assert_eq!(parse("sink", value, &mappings()).unwrap(), expected, "{value}");
    }
    for uri in ["http://example.com/a", "https://example.com"] {
        assert_eq!(parse("sink", uri, &[]).unwrap(), Sink::Uri(uri.to_owned()));
    }
}

#[test]
fn refusals_name_the_flag_and_the_prefixes() {
    for (value, token) in [
        ("brokr:default", "'brokr'"),
        ("broker:", "a name is missing"),
        ("ksvc:a:", "a name is missing"),
        ("a:b:c:d", "too many colons"),
        ("v1/services:a", "'v1/services'"),
        ("http://", "--dl-sink http://"),
    ] {
        let message = parse("dl-sink", value, &mappings()).unwrap_err().message;
        assert!(
            message.contains("--dl-sink") && message.contains(token),
            "{message}"
        );
    }
    let message = parse("sink", "x:y", &mappings()).unwrap_err().message;
    assert!(
        message.contains("ksvc, kservice, svc, service, broker, channel, job"),
        "{message}"
    );
}

#[test]
fn cells_are_short() {
    let to = |api: &str, kind: &str, namespace: &str| json!({ "ref": { "apiVersion": api, "kind": kind, "name": "n", "namespace": namespace } });
    for (destination, expected) in [
        (to("serving.knative.dev/v1", "Service", "home"), "ksvc:n"),
        (to("serving.knative.dev/v1", "Service", "away"), "ksvc:n:away"),
        (to("v1", "Service", ""), "svc:n"),
        (to("eventing.knative.dev/v1", "Broker", "home"), "broker:n"),
        (to("messaging.knative.dev/v1", "Channel", "home"), "channel:n"),
        (
            to("flows.knative.dev/v1", "Sequence", "home"),
            "sequences.flows.knative.dev/v1:n",
        ),
        (json!({ "uri": "http://x" }), "http://x"),
        (Value::Null, ""),
    ] {
        assert_eq!(cell(&destination, "home"), expected);
    }
    assert_eq!(
        rows(&to("v1", "Service", "away"), "home"),
        [
            ("Name", "n".into()),
            ("Namespace", "away".into()),
            ("Resource", "Service (v1)".into())
        ]
    );
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_stumble(value in ".{0,40}", prefix in "[a-z/:]{0,12}") {
        let _ = parse("sink", &value, &mappings());
        let _ = parse("sink", &format!("{prefix}:{value}"), &[]);
    }

    #[test]
    fn what_a_cell_shows_can_be_typed(kind in 0_usize..4, name in "[a-z]{1,8}", namespace in "[a-z]{1,8}") {
        let (_, [group, version, plural]) = PREFIXES[kind];
        let api = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let mut singular = plural.trim_end_matches('s').to_owned();
        singular[..1].make_ascii_uppercase();
        let reference = json!({ "ref": { "apiVersion": api, "kind": singular, "name": name, "namespace": namespace } });
        let expected = Sink::Object { resource: Resource::new([group, version, plural]), name, namespace: Some(namespace) };
        proptest::prop_assert_eq!(parse("sink", &cell(&reference, "HOME"), &[]).unwrap(), expected);
    }
}
