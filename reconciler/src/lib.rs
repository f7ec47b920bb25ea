//! What every controller shares: caches, queues, conditions, server-side apply of children, ConfigMap stores, events,
//! leases, health.
//!
//! A controller is a [`controller::Reconcile`] behind a [`controller::Controller`]. It reads [`cache::Cache`]s, writes
//! through an [`apply::Applier`] and keeps its status with a [`conditions::ConditionSet`].

pub mod apply;
pub mod backoff;
pub mod cache;
pub mod conditions;
pub mod config;
pub mod controller;
pub mod error;
pub mod events;
pub mod health;
pub mod key;
pub mod leases;
mod metrics;
pub mod object;
pub mod queue;

pub use apply::{Applied, Applier};
pub use cache::{Cache, Caches, Change, Selection};
pub use conditions::{ConditionSet, Conditions};
pub use config::{ConfigStore, Snapshot};
pub use controller::{Controller, Next, Reconcile};
pub use error::{Class, Error};
pub use events::Recorder;
pub use key::Key;
pub use leases::Leadership;
pub use metrics::SECONDS;
pub use object::{Object, Scoped};
pub use queue::Queue;
