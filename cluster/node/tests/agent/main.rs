//! The agent against the real API server: pods from creation to deletion, restarts of the agent, leftovers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod configuration;
mod failures;
mod lifecycle;
mod survival;
mod world;
