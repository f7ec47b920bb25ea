//! Tasks and pipelines: what `tekton.dev` objects ask for, decided and kept.
