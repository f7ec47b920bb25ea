//! Tasks and pipelines: what `tekton.dev` objects ask for, decided and kept.

pub mod admission;
pub mod cel;
mod cloud_events;
pub mod config;
pub mod conversion;
pub mod graph;
pub mod matrix;
pub mod params;
pub mod pipeline_run;
pub mod pod;
mod resolve;
pub mod run;
mod shared;
mod stopwatch;
pub mod substitution;
mod task_run;
pub mod when;

pub use event_client::{Allowed, Config as Outgoing};
pub use run::{Config, run_until, run_with};
