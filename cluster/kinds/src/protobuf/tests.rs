use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::table::{Type, table};
use super::{DecodeError, decode};
use crate::kind::builtin;
use crate::schema::definitions;

/// Bodies that kubectl 1.37.1 sent, each with the object that the same command prints as JSON.
#[test]
fn bodies_of_kubectl_decode_to_what_it_prints() {
    let captures: Vec<Value> = serde_json::from_str(include_str!("captures.json")).unwrap();
    assert!(captures.len() >= 15);
    for capture in captures {
        let body = STANDARD.decode(capture["body"].as_str().unwrap()).unwrap();
        assert_eq!(
            decode(&body).unwrap(),
            capture["object"],
            "{}",
            capture["command"]
        );
    }
}

#[test]
fn every_served_kind_has_a_message_and_the_table_is_whole() {
    for kind in builtin() {
        let body = envelope(&kind.api_version(), kind.kind, &[]);
        assert!(decode(&body).is_ok(), "{} {}", kind.api_version(), kind.kind);
    }
    // Every line was read: a line of another form would be missing here.
    let lines = include_str!("messages.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && line.contains(' '))
        .count();
    let fields: usize = table()
        .messages()
        .iter()
        .map(|message| message.fields.len())
        .sum();
    assert_eq!(fields, lines);
}

/// The table comes from Go, the definitions from a Rust crate: both must know the same fields of the same release.
#[test]
fn the_table_names_fields_that_the_schemas_know() {
    let kinds: Vec<_> = builtin()
        .iter()
        .map(|kind| (kind.api_version(), kind.kind))
        .collect();
    let definitions = definitions(kinds.iter().map(|(version, kind)| (version.as_str(), *kind)));
    let mut compared = 0;
    for message in table().messages() {
        let suffix = format!(".{}", message.name);
        let definition = definitions
            .iter()
            .find(|(name, _)| name.ends_with(&suffix))
            .map(|(_, schema)| schema);
        let Some(properties) = definition.and_then(|schema| schema["properties"].as_object()) else {
            continue;
        };
        compared += 1;
        for field in message.fields.iter().filter_map(|field| field.name) {
            assert!(properties.contains_key(field), "{} {field}", message.name);
        }
    }
    assert!(compared > 300, "only {compared} messages have a definition");
}

#[test]
fn special_types_have_their_json_form() {
    // A ServicePort with a named target port, a Lease time in microseconds, a creation time in seconds.
    let target = message(&[(1, Wire::Number(1)), (3, Wire::Bytes(b"http".to_vec()))]);
    let port = message(&[(3, Wire::Number(80)), (4, Wire::Bytes(target))]);
    let created = message(&[(1, Wire::Number(1_700_000_000)), (2, Wire::Number(5))]);
    let metadata = message(&[(1, Wire::Bytes(b"svc".to_vec())), (8, Wire::Bytes(created))]);
    let service = message(&[
        (1, Wire::Bytes(metadata.clone())),
        (2, Wire::Bytes(message(&[(1, Wire::Bytes(port))]))),
    ]);
    assert_eq!(
        decode(&envelope("v1", "Service", &service)).unwrap(),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "svc", "creationTimestamp": "2023-11-14T22:13:20Z"},
            "spec": {"ports": [{"port": 80, "targetPort": "http"}]},
        })
    );
    let renewed = message(&[(1, Wire::Number(1_700_000_000)), (2, Wire::Number(123_456_000))]);
    let lease = message(&[(2, Wire::Bytes(message(&[(4, Wire::Bytes(renewed))])))]);
    assert_eq!(
        decode(&envelope("coordination.k8s.io/v1", "Lease", &lease)).unwrap()["spec"]["renewTime"],
        "2023-11-14T22:13:20.123456Z"
    );
}

