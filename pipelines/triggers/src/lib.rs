//! EventListeners: from a webhook to the objects that triggers make of it.
//!
//! [`bindings`], [`templates`] and [`interceptors`] decide; they know neither a cluster nor a network, but for the
//! interceptors that are services of their own. [`listener`] is what runs in the pod of an EventListener: it takes
//! events, keeps them, and carries out what is decided. [`controller`] sees to that pod, [`admission`] to what may be
//! stored.

pub mod admission;
pub mod bindings;
pub mod controller;
pub mod event;
pub mod interceptors;
pub mod listener;
pub mod templates;

pub use controller::{Config, run_until, run_with};
