//! Image store, pulls, layer builds and the embedded OCI registry.
//!
//! One content-addressed store serves both: what is pushed to the embedded registry can be run at once, and what was
//! pulled is unpacked once per layer for any number of containers.

mod blob;
mod build;
mod digest;
mod durable;
mod error;
mod image;
mod layer;
mod manifest;
mod names;
pub mod registry;
mod remote;
mod store;

pub use build::{FileSource, LayerBuild, LayerFile};
pub use digest::{Digest, DigestError};
pub use error::ImageError;
pub use image::{Collected, Credentials, Image, ImageSummary, Progress, PullPolicy, RunConfig};
pub use store::{ImageStore, StoreConfig};
