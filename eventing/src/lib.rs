//! Reconcilers and admission of Broker, Trigger, channels, flows and sources.
//!
//! [`run`] keeps the objects of the groups of events, and their children, as their specs say, until its future is
//! dropped. It talks to nothing but the Kubernetes API. Events themselves never come here: the data plane reads what
//! is written into specs and statuses, and both meet in the API only.

pub mod admission;
mod broker;
mod dead_letter;
mod identity;
mod ingress;
mod policies;
mod report;
mod resolver;
mod run;
mod selector;
mod shared;
mod sources;
mod tracker;
mod trigger;

pub use run::{Config, Election, run, run_with};
pub use shared::Clock;
