//! The trait that backends implement.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::{Batch, ConsumerName, Position, Record, StoreError, Topic};

/// Where a consumer that the store does not know starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that is kept.
    Earliest,
    /// At the first record stored after the subscription.
    Latest,
    /// At the first record stored at this time or later.
    At(Timestamp),
}

/// Keeps records until every consumer had them. Futures may be dropped at any time; what they began goes on.
pub trait Store: Send + Sync {
    /// Stores records in order and resolves with the position of the last one, when all are durable. On an error none
    /// of them is stored (a backend whose server cannot promise that says so). Topics come into being by this.
    fn append(&self, topic: &Topic, payloads: Vec<Bytes>) -> BoxFuture<'_, Result<Position, StoreError>>;

    /// Reads as `consumer`, from its stored place, or from `start` if it has none; that place is durable before this
    /// resolves. Records of an earlier subscription that were not done come again. The embedded log closes an earlier
    /// subscription of the same name; backends that are shared by processes spread the records over all of them.
    fn subscribe(
        &self,
        topic: &Topic,
        consumer: &ConsumerName,
        start: Start,
    ) -> BoxFuture<'_, Result<Box<dyn Consumer>, StoreError>>;

    /// Forgets a consumer's place and closes its subscription. Unknown ones are no error.
    fn forget(&self, topic: &Topic, consumer: &ConsumerName) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Removes a topic with its records and consumers, and closes its subscriptions. Unknown ones are no error.
    fn remove(&self, topic: &Topic) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What a topic holds and where its consumers are. A topic that was never written to is empty.
    fn status(&self, topic: &Topic) -> BoxFuture<'_, Result<TopicStatus, StoreError>>;

    /// Up to `most` records from `from` on, without being a consumer. Empty at the end of the topic.
    fn read(
        &self,
        topic: &Topic,
        from: Position,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<Record>, StoreError>>;

    /// Makes what consumers did durable and ends the store: everything answers [`StoreError::Closed`] from now on.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// One subscription.
pub trait Consumer: Send {
    /// The next records, as soon as there are any. Cancel safe: a dropped future loses no record.
    fn next(&mut self) -> BoxFuture<'_, Result<Batch, StoreError>>;

    /// The handle by which records are reported, for tasks that outlive the borrow of [`Consumer::next`].
    fn acks(&self) -> Arc<dyn Acks>;

    /// See [`Acks::done`].
    fn done(&self, position: Position) {
        self.acks().done(position);
    }

    /// See [`Acks::lag`].
    fn lag(&self) -> u64 {
        self.acks().lag()
    }
}

/// Reports what became of records. Cheap enough to be called for every record.
pub trait Acks: Send + Sync {
    /// The record needs no delivery any more: in any order, and more than once is harmless. The consumer's place is
    /// the lowest record that is not done. It is durable within 250 ms; a crash before that delivers again.
    fn done(&self, position: Position);

    /// The same for many records in a row.
    fn done_range(&self, positions: Range<Position>) {
        for position in positions {
            self.done(position);
        }
    }

    /// The record is still being worked on. To be called every few seconds for records that wait for a retry: stores
    /// that are shared by processes give a record to another one when they hear nothing of it for 30 s.
    fn working(&self, _position: Position) {}

    /// Records that are not done, as far as is known here.
    fn lag(&self) -> u64;
}

/// What a topic holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicStatus {
    /// Position of the oldest record that is kept; equal to `next` if there is none.
    pub first: Position,
    /// Position that the next record will get.
    pub next: Position,
    /// Bytes that the records take.
    pub bytes: u64,
    /// When the oldest record was stored.
    pub oldest: Option<Timestamp>,
    /// Records found damaged until now: they are skipped.
    pub damaged: u64,
    /// The consumers that have a place here, by name.
    pub consumers: Vec<ConsumerStatus>,
}

/// Where a consumer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStatus {
    /// Its name.
    pub name: ConsumerName,
    /// The lowest record that is not done.
    pub position: Position,
    /// Records that are not done.
    pub lag: u64,
    /// Records that it never got, since retention removed them or they were damaged.
    pub lost: u64,
}
