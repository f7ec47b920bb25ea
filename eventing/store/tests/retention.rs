//! What goes when it is too old or too much.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use event_store::{ConsumerName, Log, Options, OverSize, Retention, Start, Store, StoreError, Topic};
use jiff::Timestamp;

const DAY: i64 = 24 * 3600;

/// Seconds since 1970, as the log sees them.
#[derive(Clone)]
struct Time(Arc<AtomicI64>);

impl Time {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_000 * DAY)))
    }

    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn open(&self, folder: &Path, retention: Retention) -> Log {
        let time = self.0.clone();
        let options = Options {
            retention,
            segment_bytes: 10 << 10,
            clock: Arc::new(move || Timestamp::from_second(time.load(Ordering::Relaxed)).unwrap()),
            ..Options::default()
        };
        Log::open(folder, options).unwrap()
    }
}

fn topic() -> Topic {
    Topic::new("t").unwrap()
}

fn name(name: &str) -> ConsumerName {
    ConsumerName::new(name).unwrap()
}

/// Appends records of 1 KiB, one by one.
async fn append(log: &Log, count: usize) -> Result<(), StoreError> {
    for _ in 0..count {
        log.append(&topic(), vec![Bytes::from(vec![7; 1024])]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_too_old_goes_and_is_counted() {
    let (folder, time) = (tempfile::tempdir().unwrap(), Time::new());
    let log = time.open(folder.path(), Retention::default());
    let mut consumer = log
        .subscribe(&topic(), &name("c"), Start::Earliest)
        .await
        .unwrap();
    append(&log, 25).await.unwrap();
    assert_eq!(consumer.next().await.unwrap()[0].position, 1);
    time.pass(4 * DAY);
    append(&log, 10).await.unwrap();
    log.sweep();
    assert_eq!(log.status(&topic()).await.unwrap().first, 1);
    time.pass(4 * DAY);
    log.sweep();
    // Whole files: the one that has records of both days stays.
    let status = log.status(&topic()).await.unwrap();
    assert_eq!((status.first, status.next), (21, 36));
    // Record 1 was handed out and may still be delivered.
    assert_eq!((status.consumers[0].lost, status.consumers[0].position), (19, 1));
    consumer.done(1);
    let batch = consumer.next().await.unwrap();
    assert_eq!((batch[0].position, batch.lost()), (21, 19));
    assert_eq!(log.stats().dropped, 19);

    // Everything is old now. The sequence of positions goes on, also after a restart.
    time.pass(40 * DAY);
    log.sweep();
    let status = log.status(&topic()).await.unwrap();
    assert_eq!(
        (status.first, status.next, status.bytes, status.oldest),
        (36, 36, 0, None)
    );
    drop(consumer);
    drop(log);
    let log = time.open(folder.path(), Retention::default());
    append(&log, 1).await.unwrap();
    let status = log.status(&topic()).await.unwrap();
    assert_eq!((status.first, status.next), (36, 37));
    let mut consumer = log.subscribe(&topic(), &name("c"), Start::Latest).await.unwrap();
    assert_eq!(consumer.next().await.unwrap()[0].position, 36);
}

#[tokio::test]
async fn history_is_bounded_once_everyone_had_it() {
    let (folder, time) = (tempfile::tempdir().unwrap(), Time::new());
    let retention = Retention {
        delivered_bytes: 25 << 10,
        ..Retention::default()
    };
    let log = time.open(folder.path(), retention);
    let slow = log
        .subscribe(&topic(), &name("slow"), Start::Earliest)
        .await
        .unwrap();
    let fast = log
        .subscribe(&topic(), &name("fast"), Start::Earliest)
        .await
        .unwrap();
    append(&log, 100).await.unwrap();
    fast.acks().done_range(1..101);
    log.sweep();
    assert_eq!(
        log.status(&topic()).await.unwrap().first,
        1,
        "one consumer has them before it"
    );
    slow.acks().done_range(1..101);
    log.sweep();
    let status = log.status(&topic()).await.unwrap();
    assert!(
        status.bytes < 40 << 10 && status.bytes > 20 << 10,
        "{}",
        status.bytes
    );
    assert!(status.consumers.iter().all(|consumer| consumer.lost == 0));
    // Without any consumer everything counts as history.
    append(&log, 100).await.unwrap();
    log.forget(&topic(), &name("slow")).await.unwrap();
    log.forget(&topic(), &name("fast")).await.unwrap();
    log.sweep();
    assert!(log.status(&topic()).await.unwrap().bytes < 40 << 10);
}

#[tokio::test]
async fn a_topic_that_is_too_large_loses_its_oldest_records() {
    let (folder, time) = (tempfile::tempdir().unwrap(), Time::new());
    let retention = Retention {
        max_bytes: 50 << 10,
        ..Retention::default()
    };
    let log = time.open(folder.path(), retention);
    let mut consumer = log
        .subscribe(&topic(), &name("c"), Start::Earliest)
        .await
        .unwrap();
    append(&log, 100).await.unwrap();
    log.sweep();
    let status = log.status(&topic()).await.unwrap();
    assert!(status.bytes <= 50 << 10, "{}", status.bytes);
    let batch = consumer.next().await.unwrap();
    assert_eq!(batch[0].position, status.first);
    assert_eq!(batch.lost(), status.first - 1);
    assert_eq!(log.stats().dropped, status.first - 1);
}

#[tokio::test]
async fn a_topic_that_is_too_large_refuses_if_told_to() {
    let (folder, time) = (tempfile::tempdir().unwrap(), Time::new());
    let retention = Retention {
        max_bytes: 50 << 10,
        over_size: OverSize::Refuse,
        ..Retention::default()
    };
    let log = time.open(folder.path(), retention);
    let consumer = log
        .subscribe(&topic(), &name("c"), Start::Earliest)
        .await
        .unwrap();
    let error = append(&log, 100).await.unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    log.sweep();
    let status = log.status(&topic()).await.unwrap();
    assert_eq!((status.first, status.consumers[0].lost), (1, 0));
    consumer.acks().done_range(1..status.next);
    log.sweep();
    append(&log, 5).await.unwrap();
}

#[tokio::test]
async fn the_place_of_an_absent_consumer_is_forgotten_after_the_retention_age() {
    let (folder, time) = (tempfile::tempdir().unwrap(), Time::new());
    let log = time.open(folder.path(), Retention::default());
    drop(
        log.subscribe(&topic(), &name("gone"), Start::Earliest)
            .await
            .unwrap(),
    );
    let stays = log
        .subscribe(&topic(), &name("stays"), Start::Earliest)
        .await
        .unwrap();
    let names = async |log: &Log| -> Vec<String> {
        log.sweep();
        let consumers = log.status(&topic()).await.unwrap().consumers;
        consumers
            .iter()
            .map(|consumer| consumer.name.to_string())
            .collect()
    };
    time.pass(6 * DAY);
    assert_eq!(names(&log).await, ["gone", "stays"]);
    time.pass(2 * DAY);
    assert_eq!(names(&log).await, ["stays"]);
    drop(stays);
    drop(log);
    // Seen eight days after it was made, so it stays for seven more.
    let log = time.open(folder.path(), Retention::default());
    time.pass(6 * DAY);
    assert_eq!(names(&log).await, ["stays"]);
    time.pass(2 * DAY);
    assert_eq!(names(&log).await, [] as [&str; 0]);
}

#[test]
fn the_defaults_are_what_the_documentation_says() {
    let retention = Retention::default();
    assert_eq!(retention.max_age, Duration::from_secs(7 * 24 * 3600));
    assert_eq!(
        (retention.max_bytes, retention.delivered_bytes),
        (10 << 30, 1 << 30)
    );
    assert_eq!(retention.over_size, OverSize::DropOldest);
}
