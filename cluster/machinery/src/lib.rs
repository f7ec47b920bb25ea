//! Pure algorithms of the Kubernetes API: schemas, patches, server-side apply, selectors.
//!
//! Everything here is synchronous, works on [`serde_json::Value`] and has no side effect: the API server calls it
//! on its write path, tests call it with tables. Input is assumed hostile: recursion is bounded by [`MAX_DEPTH`],
//! work is bounded by the size of the input, nothing panics.

pub mod apply;
pub mod field_error;
pub mod json;
pub mod patch;
pub mod schema;
pub mod selector;
pub mod yaml;

pub use field_error::{ErrorKind, FieldError};
pub use schema::Schema;

/// Deepest nesting of arrays and objects that any function of this crate accepts or produces.
///
/// The same bound as `serde_json` has for text, so that what is parsed can be patched, and what is patched can be
/// stored and read again.
pub const MAX_DEPTH: usize = 127;

/// Returns whether `value` nests deeper than `limit` containers.
pub(crate) fn exceeds_depth(value: &serde_json::Value, limit: usize) -> bool {
    match value {
        serde_json::Value::Array(items) => {
            limit == 0 || items.iter().any(|item| exceeds_depth(item, limit - 1))
        }
        serde_json::Value::Object(map) => {
            limit == 0 || map.values().any(|item| exceeds_depth(item, limit - 1))
        }
        _ => false,
    }
}
