//! OpenAPI v3: an index whose URLs change with the content, and one document per group and version. And v2, in one piece.
//!
//! Documents are made when asked for and not kept: they are megabytes, and asked for by people at keyboards.

mod v2;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::registry::{Registry, to_bytes};

const DEFINITIONS: &str = "apiextensions.k8s.io/customresourcedefinitions/";

/// `/openapi/v3`
pub(crate) fn index(registry: &Registry) -> Value {
    let table = registry.table();
    let mut paths = Map::new();
    for (group, versions) in table.groups() {
        for version in versions {
            let path = if group.is_empty() {
                format!("api/{version}")
            } else {
                format!("apis/{group}/{version}")
            };
            // What a document is made from stands for what it says: the program, and the versions of the definitions.
            let mut hash = Sha256::new();
            hash.update(env!("CARGO_PKG_VERSION"));
            hash.update(&path);
            for (key, definition) in registry.store.list(DEFINITIONS).1 {
                if key.ends_with(&format!(".{group}")) {
                    hash.update(key.as_bytes());
                    hash.update(definition.revision.to_be_bytes());
                }
            }
            let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02X}")).collect();
            paths.insert(
                path.clone(),
                json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}),
            );
        }
    }
    json!({"paths": paths})
}

/// `/openapi/v2`, as JSON or, for client-go, as protobuf.
pub(crate) fn whole(registry: &Registry, release: &str, protobuf: bool) -> Bytes {
    let table = registry.table();
    let documents = table.groups().into_iter().flat_map(|(group, versions)| {
        versions
            .iter()
            .filter_map(|version| group_version(registry, group, version))
            .collect::<Vec<_>>()
    });
    let document = v2::document(release, documents);
    if protobuf {
        v2::protobuf(&document).into()
    } else {
        to_bytes(&document)
    }
}

/// `/openapi/v3/{path}`, such as `apis/apps/v1`.
pub(crate) fn document(registry: &Registry, path: &str) -> Option<Bytes> {
    let (group, version) = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => ("", *version),
        ["apis", group, version] => (*group, *version),
        _ => return None,
    };
    group_version(registry, group, version).map(|document| to_bytes(&document))
}

fn group_version(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let custom = || {
        let (_, stored) = registry.store.list(DEFINITIONS);
        let of_group = format!(".{group}");
        let definitions: Vec<Value> = stored
            .iter()
            .filter(|(key, _)| key.ends_with(&of_group))
            .map(|(_, object)| object.value())
            .collect();
        cluster_kinds::openapi::custom_resources(&definitions, group, version)
    };
    cluster_kinds::openapi::group_version(group, version).or_else(custom)
}
