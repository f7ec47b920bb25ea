//! Reconcilers and admission of Broker, Trigger, channels, flows and sources.
//!
//! [`run`] keeps the objects of the groups of events, and their children, as their specs say, until its future is
//! dropped. It talks to nothing but the Kubernetes API. Events themselves never come here: the data plane reads what
//! is written into specs and statuses, and both meet in the API only.

mod addresses;
pub mod admission;
mod backing;
mod binding;
mod broker;
mod channel;
mod dead_letter;
mod encryption;
mod event_policy;
mod event_type;
mod flow;
mod identity;
mod in_memory_channel;
mod ingress;
mod job_sink;
mod parallel;
mod policies;
mod request_reply;
mod resolver;
mod run;
mod selector;
mod sequence;
mod shared;
mod sources;
mod subscription;
mod sugar;
mod tracker;
mod trigger;

pub use binding::SelectionMode;
pub use run::{Config, run, run_until, run_with};
