//! Producers: they write requests that were made beforehand, and read no more of an answer than they must.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The type of what is sent.
pub const TYPE: &str = "dev.example.hello";
/// Bytes of data of one event.
const DATA: usize = 1024;
/// Digits of an id, so that requests have one length.
pub const ID: usize = 12;
/// Events of which the times are kept.
const TIMED: usize = 1 << 21;
/// Producers of a paced load: enough that one which waits holds nobody up.
const PACED: usize = 64;

/// How events are sent.
#[derive(Clone, Copy)]
pub enum Load {
    /// So many producers, each sends when its last event was accepted.
    Closed(usize),
    /// So many events a second, at even distances.
    Paced(u64),
}

/// When events were sent and when they came.
pub struct Arrivals {
    began: Instant,
    next: AtomicU64,
    /// Nanoseconds; 0 is never.
    times: Box<[(AtomicU64, AtomicU64)]>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            next: AtomicU64::new(0),
            times: (0..TIMED).map(|_| Default::default()).collect(),
        }
    }
}

impl Arrivals {
    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// The number of an event that is sent now.
    fn sends(&self) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some((sent, _)) = self.times.get(id as usize) {
            sent.store(self.now(), Ordering::Relaxed);
        }
        id
    }

    /// The event arrived; of several times the last one counts.
    pub fn arrives(&self, id: u64) {
        if let Some((_, came)) = self.times.get(id as usize) {
            came.store(self.now(), Ordering::Relaxed);
        }
    }

    /// From sent to delivered, in milliseconds.
    pub fn latencies(&self) -> Vec<f64> {
        let load = |time: &AtomicU64| time.load(Ordering::Relaxed);
        let times = self.times.iter().map(|(sent, came)| (load(sent), load(came)));
        times
            .filter(|(sent, came)| *sent > 0 && came > sent)
            .map(|(sent, came)| (came - sent) as f64 / 1e6)
            .collect()
    }
}

/// Waits until the broker takes events. What is sent for that is of a type that nobody wants.
pub async fn ready(address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut producer = Producer::connect(address, "dev.example.nobody").await?;
        if producer.send(0).await? == 202 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the broker does not take events");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends for so long; how many events were accepted.
pub async fn produce(
    address: SocketAddr,
    load: Load,
    time: Duration,
    arrivals: Arc<Arrivals>,
) -> anyhow::Result<u64> {
    let mut producers = JoinSet::new();
    let began = tokio::time::Instant::now();
    let (count, gap) = match load {
        Load::Closed(count) => (count, Duration::ZERO),
        Load::Paced(rate) => (PACED, Duration::from_secs(PACED as u64) / rate as u32),
    };
    for number in 0..count {
        let mut producer = Producer::connect(address, TYPE).await?;
        let arrivals = arrivals.clone();
        let first = gap * number as u32 / count as u32;
        producers.spawn(async move {
            let (mut accepted, mut due) = (0u64, began + first);
            while began.elapsed() < time {
                if !gap.is_zero() {
                    tokio::time::sleep_until(due).await;
                    due += gap;
                }
                let status = producer.send(arrivals.sends()).await?;
                ensure!(status == 202, "the broker answered {status}");
                accepted += 1;
            }
            Ok(accepted)
        });
    }
    let mut accepted = 0;
    while let Some(ended) = producers.join_next().await {
        accepted += ended??;
    }
    Ok(accepted)
}

/// Sends so many events; how many were accepted.
pub async fn produce_all(address: SocketAddr, producers: usize, count: u64) -> anyhow::Result<u64> {
    let next = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for _ in 0..producers {
        let mut producer = Producer::connect(address, TYPE).await?;
        let next = next.clone();
        running.spawn(async move {
            let mut accepted = 0u64;
            loop {
                let id = next.fetch_add(1, Ordering::Relaxed);
                if id >= count {
                    return Ok(accepted);
                }
                let status = producer.send(id).await?;
                ensure!(status == 202, "the broker answered {status}");
                accepted += 1;
            }
        });
    }
    let mut accepted = 0;
    while let Some(ended) = running.join_next().await {
        accepted += ended??;
    }
    Ok(accepted)
}

struct Producer {
    stream: TcpStream,
    request: Vec<u8>,
    /// Where the id stands in it.
    id: usize,
    answer: Vec<u8>,
}

impl Producer {
    async fn connect(address: SocketAddr, event_type: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let start = "POST /default/default HTTP/1.1\r\nhost: broker-ingress.knative-eventing.svc.cluster.local\r\nce-id: ";
        let data = format!("{{\"data\":\"{}\"}}", "x".repeat(DATA - 11));
        let rest = format!(
            "{}\r\nce-specversion: 1.0\r\nce-type: {event_type}\r\nce-source: /bench\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{data}",
            "0".repeat(ID),
            data.len(),
        );
        Ok(Self {
            stream,
            request: [start.as_bytes(), rest.as_bytes()].concat(),
            id: start.len(),
            answer: Vec::with_capacity(4096),
        })
    }

    /// The status of the answer.
    async fn send(&mut self, id: u64) -> anyhow::Result<u16> {
        let text = format!("{id:0width$}", width = ID);
        self.request[self.id..self.id + ID].copy_from_slice(text.as_bytes());
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            ensure!(
                self.stream.read_buf(&mut self.answer).await? > 0,
                "the broker closed the connection"
            );
            let ended = self.answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if ended.is_some() {
                break;
            }
        }
        let status = self
            .answer
            .get(9..12)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let status = status.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        if status != 202 {
            // Its body was not read: the connection is of no more use.
            self.stream.shutdown().await?;
        }
        Ok(status)
    }
}
