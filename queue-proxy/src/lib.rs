//! The sidecar of every pod: admits as many requests as the container may run, probes it, counts, and drains.
//!
//! It links no Kubernetes client: everything it needs comes by environment.

mod admin;
mod chain;
mod config;
mod health;
mod reporter;
mod run;
mod stats;
mod telemetry;

pub use config::{Config, ConfigError, Ports};
pub use run::{Addresses, QueueProxy};
