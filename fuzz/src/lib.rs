//! What the targets share: splitting an input into documents or a message, and a kind to patch.

use std::sync::LazyLock;

use bytes::Bytes;
use cluster_machinery::Schema;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

/// Splits the input at zero bytes into `N` JSON documents.
pub fn documents<const N: usize>(data: &[u8]) -> Option<[Value; N]> {
    let parts: Vec<Value> = data
        .splitn(N, |byte| *byte == 0)
        .map(|part| {
            cluster_machinery::json::parse_strict(part)
                .ok()
                .map(|(value, _)| value)
        })
        .collect::<Option<_>>()?;
    parts.try_into().ok()
}

/// An HTTP message: header lines up to an empty one, then the body. Lines that are no headers are skipped.
pub fn message(data: &[u8]) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, Bytes::copy_from_slice(rest))
}

/// A kind with every sort of list and map.
pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::from_openapi(&json!({"type": "object", "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"},
        "metadata": {"type": "object", "properties": {
            "name": {"type": "string"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "finalizers": {"type": "array", "items": {"type": "string"},
                "x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"},
        }},
        "spec": {"type": "object", "x-kubernetes-patch-strategy": "retainKeys", "properties": {
            "n": {"type": "integer"},
            "atomic": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
            "free": {"type": "object"},
            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "p"],
                "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "k",
                "items": {"type": "object", "properties": {
                    "k": {"type": "integer"}, "p": {"type": "string", "default": "TCP"}, "v": {"type": "string"}}}},
        }},
        "status": {"type": "object", "properties": {"n": {"type": "integer"}}},
    }}))
    .expect("the schema is a constant")
});
