//! `sinks.knative.dev`: receivers that ship with the platform.

mod job;
mod job_sink;

pub use job::{EVENT_FILE, job_of, job_sink_labels};
pub use job_sink::{JobSink, JobSinkJobStatus, JobSinkSpec, JobSinkStatus};

/// API group of the kinds in this module.
pub const GROUP: &str = "sinks.knative.dev";
