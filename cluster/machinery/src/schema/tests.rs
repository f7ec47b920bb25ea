use serde_json::json;

use super::*;

fn lookup(name: &str) -> Option<Value> {
    Some(match name {
        "Tree" => json!({"type": "object", "properties": {
            "name": {"type": "string", "default": "leaf"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
        }}),
        "io.k8s.apimachinery.pkg.api.resource.Quantity" => json!({"x-kubernetes-int-or-string": true}),
        "Alias" => json!({"$ref": "#/$defs/Tree"}),
        "Loop" => json!({"$ref": "#/$defs/Loop"}),
        _ => return None,
    })
}

fn messages(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn recursive_types_cost_one_node_each() {
    let document = json!({"type": "object", "properties": {
        "tree": {"$ref": "#/components/schemas/Tree", "description": "x"},
        "other": {"allOf": [{"$ref": "#/components/schemas/Alias"}], "default": {}},
    }});
    let schema = Schema::from_openapi_with(&document, &lookup).unwrap();
    assert!(schema.node_count() < 10, "{}", schema.node_count());
    let mut value = json!({"tree": {"children": [{"children": [{"x": 1}]}]}});
    assert_eq!(schema.unknown_fields(&value), ["tree.children[0].children[0].x"]);
    schema.default(&mut value);
    schema.prune(&mut value);
    assert_eq!(
        value,
        json!({
            "other": {"name": "leaf"},
            "tree": {"name": "leaf", "children": [{"name": "leaf", "children": [{"name": "leaf"}]}]},
        })
    );
}

#[test]
fn bad_references_are_errors() {
    let error = Schema::from_openapi_with(&json!({"$ref": "#/Nope"}), &lookup).unwrap_err();
    assert_eq!(
        error,
        SchemaError::UnknownReference {
            path: String::new(),
            name: "Nope".to_owned()
        }
    );
    assert!(Schema::from_openapi_with(&json!({"$ref": "#/$defs/Loop"}), &lookup).is_err());
    assert!(Schema::from_openapi(&json!({"type": "thing"})).is_err());
    assert!(Schema::from_openapi(&json!([])).is_err());
}

#[test]
fn free_form_objects_of_built_in_kinds_keep_everything() {
    let document = json!({"type": "object", "properties": {
        "raw": {"type": "object"}, "any": {"description": "JSON"}, "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    }});
    let schema = Schema::from_openapi(&document).unwrap();
    let mut value =
        json!({"raw": {"x": {"y": 1}}, "any": {"z": null}, "labels": {"a": "b", "c": null}, "gone": 1});
    assert_eq!(schema.unknown_fields(&value), ["gone"]);
    schema.prune(&mut value);
    schema.default(&mut value);
    assert_eq!(
        value,
        json!({"raw": {"x": {"y": 1}}, "any": {"z": null}, "labels": {"a": "b"}})
    );
}

#[test]
fn quantities_are_numbers_or_texts() {
    let document = json!({"type": "object", "properties": {
        "cpu": {"$ref": "#/$defs/io.k8s.apimachinery.pkg.api.resource.Quantity"},
    }});
    let schema = Schema::from_openapi_with(&document, &lookup).unwrap();
    for (value, errors) in [
        (json!(0.5), 0),
        (json!("1500m"), 0),
        (json!("lots"), 1),
        (json!(true), 1),
    ] {
        assert_eq!(
            schema.validate(&json!({"cpu": value}), None).len(),
            errors,
            "{value}"
        );
    }
}

fn custom() -> Schema {
    Schema::for_custom_resource(&json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 9},
                    "mode": {"type": "string", "enum": ["Fast", "Safe"], "default": "Safe"},
                    "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5, "minLength": 2},
                    "when": {"type": "string", "format": "date-time", "nullable": true},
                    "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                             "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}}},
                    "closed": {"type": "object"},
                    "template": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
                    "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set", "maxItems": 3, "minItems": 1},
                    "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
                              "items": {"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}}}},
                    "one": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
                    "limits": {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 2},
                },
            },
        },
    }))
    .unwrap()
}

