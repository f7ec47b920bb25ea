//! The built-in ingress: host and path routing, traffic split, tags; reads networking.internal Ingress.
//!
//! One table of routes, swapped whole when an ingress changes. A revision's requests go straight to a ready pod with a
//! free slot, or through the embedded activator when there is none.

mod backend;
mod config;
mod edge;
mod hash;
mod metrics;
mod progress;
mod route;
mod run;
mod status;
mod table;

pub use config::Config;
pub use progress::Progress;
pub use run::{GatewayError, run};
