//! Prunes runs that are over, and keeps what they said after they and their pods are gone.
//!
//! The log of each pod of a TaskRun is read when its steps have ended, or when the pod is about to go, and the object of
//! each run when it is over. Both go into a [`Store`] on disk that is bounded in bytes, entries and age. Runs beyond the
//! limits of the ConfigMap `tekton-pruner-default-spec` are deleted once the store has them. [`serve`] gives back what
//! there is, to whoever may act in the namespace.

mod config;
mod keep;
mod metrics;
mod namespaces;
mod prune;
mod run;
mod serve;
mod store;

/// Name of the Service in front of [`Config::listeners`], in the namespace of the pipelines.
pub const SERVICE: &str = "run-archive";
/// Port of the component on a cluster.
pub const PORT: u16 = 8089;

pub use config::{Limits, Pruning, manifest};
pub use run::{Config, run_until};
pub use store::{Bounds, Entry, Kind, Store, StoreError, Subject, Usage};
