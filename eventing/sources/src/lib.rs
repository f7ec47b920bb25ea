//! The senders of sources: what makes their events and posts them to their sinks.
//!
//! The control plane writes where a source's events go into its status; the senders read it there. They and the
//! control plane meet in the API only.

mod api_server;
pub mod git_hub;
mod id;
mod ping;
mod post;
mod record;
mod run;
#[cfg(test)]
mod test_support;

pub use run::{Config, run_until, run_with};
