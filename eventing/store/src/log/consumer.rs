//! A subscription: what a consumer reads next, from memory or from disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::engine::Engine;
use super::state::ConsumerState;
use super::topic::{Place, TopicLog};
use crate::{Acks, Batch, Consumer, Position, Record, StoreError};

/// One subscription of a consumer.
pub struct Subscription {
    engine: Arc<Engine>,
    topic: Arc<TopicLog>,
    state: Arc<ConsumerState>,
    changes: watch::Receiver<Position>,
    session: u64,
    at: Position,
    lost: u64,
}

impl Subscription {
    /// Takes the consumer over from whoever has it.
    pub fn begin(engine: Arc<Engine>, topic: Arc<TopicLog>, state: Arc<ConsumerState>) -> Self {
        let session = engine.next_session();
        Self {
            changes: topic.changes(),
            at: state.begin(session, engine.now_micros()),
            lost: state.lost(),
            engine,
            topic,
            state,
            session,
        }
    }

    async fn next_batch(&mut self) -> Result<Batch, StoreError> {
        loop {
            self.wait().await?;
            let (batch, end) = match self.topic.tail.read().get(self.at) {
                Some(batch) => (Some(batch.clone()), end_of(&batch)),
                None => (None, 0),
            };
            let (batch, end) = match batch {
                Some(batch) => (Some(batch), end),
                None => self.read().await?,
            };
            let batch = batch.and_then(|batch| self.without_done(batch));
            self.at = end;
            self.state.handed_out.store(end, Ordering::Release);
            if let Some(batch) = batch {
                let lost = self.state.lost();
                let since = lost - std::mem::replace(&mut self.lost, lost);
                return Ok(batch.after_losing(since));
            }
        }
    }

    /// Waits until there may be a record to hand out.
    async fn wait(&mut self) -> Result<(), StoreError> {
        loop {
            let state = self.state.clone();
            let progress = state.progress.notified();
            tokio::pin!(progress);
            // Registered before the look at the state: what happens after the look wakes this up.
            progress.as_mut().enable();
            let next = *self.changes.borrow_and_update();
            self.check()?;
            if next > self.at && !self.state.is_stalled() {
                return Ok(());
            }
            tokio::select! {
                () = progress => {}
                changed = self.changes.changed() => {
                    if changed.is_err() {
                        return Err(StoreError::Closed("the store is closed"));
                    }
                }
            }
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        let reason = if self.engine.is_closed() {
            "the store is closed"
        } else if self.topic.is_closed() {
            "the topic is removed"
        } else if self.state.is_closed() {
            "the consumer is forgotten"
        } else if self.state.session.load(Ordering::Acquire) != self.session {
            "another subscription took over"
        } else {
            return Ok(());
        };
        Err(StoreError::Closed(reason))
    }

    /// What the disk has at the current place, and where to go on.
    async fn read(&mut self) -> Result<(Option<Batch>, Position), StoreError> {
        let from = self.at.max(self.topic.first());
        let (records, end) = match self.engine.locate(&self.topic, from).await? {
            Place::Gap(end) => (None, end),
            Place::Chunk(segment, chunk) => match self.engine.chunks.read(&segment, chunk).await {
                Ok(records) => (Some(records), chunk.end),
                Err(_) if self.topic.first() > from => return Ok((None, self.at)),
                Err(error) => return Err(error),
            },
        };
        if from > self.at {
            self.state.lose(self.at..from);
        }
        let records = records.unwrap_or_default();
        for gap in gaps(&records, from, end) {
            self.engine.report_damage(&self.topic, gap.clone());
            self.state.lose(gap);
        }
        let batch = Batch::new(records).starting_at(from);
        Ok(((!batch.is_empty()).then_some(batch), end))
    }

    /// The batch without what was done before a restart.
    fn without_done(&self, batch: Batch) -> Option<Batch> {
        let done = self.state.done_among(self.at..end_of(&batch));
        if done.is_empty() {
            return Some(batch);
        }
        let left: Arc<[Record]> = batch
            .iter()
            .filter(|record| done.binary_search(&record.position).is_err())
            .cloned()
            .collect();
        (!left.is_empty()).then(|| Batch::new(left))
    }
}

impl Consumer for Subscription {
    fn next(&mut self) -> BoxFuture<'_, Result<Batch, StoreError>> {
        self.next_batch().boxed()
    }

    fn acks(&self) -> Arc<dyn Acks> {
        self.state.clone()
    }

    fn done(&self, position: Position) {
        self.state.done(position);
    }

    fn lag(&self) -> u64 {
        self.state.lag()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.state.end(self.session, self.engine.now_micros());
    }
}

fn end_of(batch: &[Record]) -> Position {
    batch.last().map_or(0, |record| record.position + 1)
}

/// The positions from `from` until `end` that are not among `records`, which are in order.
pub fn gaps(records: &[Record], from: Position, end: Position) -> Vec<std::ops::Range<Position>> {
    let mut gaps = Vec::new();
    let whole = match (records.first(), records.last()) {
        (Some(first), Some(last)) => {
            first.position <= from && last.position + 1 == end && records.len() as u64 == end - first.position
        }
        _ => from >= end,
    };
    if whole {
        return gaps;
    }
    let mut next = from;
    for record in records.iter().filter(|record| record.position >= from) {
        if record.position > next {
            gaps.push(next..record.position);
        }
        next = record.position + 1;
    }
    if end > next {
        gaps.push(next..end);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Wake, Waker};

    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;
    use crate::{ConsumerName, Log, Options, Start, Store, Topic};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn only_its_own_topic_wakes_a_consumer() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), Options::default()).unwrap();
        let (own, other) = (Topic::new("own").unwrap(), Topic::new("other").unwrap());
        let name = ConsumerName::new("c").unwrap();
        let mut consumer = log.subscribe(&own, &name, Start::Earliest).await.unwrap();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut next = consumer.next();
        assert!(next.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        for _ in 0..10 {
            log.append(&other, vec!["x".into()]).await.unwrap();
        }
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
        log.append(&own, vec!["y".into()]).await.unwrap();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "before the append is answered");
        assert_eq!(next.await.unwrap().len(), 1);
    }

    #[test]
    fn what_is_missing_is_found() {
        let records = |positions: &[Position]| -> Vec<Record> {
            let record = |position: &Position| Record {
                position: *position,
                time: Timestamp::UNIX_EPOCH,
                payload: Bytes::new(),
            };
            positions.iter().map(record).collect()
        };
        assert_eq!(gaps(&records(&[1, 2, 3]), 1, 4), []);
        assert_eq!(gaps(&records(&[1, 2, 3]), 3, 4), []);
        assert_eq!(gaps(&records(&[1, 3, 6]), 2, 9), [2..3, 4..6, 7..9]);
        assert_eq!(gaps(&records(&[]), 2, 9), vec![2..9]);
        assert_eq!(gaps(&records(&[5, 6]), 2, 7), vec![2..5]);
    }
}
