//! How a cache holds one object: ready to read, or packed.

use std::sync::Arc;

use crate::object::{Object, version};

/// One object. Packed it is its JSON text, a quarter of what the typed object takes for kinds with a pod template: a
/// container is more than two kilobytes of mostly absent fields, and so is each handful of environment variables.
pub(super) enum Held<K> {
    Whole(Arc<K>),
    Packed {
        version: u64,
        uid: Option<Box<str>>,
        json: Box<str>,
    },
}

impl<K: Object> Held<K> {
    pub(super) fn new(object: &Arc<K>, packed: bool) -> Self {
        let json = packed
            .then(|| serde_json::to_string(object.as_ref()).ok())
            .flatten();
        match json {
            Some(json) => Self::Packed {
                version: version(object.as_ref()),
                uid: object.meta().uid.as_deref().map(Box::from),
                json: json.into_boxed_str(),
            },
            None => Self::Whole(object.clone()),
        }
    }

    /// Holds it as text from now on.
    pub(super) fn pack(&mut self) {
        if let Self::Whole(object) = self {
            *self = Self::new(&object.clone(), true);
        }
    }

    /// The object; `None` only if a type does not read what it wrote.
    pub(super) fn read(&self) -> Option<Arc<K>> {
        match self {
            Self::Whole(object) => Some(object.clone()),
            Self::Packed { json, .. } => serde_json::from_str(json)
                .inspect_err(
                    |error| tracing::error!(kind = %K::kind(&()), %error, "Packed object cannot be read"),
                )
                .ok()
                .map(Arc::new),
        }
    }

    pub(super) fn version(&self) -> u64 {
        match self {
            Self::Whole(object) => version(object.as_ref()),
            Self::Packed { version, .. } => *version,
        }
    }

    pub(super) fn uid(&self) -> Option<&str> {
        match self {
            Self::Whole(object) => object.meta().uid.as_deref(),
            Self::Packed { uid, .. } => uid.as_deref(),
        }
    }
}
