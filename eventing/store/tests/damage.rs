//! What a log does about torn ends and flipped bits.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail the test"
)]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use event_store::{Consumer, ConsumerName, Log, Options, Position, Start, Store, StoreError, Topic};

const PAYLOAD: usize = 1000;

fn topic() -> Topic {
    Topic::new("t").unwrap()
}

fn open(folder: &Path) -> Log {
    let options = Options {
        segment_bytes: 16 << 10,
        ..Options::default()
    };
    Log::open(folder, options).unwrap()
}

fn payload(position: Position) -> Bytes {
    let mut payload = position.to_le_bytes().to_vec();
    payload.resize(PAYLOAD, position as u8);
    payload.into()
}

/// Appends records whose payload says their position, `each` in one block.
async fn append(log: &Log, positions: std::ops::Range<Position>, each: usize) {
    let positions: Vec<Position> = positions.collect();
    for block in positions.chunks(each) {
        let last = log
            .append(&topic(), block.iter().map(|at| payload(*at)).collect())
            .await
            .unwrap();
        assert_eq!(Some(&last), block.last());
    }
}

async fn consumer(log: &Log, start: Start) -> Box<dyn Consumer> {
    log.subscribe(&topic(), &ConsumerName::new("c").unwrap(), start)
        .await
        .unwrap()
}

/// Reads and finishes everything there is; the positions.
async fn drain(consumer: &mut dyn Consumer) -> Vec<Position> {
    let mut positions = Vec::new();
    while consumer.lag() > 0 {
        let batch = tokio::time::timeout(std::time::Duration::from_secs(20), consumer.next());
        for record in batch.await.expect("there is more").unwrap().iter() {
            assert_eq!(record.payload, payload(record.position));
            positions.push(record.position);
            consumer.done(record.position);
        }
    }
    positions
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("topics/t")).unwrap();
    let mut segments: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    segments
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], at).unwrap();
}

#[tokio::test]
async fn a_half_written_block_is_cut_off_wherever_it_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, 1..4, 3).await;
    drop(log);
    let path = segments(folder.path()).pop().unwrap();
    let block = std::fs::read(&path).unwrap();
    for torn in [1, 20, 36, 50, 60, 61, 2000, block.len() - 1] {
        // What a crash leaves of a write that was not answered: some of it, or all of its length and some of its bytes.
        for filled in [torn, block.len()] {
            let mut bytes = block.clone();
            bytes.extend_from_slice(&block[..torn]);
            bytes.resize(block.len() + filled, 0);
            std::fs::write(&path, &bytes).unwrap();
            let log = open(folder.path());
            assert_eq!(
                std::fs::metadata(&path).unwrap().len(),
                block.len() as u64,
                "{torn}, {filled}"
            );
            let status = log.status(&topic()).await.unwrap();
            assert_eq!((status.next, status.damaged), (4, 0), "{torn}, {filled}");
        }
    }
    let log = open(folder.path());
    append(&log, 4..6, 1).await;
    assert_eq!(
        drain(&mut *consumer(&log, Start::Earliest).await).await,
        [1, 2, 3, 4, 5]
    );
}

#[tokio::test]
async fn a_flipped_bit_in_a_payload_costs_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, 1..31, 5).await;
    drop(log);
    let damaged = &segments(folder.path())[0];
    // Into the payload of the second record of the first block.
    flip(damaged, 36 + 5 * 8 + PAYLOAD as u64 + 10);
    let log = open(folder.path());
    let mut consumer = consumer(&log, Start::Earliest).await;
    let expected: Vec<Position> = (1..31).filter(|position| *position != 2).collect();
    assert_eq!(drain(&mut *consumer).await, expected);
    let status = log.status(&topic()).await.unwrap();
    assert_eq!(
        (
            status.damaged,
            status.consumers[0].lost,
            status.consumers[0].position
        ),
        (1, 1, 31)
    );
    assert_eq!(log.stats().damaged, 1);
    // The same damage is not counted again.
    assert_eq!(
        log.read(&topic(), 1, 3)
            .await
            .unwrap()
            .iter()
            .map(|r| r.position)
            .collect::<Vec<_>>(),
        [1, 3, 4]
    );
    assert_eq!(log.stats().damaged, 1);
}

#[tokio::test]
async fn a_damaged_header_costs_its_block_and_the_batch_after_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, 1..31, 5).await;
    drop(log);
    // The header of the second block.
    flip(&segments(folder.path())[0], 36 + 5 * (8 + PAYLOAD as u64) + 9);
    let log = open(folder.path());
    let mut consumer = consumer(&log, Start::Earliest).await;
    let first = consumer.next().await.unwrap();
    assert_eq!((first[0].position, first.lost()), (1, 5));
    first.iter().for_each(|record| consumer.done(record.position));
    assert_eq!(drain(&mut *consumer).await.last(), Some(&30));
    assert_eq!(log.status(&topic()).await.unwrap().damaged, 5);
}

