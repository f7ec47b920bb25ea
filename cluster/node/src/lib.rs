//! The node agent: pods as OCI containers, probes, volumes, logs; and the container shim.
//!
//! A pod is a [`shim`] process and the containers it started. The agent ([`NodeAgent`]) decides what a pod needs next
//! and asks its shim; it may be restarted, or killed, without a container noticing.

mod agent;
pub mod cgroup;
mod context;
mod disk;
mod downward;
mod env;
mod event;
mod eviction;
mod files;
mod image_collection;
mod logs;
mod mount_points;
mod node;
pub mod oci;
mod pod;
mod preflight;
mod probe;
mod resources;
pub mod shim;
pub mod shim_client;
mod signal;
mod sources;
mod user;
mod volume;

pub use agent::{LogError, NodeAgent, NodeConfig, StartError};
pub use logs::{LogOptions, LogStream};
pub use preflight::{Missing, preflight};

/// The whole chain of an error in one line, for messages that users see.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
