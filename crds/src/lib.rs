//! API types of every custom resource: spec, status, defaulting, validation, and the CRD YAML generated from them.

#![expect(
    clippy::duplicated_attributes,
    reason = "each printer column of a derived resource has the same keys, which the lint takes for repetition"
)]

pub mod annotations;
pub mod autoscaling;
pub mod caching;
pub mod conditions;
pub mod config;
pub mod defaulting;
pub mod dns;
pub mod headers;
pub mod labels;
pub mod names;
pub mod networking;
pub mod ports;
pub mod resource;
mod schema;
pub mod serving;
pub mod stat;
mod types;
pub mod validation;

pub use schema::all;
pub use types::{Addressable, KReference};
