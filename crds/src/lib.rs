//! API types of every custom resource: spec, status, defaulting, validation, and the CRD YAML generated from them.
//!
//! Without the default feature `kinds` only the statistics messages remain, and no Kubernetes library is linked: that is
//! all the queue-proxy needs.

#![cfg_attr(
    feature = "kinds",
    expect(
        clippy::duplicated_attributes,
        reason = "each printer column of a derived resource has the same keys, which the lint takes for repetition"
    )
)]

#[cfg(feature = "kinds")]
pub mod annotations;
#[cfg(feature = "kinds")]
pub mod autoscaling;
#[cfg(feature = "kinds")]
pub mod caching;
#[cfg(feature = "kinds")]
pub mod conditions;
#[cfg(feature = "kinds")]
pub mod config;
#[cfg(feature = "kinds")]
pub mod defaulting;
#[cfg(feature = "kinds")]
pub mod dns;
#[cfg(feature = "kinds")]
pub mod duck;
#[cfg(feature = "kinds")]
pub mod eventing;
#[cfg(feature = "kinds")]
pub mod flows;
#[cfg(feature = "kinds")]
pub mod headers;
#[cfg(feature = "kinds")]
pub mod iso_duration;
#[cfg(feature = "kinds")]
pub mod labels;
#[cfg(feature = "kinds")]
pub mod messaging;
#[cfg(feature = "kinds")]
pub mod names;
#[cfg(feature = "kinds")]
pub mod networking;
#[cfg(feature = "kinds")]
pub mod ports;
#[cfg(feature = "kinds")]
pub mod resource;
#[cfg(feature = "kinds")]
mod schema;
#[cfg(feature = "kinds")]
pub mod serving;
#[cfg(feature = "kinds")]
pub mod sinks;
#[cfg(feature = "kinds")]
pub mod sources;
#[cfg(feature = "kinds")]
pub mod spindrift;
pub mod stat;
#[cfg(feature = "kinds")]
pub mod tekton;
#[cfg(feature = "kinds")]
pub mod triggers;
#[cfg(feature = "kinds")]
mod types;
#[cfg(feature = "kinds")]
pub mod validation;

#[cfg(feature = "kinds")]
pub use schema::{
    all, spindrift as spindrift_definitions, tekton as tekton_definitions, triggers as triggers_definitions,
};
#[cfg(feature = "kinds")]
pub use types::{Addressable, KReference};
