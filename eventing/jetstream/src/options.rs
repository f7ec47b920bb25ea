//! What the store is told about the server.

use std::time::Duration;

use event_store::OverSize;

/// How the server is reached and what is asked of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// URLs of servers, separated by commas: `nats://user:password@host:4222`, or `tls://…`.
    pub servers: String,
    /// What begins the names of streams and subjects, so that several platforms can share a server (default:
    /// `spindrift`). Letters, digits, `_` and `-`.
    pub prefix: String,
    /// Servers that have each record before it is acknowledged: 1, 3 or 5 (default: 1).
    pub replicas: usize,
    /// How long records are kept, delivered or not, and places of consumers that nobody subscribes to (default: 7
    /// days).
    pub max_age: Duration,
    /// Most bytes of a topic (default: none, which leaves it to the server's limit for all streams). The server sets
    /// this much of its disk aside for every topic.
    pub max_bytes: Option<u64>,
    /// What gives way when a topic has that many (default: its oldest records).
    pub over_size: OverSize,
    /// Time without a word about a record after which it is given to someone again (default: 30 s).
    pub ack_wait: Duration,
    /// Most records of one consumer that were given out and are not done (default: 10,000).
    pub in_flight: i64,
    /// Most bytes that one subscription has asked for in advance (default: 2 MiB, or the server's largest message).
    pub prefetch_bytes: usize,
}

impl Options {
    /// The defaults, for these servers.
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            prefix: "spindrift".into(),
            replicas: 1,
            max_age: Duration::from_secs(7 * 24 * 3600),
            max_bytes: None,
            over_size: OverSize::DropOldest,
            ack_wait: Duration::from_secs(30),
            in_flight: 10_000,
            prefetch_bytes: 2 << 20,
        }
    }
}
