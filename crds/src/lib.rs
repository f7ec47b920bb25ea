//! API types of every custom resource: spec, status, defaulting, validation, and the CRD YAML generated from them.

pub mod annotations;
pub mod autoscaling;
pub mod caching;
pub mod conditions;
pub mod headers;
pub mod labels;
pub mod names;
pub mod networking;
pub mod ports;
pub mod serving;
pub mod stat;
mod types;

pub use types::{Addressable, KReference};
