//! What every store must do, as a list of cases that each backend's tests run.

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::{Consumer, ConsumerName, ConsumerStatus, Position, Record, Start, Store, StoreError, Topic};

/// How long anything may take that should happen at once. What was under way to a subscription when it ended comes to the
/// next one after the server's patience, which is 30 s by default.
const PATIENCE: Duration = Duration::from_secs(90);

/// A backend under test.
pub trait Backend: Send + Sync {
    /// Opens the store: each time the same one, the earlier value of which was closed.
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>>;
}

/// One case: its name says the rule, and it panics if the rule is broken.
pub struct Case {
    /// The rule.
    pub name: &'static str,
    /// Runs it. Several may run on the same store.
    pub run: fn(Arc<dyn Backend>) -> BoxFuture<'static, ()>,
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// All cases.
        pub fn cases() -> Vec<Case> {
            vec![$(Case { name: stringify!($name), run: |backend| $name(backend).boxed() }),*]
        }
    };
}

cases![
    positions_are_dense_and_payloads_come_back_in_order,
    an_empty_payload_is_a_record,
    consumers_do_not_disturb_each_other,
    a_consumer_starts_where_it_is_told,
    a_consumer_can_start_at_a_time,
    the_place_is_the_lowest_record_that_is_not_done,
    what_was_not_done_comes_again_and_what_was_does_not,
    a_known_consumer_keeps_its_place,
    records_and_places_survive_a_restart,
    a_waiting_consumer_is_woken,
    a_dropped_wait_loses_nothing,
    a_forgotten_consumer_starts_anew,
    a_removed_topic_is_empty_and_ends_its_consumers,
    reading_needs_no_consumer,
    what_is_too_large_is_refused,
    concurrent_appends_are_all_kept,
    many_records_reach_a_consumer_that_comes_late,
    a_closed_store_says_so,
];

async fn positions_are_dense_and_payloads_come_back_in_order(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    assert_eq!(append(&*store, &topic, 1..4).await, 3);
    assert_eq!(append(&*store, &topic, 4..6).await, 5);
    let mut consumer = subscribe(&*store, &topic, "c", Start::Earliest).await;
    let records = take(&mut *consumer, 5).await;
    assert_eq!(numbers(&records), (1..6).map(|n| (n, n)).collect::<Vec<_>>());
    assert!(records.windows(2).all(|pair| pair[0].time <= pair[1].time));
    store.close().await;
}

async fn an_empty_payload_is_a_record(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    let last = store.append(&topic, vec![Bytes::new()]).await.unwrap();
    let read = store.read(&topic, last, 9).await.unwrap();
    assert_eq!(
        read.iter().map(|record| record.payload.len()).collect::<Vec<_>>(),
        [0]
    );
    assert_eq!(
        store.append(&topic, Vec::new()).await.unwrap(),
        last,
        "nothing is stored"
    );
    store.close().await;
}

async fn consumers_do_not_disturb_each_other(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    let mut one = subscribe(&*store, &topic, "one", Start::Earliest).await;
    let mut other = subscribe(&*store, &topic, "other", Start::Earliest).await;
    append(&*store, &topic, 1..11).await;
    finish(&mut *one, 10).await;
    place(&*store, &topic, "one", |status| {
        status.position == 11 && status.lag == 0
    })
    .await;
    place(&*store, &topic, "other", |status| {
        status.position == 1 && status.lag == 10
    })
    .await;
    finish(&mut *other, 10).await;
    place(&*store, &topic, "other", |status| {
        status.lag == 0 && status.lost == 0
    })
    .await;
    store.close().await;
}

async fn a_consumer_starts_where_it_is_told(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    append(&*store, &topic, 1..4).await;
    let mut latest = subscribe(&*store, &topic, "latest", Start::Latest).await;
    let mut earliest = subscribe(&*store, &topic, "earliest", Start::Earliest).await;
    append(&*store, &topic, 4..6).await;
    assert_eq!(numbers(&take(&mut *latest, 2).await), [(4, 4), (5, 5)]);
    assert_eq!(numbers(&take(&mut *earliest, 5).await)[0], (1, 1));
    store.close().await;
}

