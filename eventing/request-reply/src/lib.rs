//! RequestReply: a request waits in front of a broker for the event that answers it.
//!
//! ```text
//! POST /ns/name → seal the id into an attribute → broker → … → somebody's answer → trigger → POST /ns/name/reply → 200
//! ```
//! What a request is recognised by is sealed with a key of the cluster ([`keyring`]): nobody can answer a request that it
//! has not seen. Requests that wait are in memory, of this process alone ([`waiting`]): whoever restarts it makes their
//! senders ask again, and one process serves all.

mod broker;
mod keyring;
mod keys;
mod metrics;
mod refusal;
mod route;
mod run;
mod service;
mod waiting;

pub use run::{Config, Limits, run};
