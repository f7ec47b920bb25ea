//! The data plane of events: ingress, consumers and delivery.

pub mod delivery;