async fn a_consumer_can_start_at_a_time(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    append(&*store, &topic, 1..4).await;
    // Stores may keep whole milliseconds only.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let between = Timestamp::now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    append(&*store, &topic, 4..6).await;
    let after = Timestamp::now() + Duration::from_secs(1);
    let mut middle = subscribe(&*store, &topic, "middle", Start::At(between)).await;
    assert_eq!(numbers(&take(&mut *middle, 2).await), [(4, 4), (5, 5)]);
    let mut start = subscribe(&*store, &topic, "start", Start::At(Timestamp::UNIX_EPOCH)).await;
    assert_eq!(numbers(&take(&mut *start, 5).await)[0], (1, 1));
    drop(subscribe(&*store, &topic, "end", Start::At(after)).await);
    let missing = Topic::new(format!("{topic}-none")).unwrap();
    let mut early = subscribe(&*store, &missing, "early", Start::At(between)).await;
    append(&*store, &missing, 1..2).await;
    assert_eq!(numbers(&take(&mut *early, 1).await), [(1, 1)]);
    store.close().await;
}

async fn the_place_is_the_lowest_record_that_is_not_done(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    let mut consumer = subscribe(&*store, &topic, "c", Start::Earliest).await;
    append(&*store, &topic, 1..6).await;
    take(&mut *consumer, 5).await;
    let acks = consumer.acks();
    for (done, position, lag) in [(3, 1, 4), (2, 1, 3), (1, 4, 2), (1, 4, 2), (5, 4, 1), (4, 6, 0)] {
        acks.done(done);
        place(&*store, &topic, "c", |status| {
            status.position == position && status.lag == lag
        })
        .await;
    }
    store.close().await;
}

async fn what_was_not_done_comes_again_and_what_was_does_not(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    let mut consumer = subscribe(&*store, &topic, "c", Start::Earliest).await;
    append(&*store, &topic, 1..7).await;
    take(&mut *consumer, 6).await;
    consumer.done(2);
    consumer.done(5);
    place(&*store, &topic, "c", |status| status.lag == 4).await;
    drop(consumer);
    let mut again = subscribe(&*store, &topic, "c", Start::Latest).await;
    let mut positions: Vec<Position> = take(&mut *again, 4)
        .await
        .iter()
        .map(|record| record.position)
        .collect();
    positions.sort_unstable();
    assert_eq!(positions, [1, 3, 4, 6]);
    store.close().await;
}

async fn a_known_consumer_keeps_its_place(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    append(&*store, &topic, 1..6).await;
    for range in [1..3, 3..5, 5..6] {
        // Where it would start does not matter once it has a place.
        let start = if range.start == 1 {
            Start::Earliest
        } else {
            Start::Latest
        };
        let mut consumer = subscribe(&*store, &topic, "c", start).await;
        let mut seen = BTreeSet::new();
        while !range.clone().all(|position| seen.contains(&position)) {
            seen.extend(
                soon(consumer.next())
                    .await
                    .unwrap()
                    .iter()
                    .map(|record| record.position),
            );
        }
        assert_eq!(
            seen.first(),
            Some(&range.start),
            "what was done does not come again"
        );
        range.clone().for_each(|position| consumer.done(position));
        place(&*store, &topic, "c", |status| status.position == range.end).await;
    }
    store.close().await;
}

async fn records_and_places_survive_a_restart(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    append(&*store, &topic, 1..6).await;
    let mut consumer = subscribe(&*store, &topic, "c", Start::Earliest).await;
    take(&mut *consumer, 5).await;
    [1, 2, 4].into_iter().for_each(|position| consumer.done(position));
    drop(consumer);
    store.close().await;
    drop(store);
    let store = backend.open().await;
    assert_eq!(append(&*store, &topic, 6..7).await, 6);
    let mut consumer = subscribe(&*store, &topic, "c", Start::Latest).await;
    let mut records = take(&mut *consumer, 3).await;
    records.sort_by_key(|record| record.position);
    assert_eq!(numbers(&records), [(3, 3), (5, 5), (6, 6)]);
    store.close().await;
}

