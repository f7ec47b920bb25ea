//! What every HTTP data-plane process shares: forwarding, protocols, timeouts, breaker, probes, draining, and rest.
//!
//! The queue-proxy, the activator and the gateway are chains made from these parts. Nothing here knows Kubernetes.

pub mod body;
pub mod breaker;
pub mod drain;
pub mod error;
pub mod forward;
pub mod forwarded;
pub mod headers;
pub mod held;
pub mod metrics;
pub mod network_probe;
pub mod pool;
pub mod probe;
pub mod request_log;
pub mod rest;
pub mod server;
pub mod timeout;

pub use body::Body;
pub use breaker::{Breaker, QueueFull};
pub use error::Failure;
pub use held::Held;
pub use pool::{PoolConfig, Protocol, SendError, Upstream};
pub use server::{Closed, Handler, Server, ServerConfig};
pub use timeout::Timeouts;
