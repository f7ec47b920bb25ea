//! What every controller of the platform shares: conditions, server-side apply of children, ConfigMap stores, events,
//! leases, health; and what runs them.
//!
//! A controller is a [`controller::Reconcile`] behind a [`controller::Controller`]. It reads [`cache::Cache`]s, writes
//! through an [`apply::Applier`] and keeps its status with a [`conditions::ConditionSet`]. Caches and queues are those
//! of the crate `informer`, seen through this door.

pub mod admission;
pub mod apply;
pub mod conditions;
pub mod config;
pub mod controller;
pub mod error;
pub mod events;
pub mod finalizer;
pub mod health;
pub mod leases;
mod manager;
mod metrics;
mod report;
pub mod token;

pub use apply::{Applied, Applier};
pub use conditions::{ConditionSet, Conditions};
pub use config::{ConfigStore, Snapshot};
pub use controller::{Controller, Next, Reconcile};
pub use error::{Class, Error};
pub use events::Recorder;
pub use informer::{
    Cache, Caches, Change, Key, Object, SECONDS, Scoped, Selection, backoff, cache, key, object, registered,
};
pub use leases::{Candidate, Leadership};
pub use manager::{Dependent, Manager};
pub use metrics::queue;
pub use report::report;

/// Source of the current time; tests pass their own.
pub type Clock = std::sync::Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// The work queue of one controller; make one with [`queue`].
pub type Queue = informer::Queue<Key>;