async fn a_waiting_consumer_is_woken(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    let mut consumer = subscribe(&*store, &topic, "c", Start::Earliest).await;
    let waiting = tokio::spawn(async move { numbers(&take(&mut *consumer, 1).await) });
    tokio::task::yield_now().await;
    append(&*store, &topic, 1..2).await;
    assert_eq!(soon(waiting).await.unwrap(), [(1, 1)]);
    store.close().await;
}

async fn a_dropped_wait_loses_nothing(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    let mut consumer = subscribe(&*store, &topic, "c", Start::Earliest).await;
    let mut seen = Vec::new();
    for number in 1..20 {
        let mut next = consumer.next();
        // Polled once, then dropped while the append goes on.
        if let Some(batch) = (&mut next).now_or_never() {
            drop(next);
            seen.extend(numbers(&batch.unwrap()));
        } else {
            drop(next);
        }
        append(&*store, &topic, number..number + 1).await;
    }
    while seen.len() < 19 {
        seen.extend(numbers(&soon(consumer.next()).await.unwrap()));
    }
    assert_eq!(seen, (1..20).map(|n| (n, n)).collect::<Vec<_>>());
    store.close().await;
}

async fn a_forgotten_consumer_starts_anew(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    let name = ConsumerName::new("c").unwrap();
    append(&*store, &topic, 1..4).await;
    let mut consumer = subscribe(&*store, &topic, "c", Start::Earliest).await;
    finish(&mut *consumer, 3).await;
    store.forget(&topic, &name).await.unwrap();
    store.forget(&topic, &name).await.unwrap();
    assert!(matches!(soon(consumer.next()).await, Err(StoreError::Closed(_))));
    assert_eq!(store.status(&topic).await.unwrap().consumers, []);
    let mut again = subscribe(&*store, &topic, "c", Start::Earliest).await;
    assert_eq!(numbers(&take(&mut *again, 3).await)[0], (1, 1));
    store.close().await;
}

async fn a_removed_topic_is_empty_and_ends_its_consumers(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    append(&*store, &topic, 1..4).await;
    let mut consumer = subscribe(&*store, &topic, "c", Start::Latest).await;
    store.remove(&topic).await.unwrap();
    store.remove(&topic).await.unwrap();
    assert!(matches!(soon(consumer.next()).await, Err(StoreError::Closed(_))));
    let status = store.status(&topic).await.unwrap();
    assert_eq!((status.first, status.next, status.bytes), (1, 1, 0));
    assert_eq!(status.consumers, []);
    assert_eq!(append(&*store, &topic, 7..8).await, 1);
    let mut again = subscribe(&*store, &topic, "c", Start::Earliest).await;
    assert_eq!(numbers(&take(&mut *again, 1).await), [(1, 7)]);
    store.close().await;
}

async fn reading_needs_no_consumer(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    assert_eq!(store.read(&topic, 1, 10).await.unwrap(), []);
    append(&*store, &topic, 1..11).await;
    let read = |from, most| {
        let (store, topic) = (store.clone(), topic.clone());
        async move { numbers(&store.read(&topic, from, most).await.unwrap()) }
    };
    assert_eq!(read(0, 2).await, [(1, 1), (2, 2)]);
    assert_eq!(read(9, 5).await, [(9, 9), (10, 10)]);
    assert_eq!(read(11, 5).await, []);
    assert_eq!(read(5, 0).await, []);
    let status = store.status(&topic).await.unwrap();
    assert_eq!((status.first, status.next, status.damaged), (1, 11, 0));
    assert!(status.bytes > 0 && status.oldest.is_some());
    store.close().await;
}

async fn what_is_too_large_is_refused(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    let large = vec![Bytes::from(vec![0; 20 << 20])];
    assert!(matches!(
        store.append(&topic, large).await,
        Err(StoreError::TooLarge { .. })
    ));
    assert_eq!(append(&*store, &topic, 1..2).await, 1);
    store.close().await;
}

