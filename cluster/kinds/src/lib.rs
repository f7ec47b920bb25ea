//! The built-in kinds of Kubernetes as data: one table, and functions over it.
//!
//! Nothing here stores or serves: a generic registry reads the table and calls the functions, so built-in kinds and
//! custom resources go through the same code. Objects are plain JSON throughout; a typed round trip would drop fields
//! newer than our types.

mod defaulting;
mod fields;
mod json;
mod kind;
pub mod openapi;
mod preparing;
pub mod printing;
pub mod protobuf;
mod schema;
mod table;
mod validation;

pub use kind::{ApiGroup, Kind, Scope, Subresource, builtin, by_kind, by_resource, groups};
pub use preparing::qos_class;
pub use schema::schema_of;
pub use validation::{NameRule, validate_metadata};
