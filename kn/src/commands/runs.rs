//! What the commands of tasks, pipelines and their runs have in common.

pub mod cancel;
pub mod delete;
pub mod list;
pub mod logs;
pub mod rerun;
pub mod start;

mod follow;
mod line;
mod made;
mod watched;
