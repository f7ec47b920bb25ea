//! The node agent: pods as OCI containers, probes, volumes, logs; and the container shim.
//!
//! A pod is a [`shim`] process and the containers it started. The agent decides what a pod needs next and asks its
//! shim; it may be restarted, or killed, without a container noticing.

pub mod cgroup;
pub mod oci;
pub mod shim;
pub mod shim_client;
mod signal;