#[test]
fn unions_of_json_schemas_decode_to_either_side() {
    let text = message(&[(5, Wire::Bytes(b"string".to_vec()))]);
    let list = message(&[(1, Wire::Bytes(text.clone()))]);
    let open = message(&[(1, Wire::Number(1))]);
    let default = message(&[(1, Wire::Bytes(b"{\"a\":null}".to_vec()))]);
    let schema = message(&[
        (5, Wire::Bytes(b"object".to_vec())),
        (8, Wire::Bytes(default)),
        (24, Wire::Bytes(list)),
        (
            29,
            Wire::Bytes(message(&[
                (1, Wire::Bytes(b"p".to_vec())),
                (2, Wire::Bytes(text)),
            ])),
        ),
        (30, Wire::Bytes(open)),
        (38, Wire::Number(0)),
    ]);
    let version = message(&[
        (1, Wire::Bytes(b"v1".to_vec())),
        (4, Wire::Bytes(message(&[(1, Wire::Bytes(schema))]))),
    ]);
    let spec = message(&[(7, Wire::Bytes(version))]);
    let crd = message(&[(2, Wire::Bytes(spec))]);
    let object = decode(&envelope(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &crd,
    ))
    .unwrap();
    assert_eq!(
        object["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
        json!({
            "type": "object",
            "default": {"a": null},
            "items": {"type": "string"},
            "properties": {"p": {"type": "string"}},
            "additionalProperties": true,
            "x-kubernetes-preserve-unknown-fields": false,
        })
    );
}

#[test]
fn zeros_are_shown_where_go_has_a_pointer() {
    // replicas is a pointer, minReadySeconds is not.
    let spec = message(&[(1, Wire::Number(0)), (5, Wire::Number(0))]);
    let deployment = message(&[(2, Wire::Bytes(spec))]);
    let object = decode(&envelope("apps/v1", "Deployment", &deployment)).unwrap();
    assert_eq!(object["spec"], json!({"replicas": 0}));
}

#[test]
fn options_are_known_in_every_group() {
    let options = message(&[(1, Wire::Number(5)), (4, Wire::Bytes(b"Foreground".to_vec()))]);
    assert_eq!(
        decode(&envelope("apps/v1", "DeleteOptions", &options)).unwrap(),
        json!({
            "apiVersion": "apps/v1", "kind": "DeleteOptions",
            "gracePeriodSeconds": 5, "propagationPolicy": "Foreground",
        })
    );
}

#[test]
fn bodies_that_are_no_objects_are_refused() {
    assert_eq!(decode(b"{}"), Err(DecodeError::NotKubernetes));
    let unknown = decode(&envelope("example.com/v1", "Widget", &[])).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "no kind \"Widget\" is registered for version \"example.com/v1\""
    );
    // A value that is longer than the body.
    let cut = decode(&envelope("v1", "Pod", &[0x0a, 0x7f]));
    assert!(
        matches!(
            cut,
            Err(DecodeError::Malformed {
                message: "core.v1.Pod",
                ..
            })
        ),
        "{cut:?}"
    );
    let text = message(&[(1, Wire::Bytes(message(&[(1, Wire::Bytes(vec![0xff]))])))]);
    let invalid = decode(&envelope("v1", "Pod", &text));
    assert!(
        matches!(invalid, Err(DecodeError::Field { field: "name", .. })),
        "{invalid:?}"
    );
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let mut schema = Vec::new();
    for _ in 0..200 {
        schema = message(&[(28, Wire::Bytes(schema))]);
    }
    let version = message(&[(4, Wire::Bytes(message(&[(1, Wire::Bytes(schema))])))]);
    let crd = message(&[(2, Wire::Bytes(message(&[(7, Wire::Bytes(version))])))]);
    let deep = decode(&envelope(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &crd,
    ));
    assert_eq!(deep, Err(DecodeError::TooDeep));

    let containers = [0x12, 0].repeat(600_000);
    let pod = message(&[(2, Wire::Bytes(containers))]);
    assert_eq!(decode(&envelope("v1", "Pod", &pod)), Err(DecodeError::TooLarge));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        kind in proptest::sample::select(vec![
            ("v1", "Pod"), ("apps/v1", "Deployment"), ("v1", "Service"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"), ("coordination.k8s.io/v1", "Lease"),
        ]),
        bytes in proptest::collection::vec(any::<u8>(), 0..512),
    ) {
        let _ = decode(&bytes);
        let _ = decode(&envelope(kind.0, kind.1, &bytes));
    }

    /// Random messages that follow the table reach every decoder, and every one decodes.
    #[test]
    fn messages_of_the_table_decode(seed in proptest::collection::vec(any::<u8>(), 1..400), root in 0_usize..60) {
        let kinds = builtin();
        let kind = &kinds[root % kinds.len()];
        let (version, name) = (kind.api_version(), kind.kind);
        let package = version.split_once('/').unwrap_or(("core", &version));
        let index = table()
            .index(&format!("{}.{}.{name}", package.0.split('.').next().unwrap(), package.1))
            .unwrap();
        let mut seed = seed.into_iter();
        let bytes = random_message(index, &mut seed, 0);
        let decoded = decode(&envelope(&version, name, &bytes));
        prop_assert!(decoded.is_ok(), "{decoded:?}");
    }
}

/// Encodes fields that the seed chooses, with valid content.
fn random_message(index: usize, seed: &mut impl Iterator<Item = u8>, depth: usize) -> Vec<u8> {
    let fields = &table().get(index).unwrap().fields;
    let mut parts = Vec::new();
    while depth < 12 && parts.len() < 6 && !fields.is_empty() {
        let Some(choice) = seed.next() else { break };
        if choice > 200 {
            break;
        }
        let field = &fields[usize::from(choice) % fields.len()];
        let content = match field.kind {
            Type::Message(index) => random_message(index, seed, depth + 1),
            Type::Raw => message(&[(1, Wire::Bytes(b"{\"a\":[1]}".to_vec()))]),
            Type::Text | Type::Bytes => b"text".to_vec(),
            _ => message(&[]),
        };
        let value = match field.kind {
            Type::Bool | Type::Integer => Wire::Number(u64::from(choice)),
            Type::Double => continue,
            _ => Wire::Bytes(content),
        };
        let value = match field.cardinality {
            super::table::Cardinality::Map => {
                Wire::Bytes(message(&[(1, Wire::Bytes(b"key".to_vec())), (2, value)]))
            }
            _ => value,
        };
        parts.push((field.tag, value));
    }
    message(&parts)
}

enum Wire {
    Number(u64),
    Bytes(Vec<u8>),
}

fn message(fields: &[(u32, Wire)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (tag, value) in fields {
        match value {
            Wire::Number(number) => {
                varint(&mut bytes, u64::from(*tag) << 3);
                varint(&mut bytes, *number);
            }
            Wire::Bytes(content) => {
                varint(&mut bytes, u64::from(*tag) << 3 | 2);
                varint(&mut bytes, content.len() as u64);
                bytes.extend_from_slice(content);
            }
        }
    }
    bytes
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = message(&[
        (1, Wire::Bytes(api_version.as_bytes().to_vec())),
        (2, Wire::Bytes(kind.as_bytes().to_vec())),
    ]);
    let mut body = b"k8s\0".to_vec();
    body.extend(message(&[
        (1, Wire::Bytes(type_meta)),
        (2, Wire::Bytes(raw.to_vec())),
    ]));
    body
}
