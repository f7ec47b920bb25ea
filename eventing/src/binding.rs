//! What a SinkBinding does to workloads: which ones it is for, and how their pods learn of the sink.
//!
//! Pure: the reconciler and the admission webhook go by the same functions, so that both leave the same workload.

mod injection;
mod selection;

pub use selection::SelectionMode;

pub(crate) use injection::{Injection, Present, bind, bound_by, present, remove, unbind};
pub(crate) use selection::{Candidate, chosen, is_of_kind, is_system, selects};
