//! OpenAPI v2, made from the v3 documents: what kubectl validates a `List` with, and what older clients read.

use serde_json::{Map, Value, json};

/// Makes the document that holds the schemas of these v3 documents, without any path.
pub(super) fn document(release: &str, v3: impl IntoIterator<Item = Value>) -> Value {
    let mut definitions = Map::new();
    for mut document in v3 {
        if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas").map(Value::take) {
            definitions.extend(
                schemas
                    .into_iter()
                    .map(|(name, schema)| (name, downgrade(schema))),
            );
        }
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": release},
        "paths": {},
        "definitions": definitions,
    })
}

/// Says a v3 schema in the words of v2, which has one type for a value and no alternatives.
fn downgrade(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else {
        return schema;
    };
    // v3 wraps a reference that has a description or a default; in v2 a reference stands alone.
    let wrapped = match schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
        Some([only]) => only.get("$ref").cloned(),
        _ => None,
    };
    if let Some(Value::String(reference)) = wrapped.or_else(|| schema.remove("$ref")) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return json!({"$ref": format!("#/definitions/{name}")});
    }
    for word in ["allOf", "anyOf", "oneOf", "not", "nullable", "default"] {
        schema.remove(word);
    }
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        schema.insert("type".into(), "string".into());
        schema.insert("format".into(), "int-or-string".into());
    }
    for word in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(word) {
            *inner = downgrade(inner.take());
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            *property = downgrade(property.take());
        }
    }
    Value::Object(schema)
}

/// Encodes a document as `openapi.v2.Document`; the numbers are those of gnostic's `OpenAPIv2.proto`.
pub(super) fn protobuf(document: &Value) -> Vec<u8> {
    let mut info = Vec::new();
    put_text(&mut info, 1, &document["info"]["title"]);
    put_text(&mut info, 2, &document["info"]["version"]);
    let mut bytes = Vec::new();
    put_text(&mut bytes, 1, &document["swagger"]);
    put(&mut bytes, 2, &info);
    put(&mut bytes, 8, &[]);
    put(&mut bytes, 9, &named_schemas(&document["definitions"]));
    bytes
}

/// `Definitions` and `Properties`: both repeat `NamedSchema` as field 1.
fn named_schemas(schemas: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in schemas.as_object().into_iter().flatten() {
        let mut named = Vec::new();
        put(&mut named, 1, name.as_bytes());
        put(&mut named, 2, &schema(value));
        put(&mut bytes, 1, &named);
    }
    bytes
}

fn schema(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(members) = value.as_object() else {
        return bytes;
    };
    put_text(&mut bytes, 1, &value["$ref"]);
    put_text(&mut bytes, 2, &value["format"]);
    put_text(&mut bytes, 4, &value["description"]);
    for required in value["required"].as_array().into_iter().flatten() {
        put_text(&mut bytes, 19, required);
    }
    match members.get("additionalProperties") {
        Some(Value::Bool(allowed)) => put(&mut bytes, 21, &[2 << 3 | VARINT, u8::from(*allowed)]),
        Some(inner) => put(&mut bytes, 21, &wrapped(&schema(inner))),
        None => {}
    }
    if let Some(name) = value["type"].as_str() {
        put(&mut bytes, 22, &wrapped(name.as_bytes()));
    }
    if let Some(items) = members.get("items") {
        put(&mut bytes, 23, &wrapped(&schema(items)));
    }
    if let Some(properties) = members.get("properties") {
        put(&mut bytes, 25, &named_schemas(properties));
    }
    for (name, extension) in members.iter().filter(|(name, _)| name.starts_with("x-")) {
        let mut any = Vec::new();
        // JSON is YAML.
        put(&mut any, 2, extension.to_string().as_bytes());
        let mut named = Vec::new();
        put(&mut named, 1, name.as_bytes());
        put(&mut named, 2, &any);
        put(&mut bytes, 31, &named);
    }
    bytes
}

/// A message of which only field 1 is set.
fn wrapped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len() + 4);
    put(&mut bytes, 1, field);
    bytes
}

fn put_text(bytes: &mut Vec<u8>, field: u32, value: &Value) {
    if let Some(text) = value.as_str() {
        put(bytes, field, text.as_bytes());
    }
}

const VARINT: u8 = 0;
const DELIMITED: u32 = 2;

/// Appends a length-delimited field.
fn put(bytes: &mut Vec<u8>, field: u32, content: &[u8]) {
    varint(bytes, u64::from(field << 3 | DELIMITED));
    varint(bytes, content.len() as u64);
    bytes.extend_from_slice(content);
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_lose_what_v2_cannot_say() {
        for (v3, v2) in [
            (
                json!({"description": "d", "default": {}, "allOf": [{"$ref": "#/components/schemas/a.B"}]}),
                json!({"$ref": "#/definitions/a.B"}),
            ),
            (
                json!({"type": "array", "items": {"$ref": "#/components/schemas/B"}}),
                json!({"type": "array", "items": {"$ref": "#/definitions/B"}}),
            ),
            (
                json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
                json!({"x-kubernetes-int-or-string": true, "type": "string", "format": "int-or-string"}),
            ),
            (
                json!({"type": "object", "nullable": true, "additionalProperties": {"type": "string", "default": ""}}),
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
            ),
        ] {
            assert_eq!(downgrade(v3.clone()), v2, "{v3}");
        }
    }

    #[test]
    fn the_wire_form_is_that_of_the_protocol() {
        let document = document(
            "v1",
            [
                json!({"components": {"schemas": {"N": {"type": "object", "properties": {"p": {"$ref": "x/Q"}}}}}}),
            ],
        );
        let expected = [
            &b"\x0a\x032.0"[..],
            b"\x12\x10\x0a\x0aKubernetes\x12\x02v1",
            b"\x42\x00",
            b"\x4a\x2d\x0a\x2b\x0a\x01N\x12\x26",
            b"\xb2\x01\x08\x0a\x06object",
            b"\xca\x01\x18\x0a\x16\x0a\x01p\x12\x11\x0a\x0f#/definitions/Q",
        ]
        .concat();
        assert_eq!(protobuf(&document), expected);
    }
}
