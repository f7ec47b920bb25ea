//! Schemas of the built-in kinds: structure from the typed API crate, list semantics from our own tables.
//!
//! The generated JSON of one workload kind is several hundred kilobytes, so it is made on demand, turned into the compact
//! form that strict decoding, patches and server-side apply need, and dropped.

mod annotate;
mod compact;
mod definitions;
mod lists;
#[cfg(test)]
mod tests;

pub use compact::schema_of;
pub(crate) use definitions::{Definitions, definition_name, definitions};