#[tokio::test]
async fn missing_files_and_missing_ends_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, 1..61, 1).await;
    drop(log);
    let paths = segments(folder.path());
    assert_eq!(paths.len(), 4);
    std::fs::remove_file(&paths[1]).unwrap();
    let cut = OpenOptions::new().write(true).open(&paths[2]).unwrap();
    cut.set_len(PAYLOAD as u64 * 3).unwrap();
    let log = open(folder.path());
    let mut consumer = consumer(&log, Start::Earliest).await;
    let left = drain(&mut *consumer).await;
    let status = log.status(&topic()).await.unwrap();
    assert_eq!(left.len() as u64 + status.damaged, 60);
    assert_eq!(status.consumers[0].lost, status.damaged);
    assert!(status.damaged > 20, "{}", status.damaged);
    append(&log, 61..62, 1).await;
    assert_eq!(drain(&mut *consumer).await, [61]);
}

#[tokio::test]
async fn acknowledged_records_that_are_missing_at_the_end_are_damage_and_their_positions_stay_taken() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, 1..9, 2).await;
    log.close().await;
    drop(log);
    let path = segments(folder.path()).pop().unwrap();
    let length = std::fs::metadata(&path).unwrap().len();
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(length - 100)
        .unwrap();
    let log = open(folder.path());
    append(&log, 9..11, 1).await;
    let mut consumer = consumer(&log, Start::Earliest).await;
    assert_eq!(drain(&mut *consumer).await, [1, 2, 3, 4, 5, 6, 9, 10]);
    let status = log.status(&topic()).await.unwrap();
    assert_eq!((status.damaged, status.consumers[0].lost), (2, 2));
    drop(consumer);
    drop(log);
    // And again after another restart.
    let log = open(folder.path());
    assert_eq!(log.read(&topic(), 1, 100).await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_flipped_bit_in_the_last_acknowledged_record_costs_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, 1..9, 4).await;
    log.close().await;
    drop(log);
    let path = segments(folder.path()).pop().unwrap();
    flip(&path, std::fs::metadata(&path).unwrap().len() - 1);
    let log = open(folder.path());
    append(&log, 9..10, 1).await;
    assert_eq!(
        drain(&mut *consumer(&log, Start::Earliest).await).await,
        [1, 2, 3, 4, 5, 6, 7, 9]
    );
}

#[tokio::test]
async fn a_consumer_whose_place_is_damaged_gets_records_again_rather_than_never() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, 1..9, 4).await;
    drop(consumer(&log, Start::Earliest).await);
    drop(log);
    // Another start writes the places anew; then the first fact is the topic's and the last the consumer's.
    drop(open(folder.path()));
    let path = folder.path().join("places");
    let mut bytes = std::fs::read(&path).unwrap();
    let consumer_at = bytes.windows(4).rposition(|window| window == b"SCu1").unwrap();
    let topic_fact = bytes[..consumer_at].to_vec();
    bytes[consumer_at + 15] ^= 1;
    bytes.extend_from_slice(&topic_fact);
    std::fs::write(&path, bytes).unwrap();
    let log = open(folder.path());
    let mut consumer = consumer(&log, Start::Latest).await;
    assert_eq!(drain(&mut *consumer).await, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn a_later_subscription_ends_the_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let mut earlier = consumer(&log, Start::Earliest).await;
    let mut later = consumer(&log, Start::Earliest).await;
    assert!(matches!(earlier.next().await, Err(StoreError::Closed(_))));
    append(&log, 1..3, 1).await;
    // What the earlier one still delivers counts.
    earlier.done(1);
    drop(earlier);
    assert_eq!(drain(&mut *later).await, [2]);
}

#[tokio::test]
async fn a_consumer_with_too_many_gaps_waits_until_some_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), Options::default()).unwrap();
    let mut consumer = consumer(&log, Start::Earliest).await;
    let acks = consumer.acks();
    for _ in 0..5 {
        log.append(&topic(), vec![Bytes::new(); 4000]).await.unwrap();
    }
    let mut got = 0;
    // Every second one is done: 4096 ranges are reached within the third batch.
    let stopped = loop {
        match tokio::time::timeout(std::time::Duration::from_millis(200), consumer.next()).await {
            Ok(batch) => {
                let batch = batch.unwrap();
                got += batch.len();
                batch
                    .iter()
                    .filter(|r| r.position % 2 == 0)
                    .for_each(|r| acks.done(r.position));
            }
            Err(_) => break got,
        }
    };
    assert!((8192..20_000).contains(&stopped), "{stopped}");
    acks.done_range(1..stopped as Position + 1);
    assert_eq!(
        consumer.next().await.unwrap()[0].position,
        stopped as Position + 1
    );
}
