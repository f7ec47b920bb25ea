//! Tasks and pipelines: what `tekton.dev` objects ask for, decided and kept.

pub mod substitution;
pub mod value;
