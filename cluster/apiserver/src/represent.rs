//! How objects are shown: as they are, as metadata only, or as rows of a table.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::registry::Registry;
use crate::resource::ResourceRef;

/// What the client accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Representation {
    #[default]
    Object,
}

impl Representation {
    /// Shows one object of a watch. `first` marks the one that carries the table's header.
    pub(crate) fn watched(
        self,
        _registry: &Registry,
        _resource: &ResourceRef,
        raw: &Bytes,
        _first: bool,
    ) -> Bytes {
        match self {
            Self::Object => raw.clone(),
        }
    }

    /// Makes the object of a bookmark.
    pub(crate) fn bookmark(self, api_version: &str, kind: &str, metadata: Value) -> Value {
        match self {
            Self::Object => json!({"kind": kind, "apiVersion": api_version, "metadata": metadata}),
        }
    }
}
