//! The durable event log alone: appends, consumers at its end, a backlog, memory. No HTTP, one process.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use event_store::{ConsumerName, Log, Options, Start, Store, Topic};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::process::{cpu_seconds, resident_mib};
use crate::{percentile, say};

/// Bytes of a payload.
const PAYLOAD: usize = 1024;
/// Callers that wait for each append before the next.
const CALLERS: usize = 64;
/// Records of one append while a backlog is made.
const BATCH: usize = 256;

/// Measures in a folder that is made, and removed after, below `beside`.
pub fn measure(beside: &Path, seconds: u32, backlog: usize) -> anyhow::Result<()> {
    let folder = beside.join(format!("bench-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let runtime = Runtime::new()?;
    let time = Duration::from_secs(seconds.into());
    let measured = (|| {
        bare_disk(&folder, time)?;
        for consumers in [0, 1, 50] {
            runtime.block_on(steady(
                &folder.join(format!("steady-{consumers}")),
                time,
                1,
                consumers,
            ))?;
        }
        runtime.block_on(steady(&folder.join("topics"), time, 16, 1))?;
        runtime.block_on(behind(&folder.join("backlog"), backlog))
    })();
    std::fs::remove_dir_all(&folder)?;
    measured
}

/// What the disk does when one thread appends as many bytes as all callers together, and syncs.
fn bare_disk(folder: &Path, time: Duration) -> anyhow::Result<()> {
    let (file, bytes) = (File::create(folder.join("bare"))?, vec![7; CALLERS * PAYLOAD]);
    let (start, mut syncs) = (Instant::now(), 0u64);
    while start.elapsed() < time {
        file.write_all_at(&bytes, syncs * bytes.len() as u64)?;
        file.sync_data()?;
        syncs += 1;
    }
    let rate = syncs as f64 / start.elapsed().as_secs_f64();
    say(&format!(
        "bare disk            {rate:>9.0} syncs/s of {CALLERS} KiB: {:.0} records/s",
        rate * CALLERS as f64
    ));
    std::fs::remove_file(folder.join("bare"))?;
    Ok(())
}

fn topic(number: usize) -> anyhow::Result<Topic> {
    Ok(Topic::new(format!("topic-{number}"))?)
}

/// Callers append one record at a time, spread over the topics; each topic has so many consumers at its end.
async fn steady(folder: &Path, time: Duration, topics: usize, consumers: usize) -> anyhow::Result<()> {
    let log = Arc::new(Log::open(folder, Options::default())?);
    let consumed = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    for number in 0..topics * consumers {
        let name = ConsumerName::new(format!("consumer-{number}"))?;
        let mut consumer = log
            .subscribe(&topic(number % topics)?, &name, Start::Latest)
            .await?;
        let consumed = consumed.clone();
        readers.spawn(async move {
            let acks = consumer.acks();
            while let Ok(batch) = consumer.next().await {
                for record in batch.iter() {
                    acks.done(record.position);
                }
                consumed.fetch_add(batch.len() as u64, Ordering::Relaxed);
            }
        });
    }
    let stop = Arc::new(AtomicBool::new(false));
    let payload = Bytes::from(vec![7; PAYLOAD]);
    let mut callers = JoinSet::new();
    let (start, cpu) = (Instant::now(), cpu_seconds(std::process::id())?);
    for number in 0..CALLERS {
        let (log, stop, payload, topic) = (
            log.clone(),
            stop.clone(),
            payload.clone(),
            topic(number % topics)?,
        );
        callers.spawn(async move {
            let mut waits = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let asked = Instant::now();
                log.append(&topic, vec![payload.clone()]).await?;
                waits.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(waits)
        });
    }
    tokio::time::sleep(time).await;
    let (seconds, consumed) = (start.elapsed().as_secs_f64(), consumed.load(Ordering::Relaxed));
    let cpu = cpu_seconds(std::process::id())? - cpu;
    let stats = log.stats();
    stop.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    while let Some(caller) = callers.join_next().await {
        waits.extend(caller??);
    }
    waits.sort_by(f64::total_cmp);
    log.close().await;
    while readers.join_next().await.is_some() {}
    say(&format!(
        "{topics:>2} topics × {consumers:>2} readers {:>9.0} appended/s, {:>9.0} consumed/s, p50 {:.2} ms, p99 {:.2} ms, \
         {:.0} syncs/s of {:.2} ms, {:.1} µs CPU per record",
        stats.records as f64 / seconds,
        consumed as f64 / seconds,
        percentile(&waits, 0.5),
        percentile(&waits, 0.99),
        stats.syncs as f64 / seconds,
        stats.sync_nanos as f64 / 1e6 / stats.syncs.max(1) as f64,
        cpu * 1e6 / stats.records.max(1) as f64,
    ));
    Ok(())
}

/// Many records that nobody had: memory, and how fast consumers that come late get them.
async fn behind(folder: &Path, count: usize) -> anyhow::Result<()> {
    let pid = std::process::id();
    let log = Arc::new(Log::open(folder, Options::default())?);
    let before = resident_mib(pid)?;
    let mut consumers = Vec::new();
    for number in 0..5 {
        let name = ConsumerName::new(format!("consumer-{number}"))?;
        consumers.push(log.subscribe(&topic(0)?, &name, Start::Earliest).await?);
    }
    let payload = Bytes::from(vec![7; PAYLOAD]);
    let start = Instant::now();
    for _ in 0..count.div_ceil(BATCH) {
        log.append(&topic(0)?, vec![payload.clone(); BATCH]).await?;
    }
    let made = start.elapsed().as_secs_f64();
    let idle = resident_mib(pid)?;
    let start = Instant::now();
    let mut readers = JoinSet::new();
    for mut consumer in consumers {
        readers.spawn(async move {
            let acks = consumer.acks();
            while acks.lag() > 0 {
                for record in consumer.next().await?.iter() {
                    acks.done(record.position);
                }
            }
            anyhow::Ok(())
        });
    }
    let (mut most, mut read) = (idle, 0);
    while !readers.is_empty() {
        tokio::select! {
            reader = readers.join_next() => {
                if let Some(reader) = reader {
                    reader??;
                    read += count;
                }
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => most = most.max(resident_mib(pid)?),
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    say(&format!(
        "backlog              {count} records made at {:.0}/s; {before:.0} MiB before, {idle:.0} MiB with it, \
         at most {most:.0} MiB while 5 consumers read {:.0} records/s",
        count as f64 / made,
        read as f64 / seconds,
    ));
    let start = Instant::now();
    log.close().await;
    drop(log);
    let log = Log::open(folder, Options::default())?;
    say(&format!(
        "                     closed and opened in {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    ));
    log.close().await;
    Ok(())
}
