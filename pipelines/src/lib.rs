//! Tasks and pipelines: what `tekton.dev` objects ask for, decided and kept.

pub mod graph;
pub mod matrix;
pub mod params;
pub mod pipeline_run;
pub mod pod;
pub mod substitution;
pub mod when;
