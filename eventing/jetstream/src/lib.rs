//! The event store on NATS JetStream.
