//! Objects of any shape pass through every function of a kind: nothing panics, and defaulting is idempotent.

use cluster_kinds::{Kind, builtin};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Names that the rules look for, so that random objects get deep into them.
const NAMES: [&str; 60] = [
    "accessModes",
    "addresses",
    "annotations",
    "apiGroups",
    "backend",
    "behavior",
    "clientConfig",
    "clusterIP",
    "completions",
    "conditions",
    "containerStatuses",
    "containers",
    "conversion",
    "data",
    "defaultBackend",
    "emptyDir",
    "endpoints",
    "env",
    "fieldRef",
    "hostNetwork",
    "http",
    "httpGet",
    "image",
    "initContainers",
    "items",
    "jobTemplate",
    "kind",
    "labels",
    "limits",
    "livenessProbe",
    "matchExpressions",
    "matchLabels",
    "metadata",
    "metrics",
    "name",
    "names",
    "operator",
    "path",
    "paths",
    "port",
    "ports",
    "protocol",
    "requests",
    "resources",
    "roleRef",
    "rules",
    "schedule",
    "schema",
    "selector",
    "spec",
    "state",
    "status",
    "strategy",
    "subjects",
    "template",
    "type",
    "values",
    "valueFrom",
    "versions",
    "volumes",
];

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![any::<i64>(), -2_i64..100].prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "[ -~]{0,12}".prop_map(Value::from),
        proptest::sample::select(vec![
            "ClusterIP",
            "RollingUpdate",
            "100%",
            "1Gi",
            "Always",
            "v1",
            "ü"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 96, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(proptest::sample::select(NAMES.to_vec()), inner, 0..6).prop_map(
                |fields| {
                    Value::Object(
                        fields
                            .into_iter()
                            .map(|(name, value)| (name.to_owned(), value))
                            .collect::<Map<_, _>>(),
                    )
                }
            ),
        ]
    })
}

fn any_kind() -> impl Strategy<Value = &'static Kind> {
    (0..builtin().len()).prop_map(|index| &builtin()[index])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_panics_and_defaults_are_idempotent(kind in any_kind(), object in any_value(), other in any_value()) {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut defaulted = object.clone();
        kind.default(&mut defaulted);
        let once = defaulted.clone();
        kind.default(&mut defaulted);
        prop_assert_eq!(&once, &defaulted);
        for value in [&object, &once] {
            kind.validate_create(value);
            kind.validate_update(value, &other, "");
            prop_assert_eq!(kind.row(value, now).len(), kind.columns().len());
            kind.field_label(value, "metadata.name");
            kind.field_label(value, "status.podIPs");
        }
        let mut prepared = once;
        kind.prepare_create(&mut prepared);
    }

    #[test]
    fn no_update_without_a_change_is_refused_for_a_change(kind in any_kind(), mut object in any_value()) {
        kind.default(&mut object);
        let created = kind.validate_create(&object);
        let updated = kind.validate_update(&object, &object, "");
        // An update may check less than a creation, never more.
        for error in &updated {
            prop_assert!(created.contains(error), "{}", error);
        }
    }

    #[test]
    fn definitions_of_any_shape_make_a_document_or_none(definition in any_value()) {
        let mut definition = definition;
        if let Some(fields) = definition.as_object_mut() {
            fields.insert("spec".to_owned(), json!({
                "group": "example.com", "names": {"kind": "Widget", "plural": "widgets"},
                "versions": [{"name": "v1", "served": true, "schema": {"openAPIV3Schema": fields.clone()}}],
            }));
        }
        cluster_kinds::openapi::custom_resources([&definition], "example.com", "v1");
    }
}
