//! The data plane of events: what a broker accepts, stores and delivers.
//!
//! ```text
//! POST → ingress (checked, stamped) → store → one consumer per trigger → filter → subscriber → reply, or retry → dead letters
//! ```
//! [`model`] is what the API objects say, as topics and consumers. Ingress answers 202 when the store has the event;
//! from then on only the consumers work on it.

mod admin;
mod config;
pub mod delivery;
pub mod dispatch;
mod event_types;
mod ingress;
mod log_metrics;
mod metrics;
pub mod model;
pub mod record;
mod removal;
mod run;
pub mod stamp;
mod watch;

pub use config::{Config, Limits, Stores};
pub use event_client as client;
pub use event_client::Allowed;
pub use event_identity as identity;
pub use log_metrics::LogMetrics;
pub use run::{BrokerError, run};
