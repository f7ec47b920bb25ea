//! The event store on NATS JetStream: for clusters, where several replicas of a broker share the work.
//!
//! A topic is a stream, a consumer a durable pull consumer of it, a position a stream sequence. Records are
//! acknowledged one by one; what nobody reported for 30 s is given to someone again.
//!
//! The server decides what an acknowledged publish is worth: by default it syncs its files every two minutes. Set
//! `sync_interval: always` in its `jetstream` block, or three replicas on machines that do not fail together, or both;
//! `docs/decisions/0009-events-on-jetstream.md` says more.

mod consumer;
mod convert;
mod names;
mod options;
mod outbox;
mod publish;
mod store;

pub use options::Options;
pub use store::JetStream;
