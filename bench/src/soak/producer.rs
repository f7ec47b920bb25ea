//! Producers that go on after the broker was away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::ledger::Ledger;

/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest wait for an answer. An event without one does not count as accepted, whatever became of it.
const ANSWER: Duration = Duration::from_secs(35);
/// Bytes of data of one event.
const DATA: usize = 512;

/// Sends one event after the other, `gap` apart, until it is told to stop. An event that is not accepted is not sent
/// again: another one is.
pub async fn produce(port: u16, number: u64, gap: Duration, ledger: Arc<Ledger>, stop: Arc<AtomicBool>) {
    let mut stream = None;
    let mut due = Instant::now() + gap.mul_f64(number as f64 / 16.0);
    while !stop.load(Ordering::Relaxed) {
        sleep_until(due).await;
        // What was missed while the broker was away is not caught up with.
        due = (due + gap).max(Instant::now());
        let connection = match stream.take() {
            Some(connection) => Some(connection),
            None => TcpStream::connect(("127.0.0.1", port)).await.ok(),
        };
        let (Some(mut connection), Some(id)) = (connection, ledger.issue()) else {
            sleep(PAUSE).await;
            continue;
        };
        match timeout(ANSWER, send(&mut connection, id)).await {
            Ok(Ok(202)) => {
                ledger.accepted(id);
                stream = Some(connection);
            }
            _ => sleep(PAUSE).await,
        }
    }
}

/// The status of the answer.
async fn send(stream: &mut TcpStream, id: u64) -> std::io::Result<u16> {
    let data = "x".repeat(DATA);
    let request = format!(
        "POST /default/default HTTP/1.1\r\nhost: broker-ingress.knative-eventing.svc.cluster.local\r\nce-id: {id}\r\n\
         ce-specversion: 1.0\r\nce-type: dev.example.soak\r\nce-source: /soak\r\ncontent-type: text/plain\r\n\
         content-length: {DATA}\r\n\r\n{data}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    while !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let digits = answer
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    Ok(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0))
}