async fn concurrent_appends_are_all_kept(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    let mut consumer = subscribe(&*store, &topic, "c", Start::Earliest).await;
    let append_some = |task: u64| {
        let (store, topic) = (store.clone(), topic.clone());
        tokio::spawn(async move {
            let mut positions = Vec::new();
            for number in 0..20 {
                let number = task * 20 + number;
                positions.push((append(&*store, &topic, number..number + 1).await, number));
            }
            positions
        })
    };
    let tasks: Vec<_> = (0..32).map(append_some).collect();
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    acknowledged.sort_unstable();
    assert_eq!(numbers(&take(&mut *consumer, 640).await), acknowledged);
    store.close().await;
}

async fn many_records_reach_a_consumer_that_comes_late(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    for batch in 0..20u64 {
        append(&*store, &topic, batch * 100..(batch + 1) * 100).await;
    }
    let mut consumer = subscribe(&*store, &topic, "c", Start::Earliest).await;
    let mut count = 0;
    while count < 2000 {
        let batch = soon(consumer.next()).await.unwrap();
        for record in batch.iter() {
            assert_eq!(numbers(std::slice::from_ref(record)), [(count + 1, count)]);
            consumer.done(record.position);
            count += 1;
        }
    }
    place(&*store, &topic, "c", |status| status.lag == 0).await;
    store.close().await;
}

async fn a_closed_store_says_so(backend: Arc<dyn Backend>) {
    let (store, topic) = (backend.open().await, topic());
    let mut consumer = subscribe(&*store, &topic, "c", Start::Earliest).await;
    let waiting = tokio::spawn(async move { consumer.next().await.map(drop) });
    store.close().await;
    store.close().await;
    assert!(matches!(soon(waiting).await.unwrap(), Err(StoreError::Closed(_))));
    let append = store.append(&topic, vec![Bytes::from_static(b"x")]);
    assert!(matches!(soon(append).await, Err(StoreError::Closed(_))));
    let name = ConsumerName::new("d").unwrap();
    let subscription = soon(store.subscribe(&topic, &name, Start::Earliest)).await;
    assert!(matches!(subscription.map(drop), Err(StoreError::Closed(_))));
}

/// A topic that no other case has.
fn topic() -> Topic {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (number, process) = (NEXT.fetch_add(1, Ordering::Relaxed), std::process::id());
    Topic::new(format!("topic.{process}-{number}")).unwrap()
}

/// Appends records that hold these numbers, together.
async fn append(store: &dyn Store, topic: &Topic, numbers: Range<u64>) -> Position {
    let payloads = numbers
        .map(|number| Bytes::from(format!("{number} {}", "x".repeat(200))))
        .collect();
    soon(store.append(topic, payloads)).await.unwrap()
}

async fn subscribe(store: &dyn Store, topic: &Topic, name: &str, start: Start) -> Box<dyn Consumer> {
    let name = ConsumerName::new(name).unwrap();
    soon(store.subscribe(topic, &name, start)).await.unwrap()
}

/// Exactly `count` records.
async fn take(consumer: &mut dyn Consumer, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < count {
        let batch = soon(consumer.next()).await.unwrap();
        assert!(!batch.is_empty());
        records.extend(batch.iter().cloned());
    }
    assert_eq!(records.len(), count);
    records
}

/// Takes records and says that they are done.
async fn finish(consumer: &mut dyn Consumer, count: usize) {
    for record in take(consumer, count).await {
        consumer.done(record.position);
    }
}

/// Position and number of each record.
fn numbers(records: &[Record]) -> Vec<(Position, u64)> {
    let number = |record: &Record| {
        let text = std::str::from_utf8(&record.payload).unwrap();
        text.split_once(' ').unwrap().0.parse().unwrap()
    };
    records
        .iter()
        .map(|record| (record.position, number(record)))
        .collect()
}

/// Waits until the status of a consumer is as wanted.
async fn place(store: &dyn Store, topic: &Topic, name: &str, wanted: impl Fn(&ConsumerStatus) -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let status = store.status(topic).await.unwrap();
        let found = status
            .consumers
            .iter()
            .find(|consumer| consumer.name.as_str() == name);
        if found.is_some_and(&wanted) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{name} is at {found:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("should have happened long ago")
}
