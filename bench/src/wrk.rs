//! The load generator.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, ensure};

/// What is asked.
pub struct Target {
    pub address: SocketAddr,
    /// The `Host` header.
    pub host: String,
}

impl Target {
    pub fn new(address: impl Into<SocketAddr>, host: &str) -> Self {
        Self {
            address: address.into(),
            host: host.to_owned(),
        }
    }
}

/// Figures of one load.
pub struct Load {
    pub requests_per_second: f64,
    pub p50_micros: f64,
}

/// Runs wrk and reads its report.
pub fn load(target: &Target, connections: u32, seconds: u32) -> anyhow::Result<Load> {
    let output = Command::new("wrk")
        .args([
            "--latency",
            "-t",
            "1",
            "-c",
            &connections.to_string(),
            "-d",
            &format!("{seconds}s"),
        ])
        .args(["-H", &format!("Host: {}", target.host)])
        .arg(format!("http://{}/", target.address))
        .output()
        .context("wrk makes the load: install it")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "wrk: {text}"
    );
    let word = |label: &str| {
        text.lines().find_map(|line| {
            line.trim()
                .strip_prefix(label)?
                .split_whitespace()
                .next()
                .map(str::to_owned)
        })
    };
    Ok(Load {
        requests_per_second: word("Requests/sec:")
            .and_then(|n| n.parse().ok())
            .context("no rate in wrk's report")?,
        p50_micros: word("50%")
            .and_then(|n| micros(&n))
            .context("no median in wrk's report")?,
    })
}

fn micros(text: &str) -> Option<f64> {
    let (number, factor) = match text {
        t if t.ends_with("us") => (t.trim_end_matches("us"), 1.0),
        t if t.ends_with("ms") => (t.trim_end_matches("ms"), 1000.0),
        t => (t.trim_end_matches('s'), 1_000_000.0),
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// What each of two proxies adds to the median of what is behind them, over one connection: nginx, ours, in µs.
pub fn added(behind: &Target, nginx: &Target, ours: &Target, seconds: u32) -> anyhow::Result<(f64, f64)> {
    let behind = load(behind, 1, seconds)?.p50_micros;
    Ok((
        load(nginx, 1, seconds)?.p50_micros - behind,
        load(ours, 1, seconds)?.p50_micros - behind,
    ))
}