#[test]
fn validation_speaks_as_kubernetes() {
    let table = [
        (json!({}), vec!["spec.size: Required value"]),
        (
            json!({"size": 0}),
            vec!["spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"],
        ),
        (
            json!({"size": 10}),
            vec!["spec.size: Invalid value: 10: spec.size in body should be less than or equal to 9"],
        ),
        (
            json!({"size": "x"}),
            vec![
                "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
            ],
        ),
        (
            json!({"size": 1.5}),
            vec![
                "spec.size: Invalid value: \"number\": spec.size in body must be of type integer: \"number\"",
            ],
        ),
        (
            json!({"size": null}),
            vec!["spec.size: Invalid value: \"null\": spec.size in body must be of type integer: \"null\""],
        ),
        (
            json!({"size": 1, "mode": "X"}),
            vec!["spec.mode: Unsupported value: \"X\": supported values: \"Fast\", \"Safe\""],
        ),
        (
            json!({"size": 1, "name": "A1"}),
            vec!["spec.name: Invalid value: \"A1\": spec.name in body should match '^[a-z]+$'"],
        ),
        (
            json!({"size": 1, "name": "abcdef"}),
            vec!["spec.name: Too long: may not be more than 5 bytes"],
        ),
        (
            json!({"size": 1, "name": "a"}),
            vec!["spec.name: Invalid value: \"a\": spec.name in body should be at least 2 chars long"],
        ),
        (json!({"size": 1, "when": null}), vec![]),
        (
            json!({"size": 1, "when": "now"}),
            vec!["spec.when: Invalid value: \"now\": spec.when in body must be of type date-time: \"now\""],
        ),
        (json!({"size": 1, "port": "http"}), vec![]),
        (json!({"size": 1, "port": 80}), vec![]),
        (
            json!({"size": 1, "port": true}),
            vec![
                "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
            ],
        ),
        (
            json!({"size": 1, "tags": ["a", "b", "a"]}),
            vec!["spec.tags[2]: Duplicate value: \"a\""],
        ),
        (
            json!({"size": 1, "tags": ["a", "b", "c", "d"]}),
            vec!["spec.tags: Too many: 4: must have at most 3 items"],
        ),
        (
            json!({"size": 1, "tags": []}),
            vec!["spec.tags: Invalid value: []: spec.tags in body should have at least 1 items"],
        ),
        (
            json!({"size": 1, "ports": [{"port": 1}, {"port": 1}]}),
            vec!["spec.ports[1]: Duplicate value: {\"port\":1}"],
        ),
        (
            json!({"size": 1, "one": {}}),
            vec![
                "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found none valid",
                "spec.one.a: Required value",
            ],
        ),
        (
            json!({"size": 1, "one": {"a": "", "b": ""}}),
            vec![
                "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
            ],
        ),
        (
            json!({"size": 1, "limits": {"a": 1, "b": "x"}}),
            vec![
                "spec.limits.b: Invalid value: \"string\": spec.limits.b in body must be of type integer: \"string\"",
            ],
        ),
        (
            json!({"size": 1, "limits": {"a": 1, "b": 1, "c": 1}}),
            vec!["spec.limits: Too many: 3: must have at most 2 items"],
        ),
    ];
    for (spec, expected) in table {
        let errors = custom().validate(
            &json!({"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "x"}, "spec": spec}),
            None,
        );
        assert_eq!(messages(&errors), expected, "{spec}");
    }
}

#[test]
fn what_did_not_change_is_not_judged_again() {
    let object = |size: i64, ports: Value| json!({"spec": {"size": size, "name": "BAD", "ports": ports}});
    let old = object(1, json!([{"port": 1, "protocol": 5}]));
    assert_eq!(
        messages(&custom().validate(
            &object(2, json!([{"port": 2}, {"port": 1, "protocol": 5}])),
            Some(&old)
        )),
        Vec::<String>::new()
    );
    assert_eq!(
        custom()
            .validate(&object(2, json!([{"port": 1, "protocol": 6}])), Some(&old))
            .len(),
        1
    );
}

#[test]
fn pruning_and_defaults_of_custom_resources() {
    let mut value = json!({
        "apiVersion": "a/v1", "kind": "A",
        "metadata": {"name": "x", "bogus": 1, "creationTimestamp": null, "labels": {"a": "b"}},
        "spec": {
            "size": 1, "unknown": 1, "when": null, "mode": null,
            "free": {"x": {"y": 1}, "known": {"a": "", "b": 1}},
            "closed": {"x": 1},
            "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "bogus": 1}, "spec": {"x": 1}},
            "ports": [{"port": 1, "x": 1}],
        },
        "extra": true,
    });
    assert_eq!(
        custom().unknown_fields(&value),
        [
            "extra",
            "metadata.bogus",
            "spec.closed.x",
            "spec.free.known.b",
            "spec.ports[0].x",
            "spec.template.metadata.bogus",
            "spec.unknown"
        ]
    );
    custom().prune(&mut value);
    custom().default(&mut value);
    assert_eq!(
        value,
        json!({
            "apiVersion": "a/v1", "kind": "A",
            "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": {
                "size": 1, "when": null, "mode": "Safe",
                "free": {"x": {"y": 1}, "known": {"a": ""}},
                "closed": {},
                "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"x": 1}},
                "ports": [{"port": 1, "protocol": "TCP"}],
            },
        })
    );
}

#[test]
fn schemas_that_are_not_structural_are_refused() {
    let field = |schema: Value| json!({"type": "object", "properties": {"spec": schema}});
    let table = [
        (json!({}), "s.type: Required value: must not be empty at the root"),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            "s.type: Invalid value: \"array\": must be object at the root",
        ),
        (
            field(json!({})),
            "s.properties[spec].type: Required value: must not be empty for specified object fields",
        ),
        (
            field(json!({"type": "array"})),
            "s.properties[spec].items: Required value: must be specified",
        ),
        (
            field(json!({"type": "array", "items": {}})),
            "s.properties[spec].items.type: Required value: must not be empty for specified array items",
        ),
        (
            field(json!({"type": "string", "pattern": "("})),
            "s.properties[spec].pattern: Invalid value",
        ),
        (
            field(json!({"$ref": "#/x", "type": "object"})),
            "s.properties[spec].$ref: Forbidden: $ref is not supported",
        ),
        (
            field(json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}})),
            "s.properties[spec].uniqueItems: Forbidden",
        ),
        (
            field(json!({"type": "object", "additionalProperties": false})),
            "s.properties[spec].additionalProperties: Forbidden",
        ),
        (
            field(
                json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
            ),
            "s.properties[spec].additionalProperties: Forbidden",
        ),
        (
            field(json!({"type": "string", "anyOf": [{"type": "string"}]})),
            "s.properties[spec].anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            field(json!({"type": "object", "anyOf": [{"properties": {"a": {}}}]})),
            "s.properties[spec].anyOf[0].properties[a]: Required value",
        ),
        (
            field(json!({"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}})),
            "s.properties[spec].x-kubernetes-list-map-keys: Required value",
        ),
        (
            field(
                json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"], "items": {"type": "object", "properties": {"a": {"type": "string"}}}}),
            ),
            "s.properties[spec].items.properties[a].default: Required value",
        ),
        (
            field(json!({"type": "string", "default": 1})),
            "s.properties[spec].default: Invalid value",
        ),
        (
            field(json!({"type": "object", "x-kubernetes-embedded-resource": true})),
            "s.properties[spec].properties: Required value",
        ),
        (
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
            "s.properties.metadata: Forbidden",
        ),
    ];
    for (schema, expected) in table {
        let errors = messages(&structural_errors(&schema, "s"));
        assert!(
            errors.iter().any(|error| error.starts_with(expected)),
            "{schema}: {errors:?}"
        );
    }
    let fine = field(json!({
        "type": "object",
        "properties": {
            "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "free": {"x-kubernetes-preserve-unknown-fields": true},
            "mode": {"type": "string", "default": "a", "enum": ["a", "b"]},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "oneOf": [{"required": ["port"]}, {"properties": {"mode": {"enum": ["b"]}}}],
    }));
    assert_eq!(messages(&structural_errors(&fine, "s")), Vec::<String>::new());
}
