//! Deliveries to real HTTP subscribers, out of a real log.

mod lifecycle;
mod limits;
mod outcomes;
pub(super) mod support;
