//! What a log does when its disk is full, on a small disk of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use event_store::{ConsumerName, Log, Options, Start, Store, StoreError, Topic};

/// A file system of 4 MiB.
struct Disk {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Disk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "none"])
            .arg(&path)
            .status();
        assert!(mount.unwrap().success(), "cannot mount a file system");
        Self {
            _folder: folder,
            path,
        }
    }

    fn log(&self) -> Log {
        let options = Options {
            segment_bytes: 256 << 10,
            least_free_bytes: 0,
            ..Options::default()
        };
        Log::open(&self.path.join("log"), options).unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: mounts a small file system"]
async fn a_full_disk_refuses_keeps_what_it_has_and_serves_again() {
    let disk = Disk::mount();
    let topic = Topic::new("t").unwrap();
    let name = ConsumerName::new("c").unwrap();
    let log = Arc::new(disk.log());
    let other = disk.path.join("other");
    std::fs::write(&other, vec![1; 2 << 20]).unwrap();
    let consumer = log.subscribe(&topic, &name, Start::Earliest).await.unwrap();

    let payload = |number: u64| Bytes::from(format!("{number} {}", "x".repeat(5000)));
    let (mut stored, mut refused) = (Vec::new(), 0);
    for number in 0..600 {
        match log.append(&topic, vec![payload(number), payload(number)]).await {
            Ok(last) => stored.push((last - 1, number)),
            Err(StoreError::Full(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        stored.len() > 100 && refused > 100,
        "{} stored, {refused} refused",
        stored.len()
    );

    let check = async |log: &Log, stored: &[(u64, u64)]| {
        let records = log.read(&topic, 1, usize::MAX).await.unwrap();
        assert_eq!(records.len(), stored.len() * 2);
        for ((position, number), pair) in stored.iter().zip(records.chunks(2)) {
            assert_eq!(pair[0].position, *position);
            assert!(pair.iter().all(|record| record.payload == payload(*number)));
        }
        assert_eq!(log.stats().damaged, 0);
    };
    check(&log, &stored).await;

    // Places that could not be written while it was full are written when there is room.
    consumer.acks().done_range(1..11);
    std::fs::remove_file(&other).unwrap();
    for number in 1000..1020 {
        let last = log
            .append(&topic, vec![payload(number), payload(number)])
            .await
            .unwrap();
        stored.push((last - 1, number));
    }
    check(&log, &stored).await;
    drop(consumer);
    drop(log);
    let log = disk.log();
    check(&log, &stored).await;
    assert_eq!(log.status(&topic).await.unwrap().consumers[0].position, 11);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: mounts a small file system"]
async fn room_is_left_for_others_and_history_makes_room() {
    let disk = Disk::mount();
    let topic = Topic::new("t").unwrap();
    let options = Options {
        segment_bytes: 256 << 10,
        least_free_bytes: 1 << 20,
        ..Options::default()
    };
    let log = Log::open(&disk.path.join("log"), options).unwrap();
    let consumer = log
        .subscribe(&topic, &ConsumerName::new("c").unwrap(), Start::Earliest)
        .await
        .unwrap();
    let payload = || vec![Bytes::from(vec![0; 10_000])];
    while log.append(&topic, payload()).await.is_ok() {}
    let error = log.append(&topic, payload()).await.unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    let next = log.status(&topic).await.unwrap().next;
    assert!(next > 200, "{next} records in 3 MiB");
    // Once everything is delivered the oldest files go, without anyone asking.
    consumer.acks().done_range(1..next);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while log.append(&topic, payload()).await.is_err() {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}
