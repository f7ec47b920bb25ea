//! Follows kinds of Kubernetes objects and wakes those who work on them.
//!
//! A [`Cache`] holds every object of one kind, kept current by one watch per process ([`Caches`]), and tells handlers of
//! each change. Handlers put keys on a [`Queue`], which hands each key to one worker at a time, later again after a
//! delay or a fault. What a worker does is not known here, and neither is any custom resource: the controllers of
//! the embedded Kubernetes and those of the platform stand on the same parts. Whoever needs no cache calls
//! [`watch::follow`].

mod attempt;
pub mod backoff;
pub mod cache;
pub mod key;
mod metrics;
pub mod object;
pub mod queue;
mod raw;
pub mod watch;

pub use attempt::{Broken, attempt};
pub use backoff::Backoff;
pub use cache::{Cache, Caches, Change, Fields, Selection};
pub use key::Key;
pub use metrics::{QueueMetrics, SECONDS, registered};
pub use object::{Object, Scoped};
pub use queue::{Pace, Queue};
