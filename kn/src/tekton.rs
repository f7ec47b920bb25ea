//! What the commands of tasks and pipelines know of runs: pure functions on raw JSON.
//!
//! What is printed is what `tkn` prints: the texts of statuses and times are read by scripts.

mod builds;
mod describe;
mod objects;
mod params;
mod prune;
mod rerun;
mod status;
mod times;
mod workspaces;

pub use builds::{Marks, build, build_facts, build_rows, is_build, step_table};
pub use describe::{pipeline, pipeline_run, task, task_run};
pub use objects::{attempts, children, is_over, newest, newness, steps};
pub use params::params;
pub use prune::{Keep, prunable};
pub use rerun::{again, failing};
pub use status::{outcome, status};
pub use times::{ago, lasted};
pub use workspaces::workspaces;

/// On TaskRuns: name of the Task.
pub const TASK: &str = "tekton.dev/task";
/// On PipelineRuns and what they made: name of the Pipeline.
pub const PIPELINE: &str = "tekton.dev/pipeline";
/// On what a PipelineRun made: its name.
pub const PIPELINE_RUN: &str = "tekton.dev/pipelineRun";
