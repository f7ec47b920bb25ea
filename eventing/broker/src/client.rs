//! Connections to subscribers, replies and dead letter sinks.
