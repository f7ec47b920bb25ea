//! What flags do to a service: pure changes of raw JSON, so that fields newer than this program survive.

pub mod delivery;
pub mod digest;
pub mod edit;
pub mod last_applied;
pub mod service;
pub mod shape;

pub mod container;
mod containers;
mod env;
pub mod json;
mod metadata;
pub mod pairs;
mod probe;
mod profile;
mod resources;
mod revision_name;
mod scale;
mod scheduling;
mod volumes;

pub use containers::parse as further_containers;
