//! One request on a connection of its own, as a client that comes for the first time makes it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context;

/// Longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(60);

/// The status line, the time to the first byte, and what the gateway tells of the way there.
pub struct Answer {
    pub status: u16,
    pub first_byte: Duration,
    /// From the gateway's sight of the request to the first successful probe of a pod, if it had to wait for one.
    pub probed: Option<Duration>,
}

/// `GET /` for `host` at `address`.
pub fn get(address: SocketAddr, host: &str) -> anyhow::Result<Answer> {
    let start = Instant::now();
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nSpindrift-Trace: 1\r\n\r\n"
    )?;
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer)?;
    let first_byte = start.elapsed();
    let text = String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).into_owned();
    let status = text
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .context("no status line")?;
    Ok(Answer {
        status,
        first_byte,
        probed: probed(&text),
    })
}

/// `probe` of a `Server-Timing` header in the head of an answer.
fn probed(head: &str) -> Option<Duration> {
    let timing = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("server-timing").then_some(value)
    })?;
    let millis = timing
        .split(',')
        .find_map(|entry| entry.trim().strip_prefix("probe;dur="))?;
    Duration::try_from_secs_f64(millis.parse::<f64>().ok()? / 1000.0).ok()
}

/// Waits until `address` answers 200.
pub fn answers(address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match get(address, "localhost") {
            Ok(answer) if answer.status == 200 => return Ok(()),
            result => anyhow::ensure!(
                Instant::now() < deadline,
                "{address} does not answer: {}",
                result.map_or_else(|error| error.to_string(), |answer| answer.status.to_string())
            ),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
