//! What the targets share: splitting an input into documents, and a kind to patch.

use std::sync::LazyLock;

use cluster_machinery::Schema;
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
