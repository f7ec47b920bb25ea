//! How objects are shown: as they are, as metadata only, or as rows of a table.

mod columns;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use self::columns::{cells, definitions};
use crate::registry::{ListAnswer, Registry, to_bytes};
use crate::resource::Resource;

/// What the client accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Representation {
    #[default]
    Object,
    /// `PartialObjectMetadata` in this version of `meta.k8s.io`.
    Metadata(&'static str),
    /// `Table` in this version of `meta.k8s.io`.
    Table { version: &'static str, include: Include },
}

/// What a row of a table carries beside its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

impl Representation {
    pub(crate) fn table(version: &'static str, include: &str) -> Self {
        let include = match include {
            "None" => Include::None,
            "Object" => Include::Object,
            _ => Include::Metadata,
        };
        Self::Table { version, include }
    }

    /// Shows one object.
    pub(crate) fn object(self, registry: &Registry, resource: &Resource, raw: &Bytes) -> Bytes {
        match self {
            Self::Object => raw.clone(),
            Self::Metadata(version) => stored_partial(raw, version),
            Self::Table { version, include } => {
                let value = parse(raw);
                let metadata =
                    json!({"resourceVersion": crate::meta::text(&value, "/metadata/resourceVersion")});
                to_bytes(&table(
                    registry,
                    resource,
                    version,
                    include,
                    metadata,
                    &[value],
                    true,
                ))
            }
        }
    }

    /// Shows one object of a watch. `first` marks the one that carries the table's header.
    pub(crate) fn watched(self, registry: &Registry, resource: &Resource, raw: &Bytes, first: bool) -> Bytes {
        match self {
            Self::Table { version, include } => {
                let value = parse(raw);
                let metadata =
                    json!({"resourceVersion": crate::meta::text(&value, "/metadata/resourceVersion")});
                to_bytes(&table(
                    registry,
                    resource,
                    version,
                    include,
                    metadata,
                    &[value],
                    first,
                ))
            }
            other => other.object(registry, resource, raw),
        }
    }

    /// Shows a list.
    pub(crate) fn list(self, registry: &Registry, resource: &Resource, list: &ListAnswer) -> Bytes {
        let metadata = list_metadata(list);
        match self {
            Self::Object => {
                let head = json!({"kind": resource.list_kind, "apiVersion": resource.api_version(), "metadata": metadata});
                join(&head, &list.items)
            }
            Self::Metadata(version) => {
                let items: Vec<Bytes> = list
                    .items
                    .iter()
                    .map(|raw| stored_partial(raw, version))
                    .collect();
                let head = json!({
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": format!("meta.k8s.io/{version}"),
                    "metadata": metadata,
                });
                join(&head, &items)
            }
            Self::Table { version, include } => {
                let items: Vec<Value> = list.items.iter().map(parse).collect();
                to_bytes(&table(
                    registry, resource, version, include, metadata, &items, true,
                ))
            }
        }
    }

    /// Makes the object of a bookmark.
    pub(crate) fn bookmark(self, api_version: &str, kind: &str, metadata: Value) -> Value {
        match self {
            Self::Object => json!({"kind": kind, "apiVersion": api_version, "metadata": metadata}),
            Self::Metadata(version) => json!({
                "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
            }),
            Self::Table { version, .. } => {
                // The annotation that ends the initial objects travels in a row, as upstream sends it.
                let row = json!({"cells": [], "object": {
                    "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
                }});
                json!({
                    "kind": "Table",
                    "apiVersion": format!("meta.k8s.io/{version}"),
                    "metadata": {"resourceVersion": metadata["resourceVersion"]},
                    "columnDefinitions": [],
                    "rows": [row],
                })
            }
        }
    }
}

fn list_metadata(list: &ListAnswer) -> Value {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), list.revision.to_string().into());
    if !list.continue_token.is_empty() {
        metadata.insert("continue".into(), list.continue_token.clone().into());
        if let Some(remaining) = list.remaining {
            metadata.insert("remainingItemCount".into(), remaining.into());
        }
    }
    Value::Object(metadata)
}

/// Puts stored bytes together as a list, without parsing them.
fn join(head: &Value, items: &[Bytes]) -> Bytes {
    let mut bytes = serde_json::to_vec(head).unwrap_or_default();
    bytes.pop();
    bytes.reserve(items.iter().map(|item| item.len() + 1).sum::<usize>() + 16);
    bytes.extend_from_slice(b",\"items\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(item);
    }
    bytes.extend_from_slice(b"]}");
    bytes.into()
}

fn partial(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object["metadata"],
    })
}

/// The same of stored bytes, of which only the metadata is read.
fn stored_partial(raw: &[u8], version: &str) -> Bytes {
    let metadata = crate::meta::raw(raw);
    format!(
        r#"{{"apiVersion":"meta.k8s.io/{version}","kind":"PartialObjectMetadata","metadata":{metadata}}}"#
    )
    .into()
}

fn table(
    registry: &Registry,
    resource: &Resource,
    version: &str,
    include: Include,
    metadata: Value,
    items: &[Value],
    header: bool,
) -> Value {
    let now = (registry.clock)();
    let row = |object: &Value| {
        let mut row = json!({"cells": cells(resource, object, now)});
        match include {
            Include::None => {}
            Include::Metadata => row["object"] = partial(object, version),
            Include::Object => row["object"] = object.clone(),
        }
        row
    };
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata,
        // Later events of a watch need no header: kubectl keeps the first.
        "columnDefinitions": if header { definitions(resource) } else { json!([]) },
        "rows": items.iter().map(row).collect::<Vec<_>>(),
    })
}

fn parse(raw: &Bytes) -> Value {
    serde_json::from_slice(raw).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_stored_bytes_is_that_of_the_object() {
        for object in [
            json!({"kind": "Pod", "metadata": {"name": "a", "labels": {"x": "\"}\u{e9}\\"}}, "spec": {"metadata": {"name": "b"}}}),
            json!({"metadata": null}),
            json!({"spec": {"metadata": {"name": "b"}}}),
        ] {
            let raw = to_bytes(&object);
            assert_eq!(parse(&stored_partial(&raw, "v1")), partial(&object, "v1"));
            let metadata: Value = serde_json::from_str(crate::meta::raw(&raw)).unwrap_or_default();
            assert_eq!(metadata, object["metadata"]);
        }
        assert_eq!(
            parse(&stored_partial(b"damaged", "v1")),
            partial(&Value::Null, "v1")
        );
    }
}
