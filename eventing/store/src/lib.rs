//! Where events are kept until they are delivered: the trait, and a durable log on local disk.
//!
//! A *topic* is a sequence of records (a broker's or a channel's events), a *consumer* is a named place in it (a
//! trigger's or a subscriber's). A record is acknowledged once it is durable, and given to every consumer at least
//! once. What a record holds is not known here: payloads are bytes.
//!
//! [`Store`] is what backends offer; [`Log`] is the backend on local disk. `docs/decisions/0008-event-log.md` says how
//! it is laid out and what it does about damage, a full disk and age.

#[cfg(feature = "conformance")]
#[expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test code, which panics when a rule is broken"
)]
pub mod conformance;
mod error;
mod log;
mod name;
mod record;
mod store;

pub use error::StoreError;
pub use log::{Clock, Log, Options, OverSize, Retention, Stats, inspect};
pub use name::{ConsumerName, InvalidName, Topic};
pub use record::{Batch, Position, Record};
pub use store::{Acks, Consumer, ConsumerStatus, Start, Store, TopicStatus};
